"""Deep nets whose depth is the trouble: linear ones, and ones of sigmoids."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests.diagnosis.scenarios import data, models, proofs
from tests.diagnosis.scenarios.build import instead, learning
from tests.diagnosis.scenarios.rates import sgd


def matrices(depth: int, width: int, size: float, seed: int) -> dict[str, Any]:
    """Return `depth` square matrices with entries of this size."""
    rng = np.random.default_rng(seed)
    return {f"layer{i}": (size * rng.normal(size=(width, width))).astype(np.float32) for i in range(depth)}


def map_points() -> tuple[np.ndarray, ...]:
    """Return 64 points of 6 features and a linear map of them with three large singular values."""
    rng = np.random.default_rng(12)
    x = rng.normal(size=(64, 6))
    q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    y = x @ (q * np.array([3, 2, 1, 0.3, 0.2, 0.1])) + 0.3 * rng.normal(size=(64, 6))
    return x.astype(np.float32), y.astype(np.float32)


def product_loss(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a deep linear network."""
    x, y = batch
    return models.squared(models.deep_linear(params, x), y)


def near_identity(depth: int, size: float, seed: int) -> dict[str, Any]:
    """Return matrices near the identity."""
    return {name: np.eye(6, dtype=np.float32) + w for name, w in matrices(depth, 6, size, seed).items()}


def sorted_points() -> tuple[np.ndarray, ...]:
    """Return 3 clusters of 8 features, well apart."""
    return data.clusters(256, 8, 3, seed=13, apart=1.5)


def taught() -> tuple[np.ndarray, ...]:
    """Return 200 points of a teacher with 2 outputs."""
    return data.teacher(200, 6, seed=14, noise=0.1, outputs=2)


SIGMOID = (8, 10, 10, 10, 10, 10, 10, 10, 3)
FAINT = (6, 10, 10, 10, 10, 10, 10, 2)
TANH = (6, 12, 12, 12, 12, 12, 12, 2)

SCENARIOS = [
    learning(
        "deep_linear_falls",
        "healthy",
        "held",
        300,
        map_points,
        init=lambda: near_identity(4, 0.1, 15),
        loss=product_loss,
        make_tx=sgd(0.003, momentum=0.9),
        proof=proofs.improving(),
    ),
    learning(
        "deep_linear_plateau",
        "saddle_plateau",
        "tune",
        440,
        map_points,
        init=lambda: matrices(2, 6, 1e-4, 16),
        loss=product_loss,
        make_tx=sgd(0.02),
        proof=proofs.saddle(),
    ),
    learning(
        "tanh_small_start_plateau",
        "saddle_plateau",
        "held",
        300,
        taught,
        init=lambda: models.mlp_init((6, 10, 2), 17, gain=1e-4),
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.0015, momentum=0.9),
        proof=proofs.saddle(),
    ),
    learning(
        "deep_linear_blow_up",
        "diverging",
        "tune",
        200,
        map_points,
        init=lambda: near_identity(4, 0.1, 15),
        loss=product_loss,
        make_tx=sgd(0.3, momentum=0.9, nesterov=True),
        proof=proofs.growing(0.1),
    ),
    learning(
        "deep_sigmoid",
        "vanishing_dead",
        "tune",
        1000,
        sorted_points,
        init=lambda: models.mlp_init(SIGMOID, 18),
        loss=models.classify(jax.nn.sigmoid),
        make_tx=sgd(0.1),
        proof=proofs.both(
            proofs.dead(
                ("layer0", "layer1", "layer2"),
                instead(init=lambda: models.mlp_init(SIGMOID, 18, 1.6), loss=models.classify(jnp.tanh)),
                ratio=1e-3,
            ),
            proofs.saddle(push=3.0, drop=0.001),
        ),
        also=("saddle_plateau",),
    ),
    learning(
        "deep_tanh_small_start",
        "vanishing_dead",
        "held",
        800,
        taught,
        init=lambda: models.mlp_init(TANH, 19, gain=0.15),
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.05, momentum=0.9),
        proof=proofs.both(
            proofs.dead(("layer0", "layer1"), instead(init=lambda: models.mlp_init(TANH, 19, gain=1.0)), ratio=1e-3),
            proofs.saddle(push=3.0, steps=1000),
        ),
        also=("saddle_plateau",),
    ),
    learning(
        "deep_tanh_faint_start",
        "vanishing_dead",
        "tune",
        700,
        taught,
        init=lambda: models.mlp_init(FAINT, 81, gain=0.12),
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.08, momentum=0.8),
        proof=proofs.both(
            proofs.dead(("layer0", "layer1"), instead(init=lambda: models.mlp_init(FAINT, 81, gain=1.0)), ratio=1e-3),
            proofs.saddle(push=3.0, steps=1000),
        ),
        also=("saddle_plateau",),
    ),
    learning(
        "deep_linear_nadam_bursts",
        "sigma_burst",
        "held",
        450,
        map_points,
        init=lambda: near_identity(4, 0.1, 15),
        loss=product_loss,
        make_tx=lambda factor=1.0: optax.nadam(factor * 0.1),
        proof=proofs.spiking(lambda: optax.nadam(0.01)),
    ),
]
