"""Linear regression: full batch and minibatches, well and badly conditioned."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import data, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import Data, instead, learning
from tests.diagnosis.scenarios.rates import sgd


def loss(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of x w + b."""
    x, y = batch
    w, b = params["w"].astype(jnp.float32), params["b"].astype(jnp.float32)
    return models.squared(x @ w + b, y)


def ridge(params: Any, batch: Any) -> jax.Array:
    """Return the loss with a penalty of 0.05 on the squares."""
    return loss(params, batch) + 0.05 * models.penalty(params)


def linear(
    name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, bf16: bool = False, **fields: Any
) -> Scenario:
    """Return a scenario on these points, from 0; size 0 is full batch."""
    kind = np.dtype(jnp.bfloat16) if bf16 else np.dtype(np.float32)
    zeros = lambda: {"w": np.zeros(points()[0].shape[1], kind), "b": np.zeros((), kind)}  # noqa: E731
    return learning(name, cause, half, steps, points, size, **{"loss": loss, "init": zeros, **fields})


def robust(params: Any, batch: Any) -> jax.Array:
    """Return the mean log cosh of three times the error: outliers count by their size, not its square."""
    x, y = batch
    error = 3 * (x @ params["w"] + params["b"] - y)
    return jnp.mean(jnp.logaddexp(error, -error)) - np.float32(np.log(2))


def round_points() -> tuple[np.ndarray, ...]:
    """Return 512 points of 12 features, target noise 0.5."""
    return data.linear(512, 12, seed=1, noise=0.5)


def long_points() -> tuple[np.ndarray, ...]:
    """Return 400 points of 10 features, the last 30 times the first in size."""
    return data.linear(400, 10, seed=2, noise=0.3, spread=30.0)


def years() -> tuple[np.ndarray, ...]:
    """Return a line over calendar years, in centuries: far from 0, so that slope and offset are hard to tell."""
    rng = np.random.default_rng(31)
    x = np.arange(1960, 2020, 2)
    y = 0.02 * (x - 1960) + 14 + 0.1 * rng.normal(size=x.size)
    return (x[:, None] / 100).astype(np.float32), y.astype(np.float32)


def sharpness(points: Data) -> float:
    """Return the largest eigenvalue of the loss's Hessian."""
    x = np.column_stack([points()[0], np.ones(len(points()[0]))]).astype(np.float64)
    return float(np.linalg.eigvalsh(x.T @ x / len(x))[-1])


def poisson(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of counts, whose rate is exp(x w + b)."""
    x, y = batch
    log_rate = x @ params["w"] + params["b"]
    return jnp.mean(jnp.exp(log_rate) - y * log_rate)


def counts() -> tuple[np.ndarray, ...]:
    """Return points and Poisson counts."""
    x, y = data.linear(512, 6, seed=3, noise=0.0)
    rates = np.exp(0.3 * y.clip(-4, 4))
    return x, np.random.default_rng(3).poisson(rates).astype(np.float32)


def outlier_at(step: int, size: int) -> Callable[[Any], Any]:
    """Return minibatches, at one step with features 1e5 times too large."""
    clean = data.minibatches(counts(), size)

    def batch(count: Any) -> Any:
        x, y = clean(count)
        return jnp.where(count == step, 1e5, 1.0) * x, y

    return batch


SCENARIOS = [
    linear(
        "linear_minibatch_floor",
        "noise_floor",
        "tune",
        1000,
        round_points,
        8,
        make_tx=sgd(0.12),
        proof=proofs.noisy(),
    ),
    linear(
        "linear_momentum_bounce",
        "oscillating",
        "held",
        800,
        long_points,
        make_tx=sgd(0.999999 * 2 * (1 + 0.9) / sharpness(long_points), momentum=0.9),
        proof=proofs.bouncing(0.5),
    ),
    linear(
        "linear_adagrad_crawl",
        "crawling",
        "tune",
        1500,
        long_points,
        make_tx=lambda factor=1.0: gradtx.adagrad(factor * 1e-4),
        proof=proofs.slow(30.0),
    ),
    linear(
        "ridge_bfloat16_diverges",
        "diverging",
        "held",
        300,
        long_points,
        bf16=True,
        loss=ridge,
        make_tx=sgd(0.0035, momentum=0.9, nesterov=True),
        proof=proofs.growing(),
    ),
    linear(
        "ridge_nesterov_minimum",
        "converged_minimum",
        "held",
        1200,
        round_points,
        loss=ridge,
        make_tx=lambda factor=1.0: optax.sgd(factor * 0.2, momentum=0.8, nesterov=True),
        proof=proofs.minimum(),
    ),
    linear(
        "poisson_outlier_overflow",
        "non_finite",
        "tune",
        400,
        counts,
        32,
        loss=poisson,
        make_tx=lambda factor=1.0: gradtx.adam(factor * 0.01),
        batch=outlier_at(233, 32),
        proof=proofs.clean_but_for_a_step(instead(batch=data.minibatches(counts(), 32))),
    ),
    linear(
        "years_adam_bursts",
        "sigma_burst",
        "held",
        840,
        years,
        make_tx=lambda factor=1.0: gradtx.adam(factor * 0.3, b2=0.99),
        proof=proofs.spiking(lambda: gradtx.adam(0.03, b2=0.99)),
    ),
    linear(
        "robust_nesterov_bounce",
        "oscillating",
        "held",
        800,
        long_points,
        loss=robust,
        make_tx=sgd(0.001, momentum=0.5, nesterov=True),
        proof=proofs.bouncing(0.5),
    ),
]
