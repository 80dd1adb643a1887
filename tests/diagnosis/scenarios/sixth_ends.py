"""Runs of the sixth set that are at their end, go up for ever, or go down for ever."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import at_rest, too_long, used_up
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_problems_a import CLAIMS, MARKET, WINES, sixth
from tests.diagnosis.scenarios.sixth_problems_a2 import ATOMS, LINE, PEAKS
from tests.diagnosis.scenarios.sixth_problems_a3 import PIXELS


def exact() -> Points:
    """Return 300 points and three sums of them, without noise."""
    x = normal(671, 300, 8)
    return x, x @ normal(672, 8, 3) + normal(673, 3)[None, :]


def sums(params: Any, batch: Any) -> jax.Array:
    """Return the robust loss of a linear guess: square when near, straight when far."""
    error = models.affine(params, batch[0]) - batch[1]
    return jnp.mean(jnp.sum(jnp.sqrt(1 + jnp.square(error)) - 1, axis=1))


SUMS = Problem(lambda: {"w": np.zeros((8, 3), np.float32), "b": np.zeros(3, np.float32)}, sums, exact)


@functools.cache
def tides() -> Points:
    """Return 800 windows of 8 hours of a tide under two moons, and its height in the next hour."""
    t = np.arange(808)
    height = np.sin(0.5 * t) + 0.6 * np.sin(0.31 * t + 1) + 0.2 * normal(674, 808)
    return np.stack([height[k : k + 800] for k in range(8)], axis=1).astype(np.float32), height[8:].astype(np.float32)


def next_hour(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a linear guess from the last hours."""
    x, y = batch
    return jnp.mean(jnp.square(x @ params["w"] + params["b"] - y))


TIDES = Problem(lambda: {"w": np.zeros(8, np.float32), "b": np.float32(0)}, next_hour, tides)


def by_waves(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a picture by a sum of waves."""
    x, bright = batch
    return jnp.mean(jnp.square(x @ params["w"] - bright))


WAVES = Problem(lambda: {"w": np.zeros(24, np.float32)}, by_waves, PIXELS.points)


def halving(factor: float = 1.0) -> Any:
    """Return Adam whose rate is halved every 80 steps, down to a hundredth."""
    return gradtx.adam(lambda count: factor * 0.05 * jnp.maximum(0.5 ** (count // 80).astype(jnp.float32), 0.01))


CONVERGED: list[tuple[Any, ...]] = [
    ("sixth_wines_settled", WINES, 0, 500, sgd(0.5, momentum=0.9), at_rest(), {}),
    ("sixth_market_settled", MARKET, 0, 900, halving, at_rest(), {}),
    ("sixth_atoms_at_rest", ATOMS, 0, 400, sgd(2e-3, momentum=0.8), used_up(adam(1e-4)), {}),
    ("sixth_claims_settled", CLAIMS, 0, 300, lambda f=1.0: optax.sgd(f * 0.1, 0.9, True), at_rest(), {}),
    ("sixth_sums_exact", SUMS, 16, 600, sgd(0.3), at_rest(), {}),
    ("sixth_peaks_settled", PEAKS, 0, 1500, lambda f=1.0: optax.sgd(f * 0.1, momentum=0.9), at_rest(), {}),
]


def count_times(factor: float = 1.0) -> Any:
    """Return descent whose rate is multiplied by the count of steps instead of divided by it."""
    return optax.sgd(lambda count: factor * 8e-3 * (1 + count))


def steep_search(factor: float = 1.0) -> Any:
    """Return Adam whose rate doubles every 12 steps."""
    return optax.adam(lambda count: factor * 1e-4 * 2 ** (count / 12))


DIVERGING: list[tuple[Any, ...]] = [
    ("sixth_tides_count_times", TIDES, 32, 70, count_times, too_long(0.01), {}),
    ("sixth_pixels_steep_search", PIXELS, 64, 220, steep_search, too_long(1e-3), {}),
    ("sixth_line_past_the_edge", LINE, 0, 150, sgd(41.0), too_long(), {"told": False}),
    ("sixth_picture_long_momentum", WAVES, 64, 60, sgd(0.37, momentum=0.9, nesterov=True), too_long(0.1), {}),
]


SCENARIOS: list[Scenario] = [
    sixth(name, cause, *rest, **fields)
    for cause, rows in (("converged_minimum", CONVERGED), ("diverging", DIVERGING))
    for name, *rest, fields in rows
]
