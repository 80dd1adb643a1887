"""Problems of the sixth set that are tables and laws: grades, words, doses, gazes, tides."""

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


def sixth(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the sixth set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="sixth")


@functools.cache
def grades() -> Points:
    """Return 6 features of 1000 pupils and their grade, 0 to 4."""
    rng = np.random.default_rng(601)
    x = rng.normal(size=(1000, 6))
    score = x @ rng.normal(size=6) + rng.logistic(size=1000)
    return x.astype(np.float32), np.digitize(score, [-2.0, -0.5, 0.7, 2.0]).astype(np.int32)


def ordinal(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of proportional odds: one score and four rising cuts."""
    x, grade = batch
    rise = jnp.concatenate([jnp.zeros(1, jnp.float32), jnp.cumsum(jax.nn.softplus(params["gap"]))])
    under = jax.nn.sigmoid((params["low"] + rise)[None, :] - (x @ params["w"])[:, None])
    below = jnp.pad(under, ((0, 0), (0, 1)), constant_values=1)
    chance = below - jnp.pad(under, ((0, 0), (1, 0)))
    return -jnp.mean(jnp.log(jnp.sum(chance * jax.nn.one_hot(grade, 5, dtype=jnp.float32), axis=1) + 1e-7))


GRADES = Problem(
    lambda: {"w": np.zeros(6, np.float32), "low": np.float32(-1), "gap": np.zeros(3, np.float32)}, ordinal, grades
)


@functools.cache
def corpus() -> Points:
    """Return 1800 pairs of 60 words, the logarithm of how often they meet, and the weight of each pair."""
    rng = np.random.default_rng(602)
    a, b = rng.integers(0, 60, 1800), rng.integers(0, 60, 1800)
    meaning, use = rng.normal(size=(60, 4)), rng.normal(size=60)
    often = np.sum(meaning[a] * meaning[b], axis=1) * 0.6 + 0.7 * (use[a] + use[b]) + 2 + 0.2 * rng.normal(size=1800)
    weight = np.minimum(1, np.exp(0.75 * (often - 4)))
    return a.astype(np.int32), b.astype(np.int32), often.astype(np.float32), weight.astype(np.float32)


def glove(params: Any, batch: Any) -> jax.Array:
    """Return the weighted squared error of the logarithm of how often two words meet."""
    a, b, often, weight = batch
    guess = jnp.sum(params["word"][a] * params["context"][b], axis=1) + params["bias"][a] + params["bias"][b]
    return jnp.mean(weight * jnp.square(guess - often))


CORPUS = Problem(
    lambda: {
        "word": normal(603, 60, 6, size=0.3),
        "context": normal(604, 60, 6, size=0.3),
        "bias": np.zeros(60, np.float32),
    },
    glove,
    corpus,
)


@functools.cache
def doses() -> Points:
    """Return weight, dose and hour of 600 samples of blood, and the concentration of a drug in each."""
    rng = np.random.default_rng(605)
    weight, dose, hour = rng.normal(size=600), rng.uniform(50, 150, 600), rng.uniform(0.2, 12, 600)
    into, out, volume = 1.2, 0.25 * np.exp(0.2 * weight), 10 * np.exp(0.3 * weight)
    seen = dose * into / (volume * (into - out)) * (np.exp(-out * hour) - np.exp(-into * hour))
    columns = (weight, dose, hour, seen * np.exp(0.1 * rng.normal(size=600)))
    return tuple(column.astype(np.float32) for column in columns)


def concentration(params: Any, weight: jax.Array, dose: jax.Array, hour: jax.Array) -> jax.Array:
    """Return what a body of one compartment holds after a dose by mouth."""
    into = jnp.exp(params["into"])
    out = jnp.exp(params["out"] + params["out_by_weight"] * weight)
    volume = jnp.exp(params["volume"] + params["volume_by_weight"] * weight)
    return dose * into / (volume * (into - out)) * (jnp.exp(-out * hour) - jnp.exp(-into * hour))


def blood(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the concentration."""
    *given, seen = batch
    return jnp.mean(jnp.square(concentration(params, *given) - seen))


def naive_body() -> Any:
    """Return the constants of a body nobody has measured: their logarithms, and how they go with its weight."""
    found = {"into": 0.7, "out": -2.0, "out_by_weight": 0.0, "volume": 3.2, "volume_by_weight": 0.0}
    return {name: np.float32(x) for name, x in found.items()}


DOSES = Problem(naive_body, blood, doses)


@functools.cache
def gazes() -> Points:
    """Return 300 directions, and the same seen by a head that is turned."""
    rng = np.random.default_rng(611)
    x = rng.normal(size=(300, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    turn = np.linalg.qr(np.eye(3) + 0.5 * rng.normal(size=(3, 3)))[0]
    return x.astype(np.float32), (x @ (turn * np.sign(np.trace(turn)))).astype(np.float32)


def angles(safe: float) -> Any:
    """Return the loss of mean square angles; cosines are kept away from 1 by `safe`."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, seen = batch
        guess = x @ params["turn"]
        guess = guess / jnp.sqrt(jnp.sum(jnp.square(guess), axis=1, keepdims=True))
        cosine = jnp.sum(guess * seen, axis=1)
        return jnp.mean(jnp.square(jnp.arccos(jnp.clip(cosine, safe - 1, 1 - safe) if safe else cosine)))

    return loss


def chords(params: Any, batch: Any) -> jax.Array:
    """Return the mean square distance of the ends of the directions."""
    x, seen = batch
    guess = x @ params["turn"]
    guess = guess / jnp.sqrt(jnp.sum(jnp.square(guess), axis=1, keepdims=True))
    return jnp.mean(jnp.sum(jnp.square(guess - seen), axis=1))


GAZES = Problem(lambda: {"turn": np.eye(3, dtype=np.float32)}, angles(0.0), gazes)


@functools.cache
def tides() -> Points:
    """Return 500 days of a month, counted from the start of the year, and the level of the sea."""
    rng = np.random.default_rng(612)
    day = rng.uniform(100, 130, 500)
    level = 3 + 0.02 * (day - 115) + np.sin(day / 2) + 0.5 * np.sin(day / 5) + 0.1 * rng.normal(size=500)
    return day.astype(np.float32), level.astype(np.float32)


def bumps(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a line and 20 bells."""
    day, level = batch
    bell = jnp.exp(-0.5 * jnp.square((day[:, None] - params["centre"][None, :]) * jnp.exp(-params["width"])[None, :]))
    line = params["line"][0] + params["line"][1] * (day - 115) / 10
    return models.squared(bell @ params["height"] + line, level)


def bells(low: float, high: float) -> Any:
    """Return what makes 20 bells with centres between two days."""
    return lambda: {
        "centre": np.linspace(low, high, 20, dtype=np.float32),
        "width": np.zeros(20, np.float32),
        "height": normal(613, 20, size=0.3),
        "line": np.zeros(2, np.float32),
    }


TIDES = Problem(bells(100.0, 130.0), bumps, tides)
