"""Runs of the fourth set that are at their end: at a minimum, or beyond all bounds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import fourth_equations, fourth_problems, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fourth_equations import ARM, HIMMELBLAU, MEASURED, POWERS, TUNE
from tests.diagnosis.scenarios.fourth_models import DIFFUSED
from tests.diagnosis.scenarios.fourth_problems import PATIENTS, QUANTILE, fourth
from tests.diagnosis.scenarios.fourth_proofs import at_every_rate, climbing
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.fresh_proofs import runaway
from tests.diagnosis.scenarios.proofs import minimum
from tests.diagnosis.scenarios.rates import sgd


def kept_powers(params: Any, batch: Any) -> jax.Array:
    """Return the loss of the polynomial with a penalty."""
    return fourth_equations.polynomial(params, batch) + 0.01 * models.penalty(params)


def mean_square(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a linear guess."""
    x, y = batch
    return models.squared(x @ params["w"] + params["b"], y)


def linear_clicks() -> Points:
    """Return queries whose clicks follow a linear score exactly."""
    x = fourth_problems.queries()[0]
    score = np.exp(x @ np.random.default_rng(271).normal(size=10))
    return x, (score / score.sum(1, keepdims=True)).astype(np.float32)


def linear_lists(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the clicks under a linear score: at its least every batch has the gradient 0."""
    x, clicks = batch
    return -jnp.mean(jnp.sum(clicks * jax.nn.log_softmax(x @ params["w"]), axis=1))


EXACT = Problem(lambda: {"w": np.zeros(10, np.float32)}, linear_lists, linear_clicks)


KEPT = Problem(POWERS.init, kept_powers, POWERS.points)


def settling(factor: float = 1.0) -> Any:
    """Return Adam whose rate decays to a thousandth."""
    return gradtx.adam(gradtx.schedules.exponential(factor * 0.03, 1, 0.992))


CONVERGED: list[tuple[Any, ...]] = [
    ("fourth_arm_at_rest", ARM, 0, 800, sgd(0.01, momentum=0.9), minimum()),
    ("fourth_himmelblau_found", HIMMELBLAU, 0, 500, lambda f=1.0: optax.adam(f * 0.1), minimum()),
    ("fourth_measured_settled", MEASURED, 0, 900, settling, minimum()),
    ("fourth_patients_settled", PATIENTS, 0, 400, sgd(0.3, momentum=0.9, nesterov=True), minimum()),
    ("fourth_exact_clicks", EXACT, 16, 1500, sgd(0.5, momentum=0.9), minimum()),
    ("fourth_powers_kept", KEPT, 0, 2000, lambda f=1.0: optax.amsgrad(f * 0.02), minimum()),
]


def ramp(factor: float = 1.0) -> Any:
    """Return momentum descent whose rate rises tenfold every 70 steps, as in a search for the largest."""
    return optax.sgd(lambda count: factor * 1e-3 * 10 ** (count / 70), momentum=0.9)


def growing(factor: float = 1.0) -> Any:
    """Return descent whose decay has the wrong sign."""
    return gradtx.chain(gradtx.sgd(factor * 0.05), gradtx.add_decayed_weights(0.02))


def two_places() -> Points:
    """Return the steps between two places of which the second has twice the feature of the first."""
    return np.array([[1.0]], np.float32), np.array([0.0], np.float32), np.array([[2.0]], np.float32)


def bootstrapped(params: Any, batch: Any) -> jax.Array:
    """Return the squared error of a linear value to that of the next place, held fixed."""
    here, reward, there = batch
    target = reward + 0.9 * jax.lax.stop_gradient(there @ params["w"])
    return models.squared(here @ params["w"], target)


def residual(params: Any, batch: Any) -> jax.Array:
    """Return the same error, nothing held fixed."""
    here, reward, there = batch
    return models.squared(here @ params["w"], reward + 0.9 * there @ params["w"])


OFF_POLICY = Problem(lambda: {"w": np.array([0.5], np.float32)}, bootstrapped, two_places)

INCOMES = Problem(QUANTILE.init, mean_square, QUANTILE.points)

DIVERGING: list[tuple[Any, ...]] = [
    ("fourth_off_policy_values", OFF_POLICY, 0, 300, sgd(0.05), at_every_rate((0.3, 3.0), residual)),
    ("fourth_powers_blow_up", POWERS, 0, 400, sgd(1.6), runaway(0.3)),
    ("fourth_diffused_ramp", DIFFUSED, 64, 220, ramp, runaway(1e-3)),
    ("fourth_tune_momentum", TUNE, 0, 200, sgd(0.6, momentum=0.99), runaway(0.01)),
    ("fourth_patients_growing", PATIENTS, 0, 300, growing, climbing(lambda: optax.sgd(0.05))),
    ("fourth_incomes_blow_up", INCOMES, 32, 200, sgd(1.8), runaway(0.1)),
]
SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest)
    for cause, rows in (("converged_minimum", CONVERGED), ("diverging", DIVERGING))
    for name, *rest in rows
]
