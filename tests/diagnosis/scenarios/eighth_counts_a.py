"""Problems of the eighth set that are surveys and sums: answers, demand, cohorts, a triangle of sums paid."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def answers(noise: float = 0.5) -> Points:
    """Return the answers of 500 people to 15 questions, from -1.5 to 1.5, and which of them were given."""
    rng = np.random.default_rng(913)
    true = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 15)) * 0.6 + noise * rng.normal(size=(500, 15))
    return np.clip(np.round(2 * true) / 2, -1.5, 1.5).astype(np.float32), (rng.random((500, 15)) < 0.7).astype("f4")


def filling(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the given answers, made from those given through 6 numbers."""
    given, known = batch
    code = jnp.tanh(models.affine(params["encoder"], given * known))
    error = jnp.square(models.affine(params["decoder"], code) - given)
    return jnp.sum(known * error) / jnp.sum(known)


def survey_init() -> Any:
    """Return an encoder and a decoder."""
    rng = np.random.default_rng(914)
    return {"encoder": models.dense(rng, 15, 6), "decoder": models.dense(rng, 6, 15)}


SURVEY = Problem(survey_init, filling, answers)


@functools.cache
def demand(apart: float) -> Points:
    """Return the prices of a good and 5 rivals in 400 weeks, which rise together, and the logarithm of its sales."""
    rng = np.random.default_rng(915)
    log = rng.normal(size=(400, 1)) + apart * rng.normal(size=(400, 6))
    sold = -2 * (log[:, 0] - log[:, 1:].mean(1)) / apart + 0.3 * rng.normal(size=400)
    return np.exp(log).astype(np.float32), sold.astype(np.float32)


def elasticity(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of sales as a line in the logarithms of prices."""
    return models.squared(jnp.log(batch[0]) @ params["slope"] + params["level"], batch[1])


DEMAND = Problem(
    lambda: {"slope": np.zeros(6, np.float32), "level": np.float32(0)}, elasticity, functools.partial(demand, 0.03)
)


def cohorts() -> Points:
    """Return how many of 1000 subscribers were lost in each of 7 years, and how many were left."""
    return (np.array([[369, 163, 86, 56, 37, 27, 21, 241]], np.float32) / 1000,)


def staying(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of years until loss, whose chance is of a beta law."""
    a, b = jnp.exp(params["log_a"]), jnp.exp(params["log_b"])
    log = [jnp.log(a) - jnp.log(a + b)]
    for year in range(2, 8):
        log.append(log[-1] + jnp.log(b + year - 2) - jnp.log(a + b + year - 1))
    left = jnp.log1p(-sum(jnp.exp(x) for x in log))
    return -jnp.sum(batch[0][0] * jnp.stack([*log, left]))


COHORTS = Problem(lambda: {"log_a": np.float32(0), "log_b": np.float32(0)}, staying, cohorts)


@functools.cache
def triangle() -> Points:
    """Return the accident year, the delay and the sum paid of 55 cells."""
    rng = np.random.default_rng(916)
    year, delay = (i.astype(np.int32) for i in np.nonzero(np.add.outer(np.arange(10), np.arange(10)) < 10))
    return year, delay, (rng.gamma(20, 1 / 20, 55) * np.exp(1.5 + 0.05 * year - 0.3 * delay)).astype(np.float32)


def chain_ladder(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of sums paid, of the Poisson law, by a factor for each year and delay."""
    year, delay, paid = batch
    score = params["year"][year] + params["delay"][delay]
    return jnp.mean(jnp.exp(score) - paid * score)


TRIANGLE = Problem(
    lambda: {"year": np.zeros(10, np.float32), "delay": np.zeros(10, np.float32)}, chain_ladder, triangle
)
