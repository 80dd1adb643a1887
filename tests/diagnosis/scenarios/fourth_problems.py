"""Problems of the fourth set: words, tables, rankings and regressions; no other set has them."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_problems import Points, Problem, fresh


def fourth(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the fourth set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="fourth")


def table(seed: int, rows: int, columns: int, size: float = 1.0) -> np.ndarray:
    """Return normal numbers of this size."""
    return (size * np.random.default_rng(seed).normal(size=(rows, columns))).astype(np.float32)


@functools.cache
def neighbours() -> Points:
    """Return pairs of 120 words, from frequent to rare, and whether they come from one sentence."""
    rng = np.random.default_rng(201)
    chance = 1 / np.arange(1, 121)
    topic = rng.integers(0, 6, 120)
    first = rng.choice(120, 6000, p=chance / chance.sum())
    other = rng.choice(120, 6000, p=chance / chance.sum())
    same = rng.random(6000) < 0.5
    for row in np.flatnonzero(same):
        fits = chance * (topic == topic[first[row]])
        other[row] = rng.choice(120, p=fits / fits.sum())
    return first.astype(np.int32), other.astype(np.int32), same.astype(np.float32)


def logistic(score: jax.Array, yes: jax.Array) -> jax.Array:
    """Return the mean logistic loss."""
    return jnp.mean(jax.nn.softplus(score) - yes * score)


def skip_gram(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of telling true pairs of words from random ones."""
    first, other, same = batch
    return logistic(jnp.sum(params["word"][first] * params["context"][other], axis=1), same)


def embeddings(size: float) -> Any:
    """Return what makes two tables of word vectors with entries of this size."""
    return lambda: {"word": table(202, 120, 8, size), "context": table(203, 120, 8, size)}


WORDS = Problem(embeddings(0.3), skip_gram, neighbours)


def few_words() -> Points:
    """Return 2000 pairs of 12 words, and whether they are of one kind."""
    first, other = np.random.default_rng(301).integers(0, 12, (2, 2000))
    same = (first % 2 == other % 2).astype(np.float32)
    return first.astype(np.int32), other.astype(np.int32), same


def few_vectors(size: float) -> Any:
    """Return what makes vectors of 13 words, the last of which is in no pair."""
    return lambda: {"word": table(302, 13, 4, size), "context": table(303, 13, 4, size)}


FEW_WORDS = Problem(few_vectors(0.3), skip_gram, few_words)


@functools.cache
def purchases() -> Points:
    """Return users, an item that each has bought, and one that they have not."""
    rng = np.random.default_rng(204)
    taste = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40)) + rng.gumbel(size=(60, 40))
    order = np.argsort(-taste, axis=1)
    users = rng.integers(0, 60, 4000)
    bought = order[users, rng.integers(0, 10, 4000)]
    left = order[users, rng.integers(10, 40, 4000)]
    return users.astype(np.int32), bought.astype(np.int32), left.astype(np.int32)


def ranking(params: Any, batch: Any) -> jax.Array:
    """Return the Bayesian personalized ranking loss with a small penalty."""
    users, bought, left = batch
    u = params["user"][users]
    gap = jnp.sum(u * (params["item"][bought] - params["item"][left]), axis=1)
    return jnp.mean(jax.nn.softplus(-gap)) + 1e-4 * models.penalty(params)


SHOP = Problem(lambda: {"user": table(205, 60, 4, 0.3), "item": table(206, 40, 4, 0.3)}, ranking, purchases)


@functools.cache
def queries() -> Points:
    """Return 500 queries of 8 documents with 10 features each, and the share of clicks of each document."""
    rng = np.random.default_rng(207)
    x = rng.normal(size=(500, 8, 10))
    score = 2 * np.tanh(x @ rng.normal(size=(10, 6)) / 2) @ rng.normal(size=6)
    clicks = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    return x.astype(np.float32), clicks.astype(np.float32)


