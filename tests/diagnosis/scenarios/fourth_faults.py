"""Runs of the fourth set whose fault is in the loss or the data: NaN, a bad batch, a wrong restart."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.diagnosis.scenarios import data, fourth_equations, fourth_problems, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.fourth_equations import MEASURED
from tests.diagnosis.scenarios.fourth_models import BRANCHES, LETTERS
from tests.diagnosis.scenarios.fourth_problems import FEW_WORDS, PATIENTS, SENSORS, fourth
from tests.diagnosis.scenarios.fourth_proofs import never_finite
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.fresh_proofs import lost
from tests.diagnosis.scenarios.proofs import clean_but_for_a_step
from tests.diagnosis.scenarios.rates import adam, sgd

Batches = Callable[[Any], Any]


def drawn(points: Callable[[], Points], size: int) -> Batches:
    """Return the minibatches that a run of this set has unless it is told otherwise."""
    return data.minibatches(points(), size, seed=7)


def changed(clean: Batches, step: int, change: Callable[..., Any]) -> Batches:
    """Return minibatches of which that of one step is changed."""

    def batch(count: Any) -> Any:
        parts = clean(count)
        return tuple(jnp.where(count == step, new, old) for new, old in zip(change(*parts), parts, strict=True))

    return batch


def with_a_rare_word(count: Any) -> Any:
    """Return pairs of words; from step 150 on the first of them is a word that was not seen before."""
    first, other, same = drawn(FEW_WORDS.points, 64)(count)
    return jnp.where((count >= 150) & (jnp.arange(64) == 0), 12, first), other, same


def all_censored(x: jax.Array, time: jax.Array, seen: jax.Array) -> Any:
    """Return patients none of whom was watched to the end."""
    return x, time, 0 * seen


def exact() -> Points:
    """Return a smooth function without noise."""
    x = fourth_equations.measured()[0]
    return x, np.sin(2 * x)


def without_jitter(jitter: float) -> Any:
    """Return the loss of a Gaussian process with this much added to its diagonal."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        gap = jnp.square(x[:, None] - x[None, :]) * jnp.exp(-2 * params["log_length"])
        noise = jnp.exp(2 * params["log_noise"]) + jitter
        root = jnp.linalg.cholesky(jnp.exp(2 * params["log_size"] - 0.5 * gap) + noise * jnp.eye(30, dtype=jnp.float32))
        half = jax.scipy.linalg.solve_triangular(root, y, lower=True)
        return (0.5 * jnp.sum(jnp.square(half)) + jnp.sum(jnp.log(jnp.diagonal(root)))) / 30

    return loss


def dead_sensor() -> Points:
    """Return the sensors, one of which sends NaN."""
    x, y = fourth_problems.sensors(0.0)
    return np.where(np.arange(6) == 3, np.float32(np.nan), x), y


def plain_density(params: Any, batch: Any) -> jax.Array:
    """Return the loss of the mixture from densities, not from their logarithms: 0 for a point far away."""
    x, y = batch
    out = models.mlp(params, x[:, None], jnp.tanh)
    std = jnp.exp(out[:, 6:] - 1)
    density = jnp.exp(-0.5 * jnp.square((y[:, None] - out[:, 3:6]) / std)) / std
    return -jnp.mean(jnp.log(jnp.sum(jax.nn.softmax(out[:, :3]) * density, axis=1)))


def far_off(x: jax.Array, y: jax.Array) -> Any:
    """Return a batch whose first point has a target far away."""
    return x, jnp.where(jnp.arange(32) == 0, jnp.float32(60), y)


NOT_FINITE: list[tuple[Any, ...]] = [
    (
        "fourth_patients_no_event",
        PATIENTS,
        16,
        300,
        sgd(0.05),
        clean_but_for_a_step(cleaned(drawn(PATIENTS.points, 16))),
        {"batch": changed(drawn(PATIENTS.points, 16), 170, all_censored)},
    ),
    (
        "fourth_rare_word_eps_zero",
        FEW_WORDS,
        64,
        300,
        lambda f=1.0: optax.adam(f * 0.01, eps=0.0),
        clean_but_for_a_step(instead(make_tx=adam(0.01))),
        {"batch": with_a_rare_word},
    ),
    (
        "fourth_exact_process",
        Problem(MEASURED.init, without_jitter(0.0), exact),
        0,
        600,
        adam(0.05),
        clean_but_for_a_step(instead(loss=without_jitter(1e-3))),
        {},
    ),
    (
        "fourth_sensors_all_skipped",
        Problem(SENSORS.init, SENSORS.loss, dead_sensor),
        16,
        300,
        lambda f=1.0: optax.apply_if_finite(optax.adam(f * 3e-3), 10_000),
        never_finite(cleaned(drawn(lambda: fourth_problems.sensors(0.0), 16)), skipped=True),
        {"also": ("not_moving",)},
    ),
    (
        "fourth_branches_plain_density",
        Problem(BRANCHES.init, plain_density, BRANCHES.points),
        32,
        400,
        adam(3e-3),
        clean_but_for_a_step(instead(loss=BRANCHES.loss)),
        {"batch": changed(drawn(BRANCHES.points, 32), 230, far_off)},
    ),
]

JUMP = 220  # the step at which runs are thrown


def spike(make_tx: Any, rate: float, times: float, length: int = 5) -> Any:
    """Return the factory of a transform whose rate is too large for some steps, as by a wrong restart."""

    def make(factor: float = 1.0) -> Any:
        def eta(count: Any) -> jax.Array:
            return (
                factor * rate * jnp.where((count >= JUMP) & (count < JUMP + length), jnp.float32(times), jnp.float32(1))
            )

        return make_tx(eta)

    return make


THROWN: list[tuple[Any, ...]] = [
    (
        "fourth_letters_wrong_restart",
        LETTERS,
        16,
        500,
        spike(optax.adam, 5e-4, 2000.0),
        lost(JUMP, instead(make_tx=adam(5e-4)), rise=1.5),
        {},
    ),
]


SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest, **fields)
    for cause, rows in (("non_finite", NOT_FINITE), ("collapsed", THROWN))
    for name, *rest, fields in rows
]
