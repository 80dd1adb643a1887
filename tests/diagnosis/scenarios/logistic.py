"""Softmax regression on clusters of points."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import data, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import Data, learning
from tests.diagnosis.scenarios.rates import sgd

loss = models.classify(jax.nn.relu)  # of one layer: softmax regression


def ridge(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy with a penalty of 0.01 on the squares."""
    return loss(params, batch) + 0.01 * models.penalty(params)


def logistic(
    name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, bf16: bool = False, **fields: Any
) -> Scenario:
    """Return a scenario on these points, from 0; size 0 is full batch."""
    kind = np.dtype(jnp.bfloat16) if bf16 else np.dtype(np.float32)

    def init() -> Any:
        x, labels = points()
        classes = int(labels.max()) + 1
        return {"layer0": {"w": np.zeros((x.shape[1], classes), kind), "b": np.zeros(classes, kind)}}

    return learning(name, cause, half, steps, points, size, **{"init": init, "loss": loss, **fields})


def far_apart() -> tuple[np.ndarray, ...]:
    """Return 3 clusters of 8 features with hardly any overlap."""
    return data.clusters(300, 8, 3, seed=4, apart=2.0)


def close() -> tuple[np.ndarray, ...]:
    """Return 4 clusters of 10 features that overlap, a tenth of the labels wrong."""
    return data.clusters(1024, 10, 4, seed=5, apart=0.5, flipped=0.1)


def scattered() -> tuple[np.ndarray, ...]:
    """Return 5 clusters of 20 features, a fifth of the labels wrong."""
    return data.clusters(1024, 20, 5, seed=6, apart=0.7, flipped=0.2)


SCENARIOS = [
    logistic(
        "softmax_optax_momentum",
        "healthy",
        "held",
        400,
        far_apart,
        16,
        make_tx=lambda factor=1.0: optax.sgd(factor * 0.0005, momentum=0.9),
        proof=proofs.improving(),
    ),
    logistic(
        "softmax_bounce",
        "oscillating",
        "tune",
        800,
        scattered,
        make_tx=sgd(6.0),
        proof=proofs.bouncing(0.5, drop=0.1),
    ),
    logistic(
        "softmax_adam_tiny_rate",
        "crawling",
        "tune",
        1500,
        close,
        32,
        make_tx=lambda factor=1.0: gradtx.adam(factor * 2e-6),
        proof=proofs.slow(30.0),
    ),
    logistic(
        "softmax_ridge_adam",
        "converged_minimum",
        "tune",
        1200,
        close,
        loss=ridge,
        make_tx=lambda factor=1.0: gradtx.adam(gradtx.schedules.exponential(factor * 0.05, 1, 0.994)),
        proof=proofs.minimum(),
    ),
    logistic(
        "softmax_momentum_floor",
        "noise_floor",
        "tune",
        1000,
        close,
        16,
        make_tx=sgd(0.1, momentum=0.9),
        proof=proofs.noisy(),
    ),
    logistic(
        "softmax_bfloat16_floor",
        "noise_floor",
        "held",
        1000,
        scattered,
        16,
        bf16=True,
        make_tx=sgd(0.05, momentum=0.9, nesterov=True),
        proof=proofs.noisy(),
    ),
    logistic(
        "softmax_clip",
        "always_clipped",
        "tune",
        800,
        far_apart,
        16,
        make_tx=lambda factor=1.0: gradtx.chain(gradtx.clip_by_global_norm(1e-3), gradtx.sgd(factor * 0.1)),
        proof=proofs.both(proofs.clipped(1e-3, lambda: gradtx.sgd(0.1)), proofs.slow(30.0)),
        also=("crawling",),
    ),
]
