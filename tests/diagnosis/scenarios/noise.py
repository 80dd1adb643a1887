"""Runs whose cause the noise of the batches hides: a decay, a crawl, a fall, a guess; and saddles beside what falls."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import counterfactuals, data, images, linear, logistic, models, proofs, sequences
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import WIDE, instead, learning
from tests.diagnosis.scenarios.images import net
from tests.diagnosis.scenarios.levels import balanced, shuffled
from tests.diagnosis.scenarios.linear import linear as line
from tests.diagnosis.scenarios.logistic import logistic as softmax
from tests.diagnosis.scenarios.perceptrons import classify, groups, network, noisily_taught
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.standing import adamw, decayed_sgd


def faint_line() -> tuple[np.ndarray, ...]:
    """Return 4096 points of 12 features, target noise 3."""
    return data.linear(4096, 12, seed=91, noise=3.0)


def wrong_way() -> Any:
    """Return weights that give the classes of `balanced` to each other."""
    x, labels = balanced()
    centres = np.stack([x[labels == k].mean(0) for k in range(5)])
    return {"layer0": {"w": 0.3 * np.roll(centres, 1, axis=0).T.astype(np.float32), "b": np.zeros(5, np.float32)}}


def uneven() -> tuple[np.ndarray, ...]:
    """Return 3 clusters, one of them six times the others."""
    x, labels = data.clusters(900, 8, 3, seed=92, apart=1.5)
    rows = np.concatenate([np.flatnonzero(labels == k)[: 240 if k == 0 else 40] for k in range(3)])
    return x[rows], labels[rows]


def factored(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a product of two matrices and an offset."""
    x, labels = batch
    return models.cross_entropy(x @ params["into"] @ params["out"] + params["offset"][None, :], labels)


def faint_factors() -> Any:
    """Return matrices of almost 0, and no offset."""
    rng = np.random.default_rng(93)
    into, out = rng.normal(size=(8, 4)), rng.normal(size=(4, 3))
    factors = {name: (1e-5 * x).astype(np.float32) for name, x in (("into", into), ("out", out))}
    return {**factors, "offset": np.zeros(3, np.float32)}


SCENARIOS: list[Scenario] = [
    line(
        "linear_penalty_of_batches",
        "decay_bound",
        "tune",
        800,
        linear.round_points,
        4,
        make_tx=decayed_sgd(0.02, 3.0),
        proof=counterfactuals.better_with(decayed_sgd(0.02, 0.0)),
    ),
    sequences.model(
        "transformer_adamw_decay",
        "decay_bound",
        "tune",
        500,
        sequences.certain,
        16,
        make_tx=adamw(0.003, 8.0),
        proof=counterfactuals.better_with(adamw(0.003, 0.0)),
    ),
    network(
        "relu_sgd_decay_to_zero",
        "decay_bound",
        "tune",
        600,
        groups,
        8,
        sizes=WIDE,
        loss=classify,
        make_tx=decayed_sgd(0.05, 0.7),
        proof=counterfactuals.better_with(decayed_sgd(0.05, 0.0)),
    ),
    softmax(
        "softmax_adamw_usual_decay",
        "noise_floor",
        "tune",
        1000,
        logistic.close,
        8,
        make_tx=adamw(0.1, 0.01),
        proof=proofs.noisy(),
    ),
    network(
        "relu_overconfident_labels_shuffled",
        "at_chance",
        "tune",
        1500,
        balanced,
        64,
        batch=shuffled(balanced, 64),
        init=lambda: models.mlp_init(WIDE, seed=94, gain=1.6),
        loss=classify,
        make_tx=adam(5e-4),
        proof=counterfactuals.guessing(5, instead(batch=data.minibatches(balanced(), 64)), near=0.15),
    ),
    softmax(
        "softmax_forgets_its_weights",
        "at_chance",
        "tune",
        500,
        balanced,
        32,
        batch=shuffled(balanced, 32),
        init=wrong_way,
        make_tx=sgd(0.02, momentum=0.5),
        proof=counterfactuals.guessing(5, instead(batch=data.minibatches(balanced(), 32)), near=0.15),
    ),
    softmax(
        "softmax_falls_through_chance",
        "healthy",
        "tune",
        210,
        balanced,
        64,
        init=wrong_way,
        make_tx=sgd(0.0018, momentum=0.5),
        proof=counterfactuals.falling(),
    ),
    net(
        "conv_crawl_of_batches",
        "crawling",
        "tune",
        600,
        images.clear,
        8,
        make_tx=sgd(1e-5, momentum=0.9),
        proof=proofs.slow(100.0),
    ),
    network(
        "tanh_crawl_of_batches",
        "crawling",
        "tune",
        1200,
        noisily_taught,
        4,
        loss=models.fit(jnp.tanh),
        make_tx=sgd(1e-5),
        proof=proofs.slow(100.0),
    ),
    line(
        "linear_falls_through_noise",
        "healthy",
        "tune",
        500,
        faint_line,
        16,
        make_tx=sgd(0.0013),
        proof=counterfactuals.falling(share=0.5),
    ),
    network(
        "tanh_falls_through_noise",
        "healthy",
        "tune",
        500,
        noisily_taught,
        8,
        loss=models.fit(jnp.tanh),
        make_tx=adam(2e-4),
        proof=counterfactuals.falling(share=0.5),
    ),
    learning(
        "factors_beside_an_offset",
        "saddle_plateau",
        "tune",
        300,
        uneven,
        init=faint_factors,
        loss=factored,
        make_tx=sgd(0.006, momentum=0.5),
        proof=proofs.saddle(push=0.5, flat=0.5),
        tellable=False,
    ),
    network(
        "relu_slow_start",
        "crawling",
        "tune",
        300,
        groups,
        sizes=WIDE,
        loss=classify,
        make_tx=sgd(0.001),
        proof=proofs.slow(30.0),
    ),
]
