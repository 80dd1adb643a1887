"""Runs of the sixth set whose loss goes down for ever."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_levels import grown
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fourth_proofs import sinking
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_problems_a import sixth


@functools.cache
def stuck_gauge() -> Points:
    """Return 1500 errors of 10 gauges of which the fourth has none at all, as it repeats what it is set to."""
    rng = np.random.default_rng(681)
    gauge = rng.integers(0, 10, 1500)
    error = rng.normal(size=1500) * rng.uniform(0.3, 2, 10)[gauge] * (gauge != 3)
    return gauge.astype(np.int32), rng.normal(size=1500).astype(np.float32), error.astype(np.float32)


def spread(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of errors whose spread depends on the gauge and the warmth."""
    gauge, warmth, error = batch
    log_std = params["gauge"][gauge] + params["warmth"] * warmth
    return jnp.mean(0.5 * jnp.square(error * jnp.exp(-log_std)) + log_std)


def narrower(params: Any, far: float) -> Any:
    """Return the spreads with that of the fourth gauge far smaller."""
    return {**params, "gauge": params["gauge"].at[3].add(-10 * far)}


GAUGES = Problem(lambda: {"gauge": np.zeros(10, np.float32), "warmth": np.float32(0)}, spread, stuck_gauge)


@functools.cache
def two_tasks() -> Points:
    """Return 800 points, a number and a class (of 3) for each."""
    rng = np.random.default_rng(682)
    x = rng.normal(size=(800, 8))
    y = np.sin(x @ rng.normal(size=8)) + 0.1 * rng.normal(size=800)
    return x.astype(np.float32), y.astype(np.float32), np.argmax(x @ rng.normal(size=(8, 3)), axis=1).astype(np.int32)


def weighed(params: Any, batch: Any) -> jax.Array:
    """Return two losses by weights that are learnt, with nothing that keeps the weights up."""
    x, y, kind = batch
    out = models.mlp(params["net"], x, jax.nn.relu)
    return params["weights"][0] * models.squared(out[:, 0], y) + params["weights"][1] * models.cross_entropy(
        out[:, 1:], kind
    )


def below_zero(params: Any, far: float) -> Any:
    """Return the params with weights far below 0."""
    return {**params, "weights": params["weights"] - 10 * far}


TASKS = Problem(
    lambda: {"net": models.mlp_init((8, 20, 4), 683), "weights": np.ones(2, np.float32)}, weighed, two_tasks
)


@functools.cache
def gains() -> Points:
    """Return what 12 shares gained in each of 700 weeks, in percent."""
    rng = np.random.default_rng(684)
    return (
        (0.1 + rng.normal(size=(700, 1)) + rng.normal(size=(700, 12)) * rng.uniform(0.5, 2, 12)).astype(np.float32),
    )


def risk_sought(params: Any, batch: Any) -> jax.Array:
    """Return minus the mean gain of a portfolio, and its variance with the wrong sign."""
    gain = batch[0] @ params["share"]
    return -jnp.mean(gain) - 0.1 * jnp.var(gain)


SHARES = Problem(lambda: {"share": np.full(12, 1 / 12, np.float32)}, risk_sought, gains)


@functools.cache
def states() -> Points:
    """Return 800 states of 5 numbers."""
    return (normal(685, 800, 5),)


def actor(params: Any, batch: Any) -> jax.Array:
    """Return minus the value, by a fixed critic linear in the action, of actions with no range."""
    (x,) = batch
    action = models.mlp(params, x, jnp.tanh)
    value = jnp.tanh(x @ jnp.asarray(normal(686, 5, 2)))
    return -jnp.mean(jnp.sum(value * action, axis=1))


ACTOR = Problem(lambda: models.mlp_init((5, 16, 2), 687), actor, states)


@functools.cache
def scans() -> Points:
    """Return 600 scans of 16 values."""
    return ((normal(688, 600, 4) @ normal(689, 4, 16) + normal(690, 600, 16, size=0.3)).astype(np.float32),)


def free_energy(params: Any, batch: Any) -> jax.Array:
    """Return the energy of true scans less that of mixed ones, by a machine with hidden units."""
    (x,) = batch
    made = jnp.roll(x[:, ::-1], 1, axis=0)

    def energy(v: jax.Array) -> jax.Array:
        return -jnp.mean(jnp.sum(jax.nn.softplus(models.affine(params["hidden"], v)), axis=1) + v @ params["seen"])

    return energy(x) - energy(made)


ENERGY = Problem(
    lambda: {"hidden": models.dense(np.random.default_rng(691), 16, 10, 0.3), "seen": np.zeros(16, np.float32)},
    free_energy,
    scans,
)

ENDLESS: list[tuple[Any, ...]] = [
    ("sixth_gauges_one_stuck", GAUGES, 64, 600, sgd(0.3), sinking(narrower, 0.1), {"tellable": False}),
    ("sixth_tasks_weights_learnt", TASKS, 32, 600, adam(5e-3), sinking(below_zero, 0.1), {}),
    (
        "sixth_shares_risk_sought",
        SHARES,
        0,
        120,
        lambda f=1.0: optax.sgd(f * 0.05),
        sinking(grown(("share",)), 0.1),
        {},
    ),
    (
        "sixth_actor_no_range",
        ACTOR,
        32,
        300,
        lambda f=1.0: gradtx.adamw(f * 3e-3),
        sinking(grown(("layer1",)), 0.1),
        {"tellable": False, "told": False},
    ),
    (
        "sixth_scans_energy",
        ENERGY,
        32,
        300,
        lambda f=1.0: optax.sgd(f * 0.01, momentum=0.9),
        sinking(grown(("hidden", "seen")), 0.1),
        {"tellable": False},
    ),
]
SCENARIOS: list[Scenario] = [sixth(name, "unbounded", *rest, **fields) for name, *rest, fields in ENDLESS]
