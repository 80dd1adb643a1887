"""Problems of the seventh set in which a distribution, a teacher, a market or a trend is followed."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def ring() -> Points:
    """Return 600 points on a noisy ring, and as many points of noise to make others from."""
    rng = np.random.default_rng(821)
    angle = rng.uniform(0, 2 * np.pi, 600)
    x = 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * rng.normal(size=(600, 2))
    return x.astype(np.float32), rng.normal(size=(600, 2)).astype(np.float32)


def discrepancy(params: Any, batch: Any) -> jax.Array:
    """Return the maximum mean discrepancy of true points and those of a generator."""
    x, noise = batch
    made = models.mlp(params, noise, jax.nn.silu)

    def alike(a: jax.Array, b: jax.Array) -> jax.Array:
        gap = jnp.sum(jnp.square(a[:, None, :] - b[None, :, :]), axis=2)
        return jnp.mean(jnp.exp(-gap) + jnp.exp(-gap / 4))

    return alike(x, x) + alike(made, made) - 2 * alike(x, made)


MOMENTS = Problem(lambda: models.mlp_init((2, 16, 16, 2), 822), discrepancy, ring)


@functools.cache
def lessons() -> Points:
    """Return 900 points of 12 numbers, and the chances of 5 classes that a teacher gives."""
    rng = np.random.default_rng(823)
    x = rng.normal(size=(900, 12))
    score = np.tanh(x @ rng.normal(size=(12, 16)) / 2) @ rng.normal(size=(16, 5))
    chance = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    return x.astype(np.float32), chance.astype(np.float32)


def taught(params: Any, batch: Any) -> jax.Array:
    """Return how far a student's chances are from the teacher's."""
    x, chance = batch
    log = jax.nn.log_softmax(models.mlp(params, x, jax.nn.gelu))
    return jnp.mean(jnp.sum(chance * (jnp.log(chance) - log), axis=1))


DISTIL = Problem(lambda: models.mlp_init((12, 24, 5), 824), taught, lessons)


def market(size: int, seed: int) -> Any:
    """Return batches of the last 8 returns of a share and the next, all drawn anew and without regard to each other."""

    def batch(count: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(seed), count)
        drawn = jax.random.normal(key, (size, 9), jnp.float32)
        return drawn[:, :8], drawn[:, 8]

    return batch


def momentum_market(size: int, seed: int) -> Any:
    """Return batches of a share whose next return follows the last two."""

    def batch(count: Any) -> Any:
        x, y = market(size, seed)(count)
        return x, 0.8 * x[:, 7] - 0.5 * x[:, 6] + 0.3 * y

    return batch


def many_returns() -> Points:
    """Return 6000 days of the market."""
    return tuple(np.asarray(part) for part in market(6000, 825)(0))


def forecast(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the next return."""
    return jnp.mean(jnp.square(models.mlp(params, batch[0], jnp.tanh)[:, 0] - batch[1]))


MARKET = Problem(lambda: models.mlp_init((8, 16, 1), 826), forecast, many_returns)


@functools.cache
def sales() -> Points:
    """Return the sales of 6 months before each of 180, in thousands, and of that month."""
    rng = np.random.default_rng(827)
    month = np.arange(186)
    sold = 200 + 0.1 * month + 4 * np.sin(month * np.pi / 6) + rng.normal(size=186)
    return np.stack([sold[i : i + 180] for i in range(6)], axis=1).astype(np.float32), sold[6:].astype(np.float32)


def autoregression(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a linear forecast."""
    return jnp.mean(jnp.square(batch[0] @ params["w"] + params["b"] - batch[1]))


SALES = Problem(lambda: {"w": np.zeros(6, np.float32), "b": np.float32(0)}, autoregression, sales)


@functools.cache
def counter() -> Points:
    """Return 300 rows of 4 whole numbers and a whole number that follows from them without error."""
    x = np.random.default_rng(828).integers(-2, 3, (300, 4))
    return x.astype(np.float32), (x @ np.array([2, -1, 1, 3]) + 1).astype(np.float32)


def gaussian(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of a linear law whose deviation is learnt as well."""
    x, y = batch
    error = (y - x @ params["w"] - params["b"]) * jnp.exp(-params["log_std"])
    return jnp.mean(0.5 * jnp.square(error)) + params["log_std"]


COUNTER = Problem(
    lambda: {"w": np.zeros(4, np.float32), "b": np.float32(0), "log_std": np.float32(1)}, gaussian, counter
)
