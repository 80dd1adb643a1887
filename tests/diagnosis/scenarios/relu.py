"""Perceptrons of relu units."""

from typing import Any

import jax
import numpy as np

from tests.diagnosis.scenarios import data, models, proofs
from tests.diagnosis.scenarios.build import WIDE, instead, poisoned
from tests.diagnosis.scenarios.perceptrons import (
    LAYERS,
    alive,
    classify,
    groups,
    killed,
    much_taught,
    network,
    noisily_taught,
    taught,
)
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, long_rms, sgd, warmed


def folded() -> tuple[np.ndarray, ...]:
    """Return 4096 points of a plane folded twice, with noise."""
    rng = np.random.default_rng(53)
    x = rng.normal(size=(4096, 8))
    y = x[:, 0] - 0.5 * x[:, 1] + 2 * np.abs(x[:, 2]) + np.abs(x[:, 3]) + 0.5 * rng.normal(size=4096)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def branched(bias: float) -> Any:
    """Return a linear model beside a layer of relu units with these biases."""
    rng = np.random.default_rng(52)
    skip, branch, out = models.dense(rng, 8, 1), models.dense(rng, 8, 24, bias=bias), models.dense(rng, 24, 1)
    return {"skip": skip, "branch": {**branch, "out": out["w"]}}


def branch_loss(params: Any, batch: Any) -> jax.Array:
    """Return the loss of the sum of both."""
    x, y = batch
    hidden = jax.nn.relu(models.affine(params["branch"], x))
    return models.squared(models.affine(params["skip"], x) + hidden @ params["branch"]["out"], y)


SCENARIOS = [
    network(
        "relu_adam",
        "healthy",
        "tune",
        600,
        groups,
        32,
        sizes=WIDE,
        loss=classify,
        make_tx=adam(3e-4),
        proof=proofs.improving(),
    ),
    network(
        "relu_slow_descent",
        "crawling",
        "tune",
        1000,
        taught,
        loss=models.fit(jax.nn.relu),
        make_tx=sgd(1e-5),
        proof=proofs.slow(30.0),
    ),
    network(
        "relu_adam_floor",
        "noise_floor",
        "tune",
        1500,
        much_taught,
        8,
        sizes=(8, 16, 1),
        loss=models.fit(jax.nn.relu),
        make_tx=adam(0.05),
        proof=proofs.noisy(),
    ),
    network(
        "relu_nan_in_batch",
        "non_finite",
        "tune",
        300,
        groups,
        32,
        sizes=WIDE,
        batch=poisoned(data.minibatches(groups(), 32), 137, 138, row=3),
        loss=classify,
        make_tx=sgd(0.05, momentum=0.9),
        proof=proofs.clean_but_for_a_step(instead(batch=data.minibatches(groups(), 32))),
    ),
    network(
        "relu_dead_layer",
        "vanishing_dead",
        "tune",
        800,
        noisily_taught,
        16,
        init=lambda: killed(models.mlp_init(LAYERS, seed=7)),
        loss=models.fit(jax.nn.relu),
        make_tx=adam(0.003),
        proof=proofs.dead(("layer0", "layer1"), alive),
    ),
    network(
        "relu_cold_rms",
        "needs_warmup",
        "tune",
        400,
        noisily_taught,
        32,
        loss=models.fit(jax.nn.relu),
        make_tx=warmed(long_rms, 0.025),
        proof=proofs.cold_start(warmed(long_rms, 0.025, 200), drop=0.4),
    ),
    network(
        "relu_cold_adagrad",
        "needs_warmup",
        "tune",
        400,
        taught,
        loss=models.fit(jax.nn.relu),
        make_tx=warmed(empty_adagrad, 1.0),
        proof=proofs.cold_start(warmed(empty_adagrad, 1.0, 100)),
    ),
    network(
        "relu_dead_branch_floor",
        "vanishing_dead",
        "tune",
        1000,
        folded,
        4,
        init=lambda: branched(bias=-50.0),
        loss=branch_loss,
        make_tx=sgd(0.1),
        proof=proofs.both(proofs.dead(("branch",), instead(init=lambda: branched(bias=0.0))), proofs.noisy()),
        also=("noise_floor",),
    ),
]
