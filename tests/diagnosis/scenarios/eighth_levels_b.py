"""Runs of the eighth set, part b, in which nothing can be learnt, or whose loss has no bound."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import guessing
from tests.diagnosis.scenarios.eighth_densities_b import CHANNELS, channels
from tests.diagnosis.scenarios.eighth_signals_b import chirps, eighth, henon
from tests.diagnosis.scenarios.fourth_faults import drawn
from tests.diagnosis.scenarios.fourth_proofs import sinking
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_proofs import constant_best


def of_spectrum(order: bool) -> Any:
    """Return the cross-entropy of rising and falling, from the size of each frequency; in both halves, or in all."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, falls = batch
        parts = jnp.split(x, 2, axis=1) if order else [x, x]
        h = [jnp.abs(jnp.fft.rfft(part, 40, axis=1)) / 5 for part in parts]
        return models.cross_entropy(models.mlp(params, jnp.concatenate(h, axis=1), jax.nn.relu), falls)

    return loss


SPECTRUM = Problem(lambda: models.mlp_init((42, 16, 2), 9074, 0.7), of_spectrum(order=False), chirps)


@functools.cache
def loads(joined: bool) -> Points:
    """Return windows of 6 values of a series and the value after each; or after any other, as by a wrong key."""
    (x,) = henon(3000, 7)
    after = x[:, 6]
    return x[:, :6], after if joined else np.random.default_rng(9075).permutation(after)


def next_value(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the next value."""
    return jnp.mean(jnp.square(models.mlp(params, batch[0], jnp.tanh)[:, 0] - batch[1]))


LOADS = Problem(lambda: models.mlp_init((6, 16, 1), 9076), next_value, lambda: loads(joined=False))

CHANCE: list[tuple[Any, ...]] = [
    (
        "eighth_chirps_by_spectrum",
        SPECTRUM,
        64,
        400,
        adam(1e-3),
        guessing(2, instead(loss=of_spectrum(order=True))),
        {},
    ),
    (
        "eighth_loads_wrong_key",
        LOADS,
        64,
        600,
        lambda f=1.0: gradtx.adamw(f * 3e-3),
        constant_best(lambda points: float(np.var(points[1])), cleaned(drawn(lambda: loads(joined=True), 64))),
        {},
    ),
]


def one_is_broken() -> Points:
    """Return the channels, one of which always reads 0."""
    return (channels()[0] * (np.arange(12) != 7).astype(np.float32),)


def quieter(params: Any, far: Any) -> Any:
    """Return a model by which the broken channel is still, ever more so."""
    still = jnp.arange(12) == 7
    return {
        "load": jnp.where(still[None, :], 0, params["load"]),
        "log_own": params["log_own"] - jnp.where(still, 3 * far, 0),
    }


def height(params: Any, batch: Any) -> jax.Array:
    """Return minus the height of a rocket after 40 pushes, against a wind: fuel costs nothing."""
    (wind,) = batch

    def step(state: Any, push: jax.Array) -> Any:
        up, speed = state
        speed = speed + 0.1 * (push + wind - 1) - 0.05 * speed
        return (up + 0.1 * speed, speed), None

    zero = jnp.zeros_like(wind)
    return -jnp.mean(jax.lax.scan(step, (zero, zero), params["push"])[0][0])


ROCKET = Problem(
    lambda: {"push": np.ones(40, np.float32)},
    height,
    lambda: (np.random.default_rng(9077).normal(size=300).astype(np.float32),),
)

UNBOUNDED: list[tuple[Any, ...]] = [
    (
        "eighth_channels_one_broken",
        Problem(CHANNELS.init, CHANNELS.loss, one_is_broken),
        32,
        500,
        adam(0.02),
        sinking(quieter, 0.1),
        {},
    ),
    (
        "eighth_rocket_free_fuel",
        ROCKET,
        16,
        200,
        sgd(0.5, momentum=0.9),
        sinking(lambda params, far: {"push": params["push"] * 4.0**far}, 0.1),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields, tellable=cause != "unbounded")
    for cause, rows in (("at_chance", CHANCE), ("unbounded", UNBOUNDED))
    for name, *rest, fields in rows
]
