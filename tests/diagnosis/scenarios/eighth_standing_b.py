"""Runs of the eighth set, part b, in which params stand still, or are held by a decay."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import better_with
from tests.diagnosis.scenarios.eighth_proofs_b import rounded_away
from tests.diagnosis.scenarios.eighth_signals_b import DENOISE, HENON, eighth
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.rates import adam

HERE = np.array([4_200_000.0, 1_100_000.0, 4_600_000.0])  # in metres from the middle of the earth


@functools.cache
def beacons() -> Points:
    """Return 60 beacons within 5 km of a receiver, in metres from the middle of the earth, and how far each is."""
    rng = np.random.default_rng(9073)
    place = (HERE[None, :] + rng.uniform(-5000, 5000, (60, 3))).astype(np.float32)
    return place, (np.linalg.norm(place - HERE[None, :], axis=1) + rng.normal(size=60)).astype(np.float32)


def distances(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the distances, in hundreds of metres."""
    place, far = batch
    found = jnp.sqrt(jnp.sum(jnp.square(place - params["place"][None, :]), axis=1) + 1)
    return jnp.mean(jnp.square(0.01 * (found - far)))


BEACONS = Problem(lambda: {"place": (HERE + np.array([300.0, -400.0, 250.0])).astype(np.float32)}, distances, beacons)


def each_step(factor: float = 1.0) -> Any:
    """Return Adam whose rate falls tenfold each step, not each epoch."""
    eta = optax.exponential_decay(3e-3, 1, 0.1)
    return optax.adam(lambda count: factor * eta(count))


STILL: list[tuple[Any, ...]] = [
    (
        "eighth_beacons_from_afar",
        BEACONS,
        16,
        250,
        lambda f=1.0: optax.adam(f * 0.05),
        rounded_away("place", 100.0),
        {},
    ),
    ("eighth_henon_decays_each_step", HENON, 32, 250, each_step, never_due(adam(3e-3), 60), {}),
]

HELD: list[tuple[Any, ...]] = [
    (
        "eighth_denoise_decay",
        DENOISE,
        8,
        300,
        lambda f=1.0: optax.adamw(f * 3e-3, weight_decay=5.0),
        better_with(adam(3e-3)),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("not_moving", STILL), ("decay_bound", HELD))
    for name, *rest, fields in rows
]
