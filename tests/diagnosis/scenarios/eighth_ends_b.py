"""Runs of the eighth set, part b, that are at their end: at a minimum, or going up for ever."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_densities_b import RETURNS
from tests.diagnosis.scenarios.eighth_physics_b import GAUGE, PENDULUM
from tests.diagnosis.scenarios.eighth_signals_b import BLUR, eighth
from tests.diagnosis.scenarios.fifth_proofs import at_rest, too_long
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd


@functools.cache
def echoes() -> Points:
    """Return 1000 windows of 12 values of a low sound, and what a room makes of each."""
    rng = np.random.default_rng(9081)
    x = rng.normal(size=1100)
    for t in range(1, len(x)):
        x[t] += 0.9 * x[t - 1]
    windows = np.stack([x[100 + t - np.arange(12)] for t in range(1000)])
    heard = windows @ (rng.normal(size=12) * 0.8 ** np.arange(12)) + 0.1 * rng.normal(size=1000)
    return windows.astype(np.float32), heard.astype(np.float32)


def filtered(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a filter of 12 taps."""
    return jnp.mean(jnp.square(batch[0] @ params["taps"] - batch[1]))


ECHO = Problem(lambda: {"taps": np.zeros(12, np.float32)}, filtered, echoes)

CONVERGED: list[tuple[Any, ...]] = [
    ("eighth_gauge_settled", GAUGE, 0, 500, sgd(0.03, momentum=0.8), at_rest(), {}),
    ("eighth_returns_settled", RETURNS, 0, 500, adam(0.1), at_rest(), {}),
    ("eighth_pendulum_settled", PENDULUM, 0, 400, sgd(0.5), at_rest(), {"told": False}),
]

DIVERGING: list[tuple[Any, ...]] = [
    ("eighth_echo_blows_up", ECHO, 16, 70, lambda f=1.0: optax.sgd(f * 0.023), too_long(0.1), {}),
    ("eighth_blur_heavy_ball", BLUR, 0, 90, sgd(3.87, momentum=0.9), too_long(), {}),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("converged_minimum", CONVERGED), ("diverging", DIVERGING))
    for name, *rest, fields in rows
]
