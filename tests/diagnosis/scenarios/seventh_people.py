"""Problems of the seventh set about people and tables: exams, grades, catches, weather, baskets, a corridor."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem, fresh


def seventh(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the seventh set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="seventh")


@functools.cache
def exams() -> Points:
    """Return 3600 answers to 30 questions by 120 students: who, which, and whether it was right."""
    rng = np.random.default_rng(801)
    able, hard, sharp = rng.normal(size=120), rng.normal(size=30), np.exp(0.4 * rng.normal(size=30))
    who, which = rng.integers(0, 120, 3600), rng.integers(0, 30, 3600)
    right = rng.random(3600) < 1 / (1 + np.exp(-sharp[which] * (able[who] - hard[which])))
    return who.astype(np.int32), which.astype(np.int32), right.astype(np.float32)


def answering(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of a student's ability over a question's difficulty, with a small penalty."""
    who, which, right = batch
    score = jnp.exp(params["log_sharp"][which]) * (params["able"][who] - params["hard"][which])
    return jnp.mean(jax.nn.softplus(score) - right * score) + 3e-4 * models.penalty(params)


EXAMS = Problem(
    lambda: {
        "able": np.zeros(120, np.float32),
        "hard": np.zeros(30, np.float32),
        "log_sharp": np.zeros(30, np.float32),
    },
    answering,
    exams,
)


@functools.cache
def grades() -> Points:
    """Return 6 features of 600 pupils and their grades, from 0 to 4."""
    rng = np.random.default_rng(802)
    x = rng.normal(size=(600, 6))
    worth = x @ rng.normal(size=6) + rng.logistic(size=600)
    return x.astype(np.float32), np.digitize(worth, [-3, -1, 1, 3]).astype(np.int32)


