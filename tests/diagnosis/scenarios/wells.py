"""Runs that are thrown out of a well into one that is less deep, and never come back."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import counterfactuals
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.rates import sgd

JUMP = 250  # the step at which runs are thrown


def tilted(y: jax.Array) -> jax.Array:
    """Return two wells, the one at -1 deeper than the one at 1."""
    return 1 + (y**2 - 1) ** 2 + 0.3 * y


def waves(y: jax.Array) -> jax.Array:
    """Return a row of wells, each higher than the one before."""
    return 2 + 0.3 * y - jnp.cos(3 * y)


def pushes(seed: int, size: float, kick: float) -> Callable[[Any], Any]:
    """Return a random push for each step, and one at `JUMP` that is far larger."""

    def batch(count: Any) -> Any:
        push = size * jax.random.normal(jax.random.fold_in(jax.random.key(seed), count), (), jnp.float32)
        return jnp.where(count == JUMP, jnp.float32(kick), push)

    return batch


def well(name: str, half: str, surface: Any, start: float, kick: float, **fields: Any) -> Scenario:
    """Return a run in one well of a surface, pushed at random, and once out of it."""
    return Scenario(
        name=name,
        cause="collapsed",
        half=half,
        init=lambda: {"y": np.float32(start)},
        loss=lambda params, push: surface(params["y"]) + push * params["y"],
        batch=pushes(63, 0.03, kick),
        big_batch=lambda: np.float32(0.0),
        steps=600,
        proof=counterfactuals.thrown(JUMP, instead(batch=pushes(63, 0.03, 0.0))),
        **fields,
    )


SCENARIOS = [
    well(
        "pushed_into_a_shallow_well",
        "tune",
        tilted,
        -1.04,
        -45.0,
        make_tx=sgd(0.05),
    ),
    well(
        "kicked_two_wells_up",
        "held",
        waves,
        0.0,
        -30.0,
        make_tx=sgd(0.02, momentum=0.8),
    ),
    well(
        "kicked_one_well_up",
        "tune",
        waves,
        0.0,
        -75.0,
        make_tx=sgd(0.03),
    ),
]
