"""Perceptrons of tanh units."""

import jax.numpy as jnp

import gradtx
from tests.diagnosis.scenarios import models, proofs
from tests.diagnosis.scenarios.perceptrons import (
    LAYERS,
    alike,
    alive,
    network,
    noisily_taught,
    saturated,
    taught,
    thrice_taught,
)
from tests.diagnosis.scenarios.rates import adam, sgd

SCENARIOS = [
    network(
        "tanh_edge_of_stability",
        "healthy",
        "tune",
        200,
        taught,
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.4),
        proof=proofs.edge_of_stability(),
    ),
    network(
        "tanh_ridge_minimum",
        "converged_minimum",
        "held",
        2000,
        taught,
        sizes=(8, 3, 1),
        loss=models.fit(jnp.tanh, 0.01),
        make_tx=sgd(0.1, momentum=0.9, nesterov=True),
        proof=proofs.minimum(),
    ),
    network(
        "tanh_units_alike",
        "saddle_plateau",
        "tune",
        2500,
        taught,
        init=alike,
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.3),
        proof=proofs.saddle(),
        tellable=False,
    ),
    network(
        "tanh_momentum_blow_up",
        "diverging",
        "tune",
        300,
        taught,
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.6, momentum=0.9),
        proof=proofs.growing(),
    ),
    network(
        "tanh_saturated",
        "vanishing_dead",
        "held",
        800,
        taught,
        init=lambda: saturated(models.mlp_init(LAYERS, seed=7)),
        loss=models.fit(jnp.tanh),
        make_tx=sgd(0.02, momentum=0.9),
        proof=proofs.dead(("layer0", "layer1"), alive),
    ),
    network(
        "tanh_clip_nesterov",
        "always_clipped",
        "held",
        800,
        noisily_taught,
        32,
        loss=models.fit(jnp.tanh),
        make_tx=lambda factor=1.0: gradtx.chain(
            gradtx.clip_by_global_norm(0.005), gradtx.sgd(factor * 0.002, momentum=0.9, nesterov=True)
        ),
        proof=proofs.both(proofs.clipped(0.005, sgd(0.002, momentum=0.9, nesterov=True)), proofs.slow(30.0)),
        also=("crawling",),
    ),
    network(
        "tanh_adam_bursts",
        "sigma_burst",
        "tune",
        1500,
        taught,
        loss=models.fit(jnp.tanh, 1e-4),
        make_tx=adam(0.1),
        proof=proofs.spiking(adam(0.01)),
    ),
    network(
        "tanh_adamw_bursts",
        "sigma_burst",
        "tune",
        1500,
        taught,
        loss=models.fit(jnp.tanh),
        make_tx=lambda factor=1.0: gradtx.adamw(factor * 0.03, weight_decay=0.1),
        proof=proofs.spiking(lambda: gradtx.adamw(0.003, weight_decay=0.1)),
    ),
    network(
        "heavy_ball_edge_of_stability",
        "healthy",
        "held",
        300,
        thrice_taught,
        init=lambda: models.mlp_init((8, 32, 3), seed=50),
        loss=models.fit(jnp.tanh),
        make_tx=sgd(1.8, momentum=0.5),
        proof=proofs.edge_of_stability(),
    ),
]
