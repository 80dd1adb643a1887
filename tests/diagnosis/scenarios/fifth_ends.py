"""Runs of the fifth set that are at their end: at a minimum, or going up for ever."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_laws import EPIDEMIC, PHASES, PLANTS, VOICES
from tests.diagnosis.scenarios.fifth_networks import REGIONS, WAVES
from tests.diagnosis.scenarios.fifth_proofs import at_rest, too_long, used_up
from tests.diagnosis.scenarios.fifth_tables import HOUSES, MACHINES, TEAMS, fifth, normal
from tests.diagnosis.scenarios.fourth_proofs import climbing
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd


def readings() -> Points:
    """Return 400 readings of 6 gauges that answer 4 quantities exactly, and the quantities."""
    x = normal(561, 400, 4)
    return x, x @ normal(562, 4, 6) + normal(563, 6)[None, :]


def calibration(params: Any, batch: Any) -> jax.Array:
    """Return the sum of the squared errors of all gauges, each with a slope for each quantity and an offset."""
    x, seen = batch
    return jnp.mean(jnp.sum(jnp.square(x @ params["slope"] + params["offset"][None, :] - seen), axis=1))


GAUGES = Problem(
    lambda: {"slope": np.zeros((4, 6), np.float32), "offset": np.zeros(6, np.float32)}, calibration, readings
)


def entries() -> Points:
    """Return 1500 entries of a 20 by 15 table that is the product of two thin ones: row, column, value."""
    rng = np.random.default_rng(564)
    row, column = rng.integers(0, 20, 1500), rng.integers(0, 15, 1500)
    full = normal(565, 20, 2) @ normal(566, 2, 15)
    return row.astype(np.int32), column.astype(np.int32), full[row, column]


def thin(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the product of two thin tables."""
    row, column, value = batch
    return jnp.mean(jnp.square(jnp.sum(params["left"][row] * params["right"][column], axis=1) - value))


TABLE = Problem(lambda: {"left": normal(567, 20, 2, size=0.5), "right": normal(568, 15, 2, size=0.5)}, thin, entries)


def settling(factor: float = 1.0) -> Any:
    """Return Adam on a cosine that ends low, not at 0."""
    eta = optax.cosine_decay_schedule(0.05, 600, alpha=0.02)
    return optax.adam(lambda count: factor * eta(count))


CONVERGED: list[tuple[Any, ...]] = [
    ("fifth_teams_settled", TEAMS, 0, 600, sgd(3.0, momentum=0.9, nesterov=True), at_rest(), {}),
    ("fifth_epidemic_settled", EPIDEMIC, 0, 700, settling, at_rest(), {}),
    ("fifth_machines_settled", MACHINES, 0, 400, lambda f=1.0: gradtx.amsgrad(f * 0.05), at_rest(), {}),
    ("fifth_phases_found", PHASES, 16, 600, sgd(0.05), at_rest(), {}),
    ("fifth_houses_settled", HOUSES, 0, 150, sgd(0.2), at_rest(), {"told": False}),
    ("fifth_gauges_exact", GAUGES, 8, 500, sgd(0.03, momentum=0.8), at_rest(), {}),
    ("fifth_table_exact", TABLE, 32, 1500, sgd(0.5), used_up(adam(1e-3)), {"told": False}),
    ("fifth_voices_settled", VOICES, 0, 300, lambda f=1.0: gradtx.sgd(f * 0.05, momentum=0.8), at_rest(), {}),
    ("fifth_plants_settled", PLANTS, 0, 800, sgd(0.3, momentum=0.9), used_up(adam(1e-2)), {}),
]


def rate_search(factor: float = 1.0) -> Any:
    """Return Adam whose rate rises tenfold every 40 steps, as in a search for the largest."""
    return optax.adam(lambda count: factor * 1e-4 * 10 ** (count / 40))


def wrong_sign(factor: float = 1.0) -> Any:
    """Return Adam's scale times a rate that ought to be negative."""
    return optax.chain(optax.scale_by_adam(), optax.scale(factor * 3e-3))


DIVERGING: list[tuple[Any, ...]] = [
    ("fifth_houses_blow_up", HOUSES, 32, 60, sgd(1.0), too_long(0.1), {"told": False}),
    ("fifth_waves_rate_search", WAVES, 32, 200, rate_search, too_long(1e-3), {}),
    ("fifth_regions_wrong_sign", REGIONS, 32, 300, wrong_sign, climbing(adam(3e-3)), {}),
    ("fifth_gauges_blow_up", GAUGES, 64, 60, sgd(1.0), too_long(0.1), {}),
]
SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields)
    for cause, rows in (("converged_minimum", CONVERGED), ("diverging", DIVERGING))
    for name, *rest, fields in rows
]
