"""Runs of the third set that the size of the step decides: too small, too large, or right but for the noise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import fresh_models, fresh_problems, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_healthy import TEACHER
from tests.diagnosis.scenarios.fresh_models import PHYSICS, SHEET, SIGNALS, STRING, THIN, WAITS
from tests.diagnosis.scenarios.fresh_problems import FLOW, RATINGS, WAVES, Problem, fresh
from tests.diagnosis.scenarios.fresh_proofs import bounce, floor, runaway
from tests.diagnosis.scenarios.rates import adam, sgd


def stiff() -> tuple[np.ndarray, ...]:
    """Return Hilbert's matrix of order 4 and a right side that has as much along each of its axes."""
    h = 1.0 / (1 + np.arange(4)[:, None] + np.arange(4)[None, :])
    return h.astype(np.float32), np.linalg.eigh(h)[1].sum(1).astype(np.float32)


def residual(params: Any, batch: Any) -> jax.Array:
    """Return the sum of the squares of h x - y."""
    h, y = batch
    return 50 * jnp.sum(jnp.square(h @ params["x"] - y))


HILBERT = Problem(lambda: {"x": np.zeros(4, np.float32)}, residual, stiff)

NOISY_BAGS = Problem(fresh_models.no_words, fresh_models.opinion, lambda: fresh_models.bags(0.3))


def known_words() -> Any:
    """Return the weights where the mean logistic loss, with a little penalty, is least: Newton's method in float64."""
    x, y = (a.astype(np.float64) for a in fresh_models.bags(0.3))
    x = np.column_stack([x, np.ones(len(x))])
    w = np.zeros(61)
    for _ in range(12):
        p = 1 / (1 + np.exp(-x @ w))
        h = (x * (p * (1 - p))[:, None]).T @ x / len(x) + 1e-4 * np.eye(61)
        w = w - np.linalg.solve(h, x.T @ (p - y) / len(x) + 1e-4 * w)
    return {"words": w[:-1].astype(np.float32), "offset": np.float32(w[-1])}


FINE = Problem(known_words, fresh_models.opinion, lambda: fresh_models.bags(0.3))
MUDDLED = Problem(fresh_models.conv1d_init, fresh_models.waveform, lambda: fresh_models.signals(4000, 1.0, 0.3))
ROUGH = Problem(fresh_problems.factors(0.5), fresh_problems.completion, lambda: fresh_problems.ratings(0.6))


def kept(params: Any, batch: Any) -> jax.Array:
    """Return the loss of waiting times with a penalty."""
    return fresh_models.waiting(params, batch) + 0.02 * models.penalty(params)


def wrong_sign(factor: float = 1.0) -> Any:
    """Return Adam whose updates are added without the minus sign, as a chain of optax is easily written."""
    return optax.chain(optax.scale_by_adam(), optax.scale(factor * 2e-3))


def decaying(make: Any, rate: float, per_step: float) -> Any:
    """Return the factory of a transform whose rate is multiplied by a number at each step."""
    return lambda factor=1.0: make(gradtx.schedules.exponential(factor * rate, 1, per_step))


def by_hand(factor: float = 1.0) -> Any:
    """Return optax's Adam whose rate falls away within the first steps."""
    return optax.adam(optax.exponential_decay(factor * 1e-3, 5, 0.8))


TOP = 2 - 2 * np.cos(24 * np.pi / 25)  # the largest curvature of the string