def listwise(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the clicks; its least value is their entropy."""
    x, clicks = batch
    scores = models.mlp(params, x.reshape(-1, 10), jax.nn.silu).reshape(-1, 8)
    return -jnp.mean(jnp.sum(clicks * jax.nn.log_softmax(scores), axis=1))


LISTS = Problem(lambda: models.mlp_init((10, 20, 1), 208), listwise, queries)


@functools.cache
def sensors(outliers: float = 0.1) -> Points:
    """Return 600 readings of 6 sensors and a target with some gross errors."""
    rng = np.random.default_rng(209)
    x = rng.normal(size=(600, 6))
    y = np.sin(x @ rng.normal(size=6)) + 0.5 * x[:, 0] + 0.1 * rng.normal(size=600)
    y = y + (rng.random(600) < outliers) * 10 * rng.standard_t(2, size=600)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def huber(params: Any, batch: Any) -> jax.Array:
    """Return the Huber loss of a perceptron."""
    x, y = batch
    error = jnp.abs(models.mlp(params, x, jnp.tanh) - y)
    return jnp.mean(jnp.where(error < 1, 0.5 * jnp.square(error), error - 0.5))


def mean_square(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a perceptron of relu units."""
    return models.squared(models.mlp(params, batch[0], jax.nn.relu), batch[1])


SENSORS = Problem(lambda: models.mlp_init((6, 24, 1), 210), huber, sensors)


@functools.cache
def incomes() -> Points:
    """Return 5 features of 800 people and what they earn: the spread grows with the first feature."""
    rng = np.random.default_rng(211)
    x = rng.normal(size=(800, 5))
    y = x @ rng.normal(size=5) + np.exp(0.5 * x[:, 0]) * rng.standard_t(3, size=800)
    return x.astype(np.float32), y.astype(np.float32)


def pinball(params: Any, batch: Any) -> jax.Array:
    """Return the loss whose least value is at the 0.8 quantile."""
    x, y = batch
    error = y - x @ params["w"] - params["b"]
    return jnp.mean(jnp.maximum(0.8 * error, -0.2 * error))


QUANTILE = Problem(lambda: {"w": np.zeros(5, np.float32), "b": np.float32(0)}, pinball, incomes)


@functools.cache
def two_classes() -> Points:
    """Return 600 points of two classes that overlap, labelled -1 and 1."""
    rng = np.random.default_rng(212)
    side = rng.choice([-1.0, 1.0], 600)
    x = rng.normal(size=(600, 12)) + 0.5 * side[:, None] * rng.normal(size=12)
    return x.astype(np.float32), side.astype(np.float32)


def hinge(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a support vector machine."""
    x, side = batch
    return jnp.mean(jax.nn.relu(1 - side * (x @ params["w"]))) + 0.005 * models.penalty(params)


MACHINE = Problem(lambda: {"w": np.zeros(12, np.float32)}, hinge, two_classes)


@functools.cache
def patients() -> Points:
    """Return 6 features of 300 patients, how long each was watched, and whether the end was seen."""
    rng = np.random.default_rng(213)
    x = rng.normal(size=(300, 6))
    end, watched = rng.exponential(size=300) * np.exp(-x @ rng.normal(size=6) / 2), 2 * rng.exponential(size=300)
    return x.astype(np.float32), np.minimum(end, watched).astype(np.float32), (end < watched).astype(np.float32)


def survival(params: Any, batch: Any) -> jax.Array:
    """Return Cox's partial likelihood, its negative logarithm, with a small penalty."""
    x, time, seen = batch
    score = x @ params["w"]
    at_risk = jnp.where(time[None, :] >= time[:, None], score[None, :], -jnp.inf)
    each = jax.nn.logsumexp(at_risk, axis=1) - score
    return jnp.sum(seen * each) / jnp.sum(seen) + 0.005 * models.penalty(params)


PATIENTS = Problem(lambda: {"w": np.zeros(6, np.float32)}, survival, patients)


@functools.cache
def parity() -> Points:
    """Return 1000 points of 6 signs, and whether the first two agree."""
    x = np.random.default_rng(214).choice([-1.0, 1.0], (1000, 6))
    return x.astype(np.float32), (x[:, 0] * x[:, 1] > 0).astype(np.int32)


PARITY = Problem(
    lambda: models.mlp_init((6, 24, 2), 215),
    lambda p, b: models.cross_entropy(models.mlp(p, b[0], jnp.tanh), b[1]),
    parity,
)