def ordinal(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of grades that are told apart by four bounds on one score."""
    x, grade = batch
    bounds = params["first"] + jnp.concatenate([jnp.zeros(1, jnp.float32), jnp.cumsum(jnp.exp(params["log_gap"]))])
    below = jax.nn.sigmoid(bounds[None, :] - (x @ params["w"])[:, None])
    one = jnp.ones((x.shape[0], 1), jnp.float32)
    chance = jnp.diff(jnp.concatenate([0 * one, below, one], axis=1), axis=1)
    return -jnp.mean(jnp.log(jnp.sum(chance * jax.nn.one_hot(grade, 5, dtype=jnp.float32), axis=1) + 1e-6))


GRADES = Problem(
    lambda: {"w": np.zeros(6, np.float32), "first": np.float32(-1), "log_gap": np.zeros(3, np.float32)}, ordinal, grades
)


@functools.cache
def catches() -> Points:
    """Return 4 features of 700 days and the fish caught: none on the days when nobody went out."""
    rng = np.random.default_rng(803)
    x = rng.normal(size=(700, 4))
    caught = rng.poisson(np.exp(1 + 0.4 * x @ rng.normal(size=4))) * (rng.random(700) > 0.3)
    return x.astype(np.float32), caught.astype(np.float32)


def zero_inflated(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of counts, some of which are 0 for another reason."""
    x, caught = batch
    log_rate = x @ params["w"] + params["b"]
    stays, goes = jax.nn.log_sigmoid(params["stays"]), jax.nn.log_sigmoid(-params["stays"])
    none = jnp.logaddexp(stays, goes - jnp.exp(log_rate))
    return -jnp.mean(jnp.where(caught == 0, none, goes + caught * log_rate - jnp.exp(log_rate)))


FISH = Problem(
    lambda: {"w": np.zeros(4, np.float32), "b": np.float32(0), "stays": np.float32(0)}, zero_inflated, catches
)


@functools.cache
def weather() -> Points:
    """Return 150 stretches of 12 days of weather of 4 kinds, which depends on one of 2 hidden seasons."""
    rng = np.random.default_rng(804)
    shows = np.cumsum([[0.6, 0.3, 0.08, 0.02], [0.05, 0.1, 0.35, 0.5]], axis=1)
    days, season = np.zeros((150, 12), np.int32), rng.integers(0, 2, 150)
    for t in range(12):
        days[:, t] = (rng.random((150, 1)) > shows[season]).sum(1).clip(0, 3)
        season = np.where(rng.random(150) < 0.15, 1 - season, season)
    return (days,)


def hidden(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of a hidden Markov model, by day."""
    (days,) = batch
    move, show = jax.nn.log_softmax(params["move"], axis=1), jax.nn.log_softmax(params["show"], axis=1)

    def step(log: jax.Array, day: jax.Array) -> Any:
        return jax.nn.logsumexp(log[:, :, None] + move[None], axis=1) + show.T[day], None

    first = jax.nn.log_softmax(params["start"])[None, :] + show.T[days[:, 0]]
    log, _ = jax.lax.scan(step, first, days[:, 1:].T)
    return -jnp.mean(jax.nn.logsumexp(log, axis=1)) / 12


def seasons(size: float, stay: float) -> Any:
    """Return what makes a model of two seasons that differ by this much, and are kept by this much."""
    return lambda: {
        "start": np.zeros(2, np.float32),
        "move": stay * np.eye(2, dtype=np.float32) + normal(805, 2, 2, size=size),
        "show": normal(806, 2, 4, size=size),
    }


WEATHER = Problem(seasons(0.5, 1.5), hidden, weather)


@functools.cache
def baskets() -> Points:
    """Return 800 baskets of 6 numbers, and how far the largest is above the least."""
    rng = np.random.default_rng(807)
    x = rng.normal(size=(800, 6))
    return x.astype(np.float32), (np.ptp(x, axis=1) + 0.2 * rng.normal(size=800)).astype(np.float32)


def set_init() -> Any:
    """Return a network for each number and one for their mean."""
    rng = np.random.default_rng(808)
    sizes = {"each": (1, 16), "both": (16, 16), "whole": (16, 16), "out": (16, 1)}
    return {name: models.dense(rng, *size, 1.4) for name, size in sizes.items()}


def span(params: Any, x: jax.Array) -> jax.Array:
    """Return the span of each basket as a network of sets has it."""
    h = jax.nn.relu(x[:, :, None] * params["each"]["w"][None] + params["each"]["b"][None, None])
    h = jnp.mean(jax.nn.relu(h @ params["both"]["w"] + params["both"]["b"][None, None]), axis=1)
    return models.affine(params["out"], jax.nn.relu(models.affine(params["whole"], h)))[:, 0]


def spanning(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the span."""
    return jnp.mean(jnp.square(span(params, batch[0]) - batch[1]))


BASKETS = Problem(set_init, spanning, baskets)


@functools.cache
def corridor() -> Points:
    """Return 1500 moves in a corridor of 10 rooms: room, left or right, reward, next room, whether it ended."""
    rng = np.random.default_rng(809)
    room, right = rng.integers(0, 9, 1500), rng.integers(0, 2, 1500)
    after = np.clip(room + np.where(rng.random(1500) < 0.1, 0, 2 * right - 1), 0, 9)
    parts = (room, right, after == 9, after, after == 9)
    return tuple(part.astype(t) for part, t in zip(parts, ("i4", "i4", "f4", "i4", "f4"), strict=True))


def temporal(worth: Any) -> Any:
    """Return the loss of learning from the difference to the next room, whose worth is held."""

    def loss(params: Any, batch: Any) -> jax.Array:
        room, right, reward, after, ended = batch
        here = jnp.take_along_axis(worth(params, room), right[:, None], axis=1)[:, 0]
        there = jax.lax.stop_gradient(jnp.max(worth(params, after), axis=1))
        return jnp.mean(jnp.square(reward + 0.8 * (1 - ended) * there - here))

    return loss


CORRIDOR = Problem(
    lambda: {"room": normal(810, 10, 8), "out": models.dense(np.random.default_rng(811), 8, 2, 0.5)},
    temporal(lambda params, room: models.affine(params["out"], jnp.tanh(params["room"][room]))),
    corridor,
)
Q_TABLE = Problem(
    lambda: {"worth": normal(812, 10, 2, size=0.1)}, temporal(lambda params, room: params["worth"][room]), corridor
)