SCENARIOS: list[Scenario] = [
    fresh(
        "fresh_hilbert_descent",
        "crawling",
        HILBERT,
        0,
        2000,
        sgd(0.004),
        proofs.slow(other=lambda: gradtx.sgd(0.004, momentum=0.99)),
    ),
    fresh("fresh_physics_small_steps", "crawling", PHYSICS, 0, 1000, sgd(3e-6), proofs.slow(30.0)),
    fresh("fresh_gru_tiny_rate", "crawling", WAVES, 16, 500, adam(1e-6), proofs.slow(100.0)),
    fresh(
        "fresh_ratings_adadelta",
        "crawling",
        RATINGS,
        64,
        600,
        lambda f=1.0: gradtx.adadelta(f * 0.1),
        proofs.slow(300.0),
    ),
    fresh(
        "fresh_signals_rate_gone", "crawling", SIGNALS, 32, 600, by_hand, proofs.slow(other=lambda: optax.adam(1e-3))
    ),
    fresh(
        "fresh_waits_floor",
        "noise_floor",
        WAITS,
        4,
        1000,
        lambda f=1.0: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(f * 0.05, momentum=0.9)),
        floor(),
    ),
    fresh("fresh_known_words_one", "noise_floor", FINE, 1, 1500, sgd(0.1), floor()),
    fresh(
        "fresh_known_words_adamw",
        "noise_floor",
        FINE,
        4,
        800,
        lambda f=1.0: gradtx.adamw(f * 0.03),
        floor(),
    ),
    fresh(
        "fresh_muddled_signals",
        "noise_floor",
        MUDDLED,
        16,
        1500,
        lambda f=1.0: gradtx.amsgrad(f * 0.05),
        floor(),
    ),
    fresh(
        "fresh_rough_ratings_lion",
        "noise_floor",
        ROUGH,
        16,
        1500,
        lambda f=1.0: gradtx.lion(f * 0.02, weight_decay=0.0),
        proofs.noisy(),
    ),
    fresh("fresh_flow_floor", "noise_floor", FLOW, 8, 1500, lambda f=1.0: gradtx.adan(f * 0.05), floor()),
    fresh(
        "fresh_string_bounce",
        "oscillating",
        STRING,
        0,
        1500,
        sgd(0.99999 * 2 / TOP),
        bounce(),
        init=lambda: {"height": np.where(np.arange(24) % 2, 0.6, -0.4).astype(np.float32)},
    ),
    fresh("fresh_ratings_bounce", "oscillating", RATINGS, 0, 800, sgd(30.0), bounce()),
    fresh(
        "fresh_code_signs", "oscillating", THIN, 0, 500, lambda f=1.0: gradtx.sign_sgd(f * 0.03), proofs.bouncing(0.25)
    ),
    fresh(
        "fresh_words_lion",
        "oscillating",
        NOISY_BAGS,
        0,
        600,
        lambda f=1.0: gradtx.lion(f * 0.1, weight_decay=0.0),
        bounce(0.1),
    ),
    fresh("fresh_ratings_blow_up", "diverging", RATINGS, 32, 200, sgd(6.0), runaway(0.1)),
    fresh("fresh_flow_wrong_sign", "diverging", FLOW, 64, 250, wrong_sign, runaway(-1.0)),
    fresh("fresh_vae_blow_up", "diverging", SHEET, 32, 250, sgd(2e-3, momentum=0.9), runaway(0.05)),
    fresh(
        "fresh_teacher_ramp",
        "diverging",
        TEACHER,
        32,
        400,
        lambda f=1.0: gradtx.sgd(gradtx.schedules.linear(0.0, f * 20.0, 400), momentum=0.9),
        runaway(0.01),
    ),
    fresh("fresh_waits_blow_up", "diverging", WAITS, 0, 200, sgd(1.2), runaway(0.1)),
    fresh(
        "fresh_waits_kept",
        "converged_minimum",
        Problem(WAITS.init, kept, WAITS.points),
        0,
        800,
        sgd(0.05, momentum=0.9),
        proofs.minimum(),
    ),
    fresh(
        "fresh_string_at_rest",
        "converged_minimum",
        STRING,
        0,
        1500,
        lambda f=1.0: optax.sgd(f * 0.05, momentum=0.95, nesterov=True),
        proofs.minimum(),
    ),
    fresh(
        "fresh_thirds_found",
        "converged_minimum",
        Problem(
            fresh_models.three(),
            lambda p, b: fresh_models.mixture(p, b) + 0.01 * models.penalty({"weight": p["weight"]}),
            fresh_models.thirds,
        ),
        0,
        1000,
        decaying(gradtx.adabelief, 0.05, 0.992),
        proofs.minimum(),
    ),
    fresh(
        "fresh_words_cosine",
        "converged_minimum",
        Problem(
            fresh_models.no_words,
            lambda p, b: fresh_models.opinion(p, b) + 0.01 * models.penalty(p),
            lambda: fresh_models.bags(0.1),
        ),
        0,
        800,
        lambda f=1.0: gradtx.adamax(gradtx.schedules.cosine(f * 0.05, 800, 0.02)),
        proofs.minimum(),
    ),
]
