"""A transformer of one layer on sequences from a Markov chain."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import data, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import Data, instead, learning
from tests.diagnosis.scenarios.rates import empty_adagrad, warmed


def loss(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the next token."""
    (tokens,) = batch
    scores = models.transformer(params, tokens[:, :-1])
    return models.cross_entropy(scores.reshape(-1, scores.shape[-1]), tokens[:, 1:].reshape(-1))


def masked(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy where the padding, token 0, is hidden from attention."""
    (tokens,) = batch
    scores = models.transformer(params, tokens[:, :-1], tokens[:, :-1] > 0)
    return models.cross_entropy(scores.reshape(-1, scores.shape[-1]), tokens[:, 1:].reshape(-1))


def start() -> Any:
    """Return the usual params."""
    return models.transformer_init(seed=24)


def certain() -> tuple[np.ndarray, ...]:
    """Return 512 sequences whose next token is nearly certain."""
    return data.sequences(512, seed=25, sharp=6.0)


def uncertain() -> tuple[np.ndarray, ...]:
    """Return 1024 sequences whose next token is rather uncertain."""
    return data.sequences(1024, seed=26, sharp=1.5)


def unpadded() -> tuple[np.ndarray, ...]:
    """Return sequences that begin with a token other than padding."""
    (tokens,) = certain()
    return (np.where(np.arange(tokens.shape[1])[None, :] == 0, np.maximum(tokens, 1), tokens),)


def small() -> tuple[np.ndarray, ...]:
    """Return 24 sequences."""
    return data.sequences(24, seed=27, sharp=2.0)


def model(name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, **fields: Any) -> Scenario:
    """Return a scenario on these sequences; size 0 is full batch."""
    return learning(name, cause, half, steps, points, size, **{"init": start, "loss": loss, **fields})


def all_padding(step: int, size: int) -> Callable[[Any], Any]:
    """Return minibatches, one of which has a sequence of nothing but padding."""
    clean = data.minibatches(unpadded(), size)

    def batch(count: Any) -> Any:
        (tokens,) = clean(count)
        return (jnp.where((count == step) & (jnp.arange(size) == 1)[:, None], 0, tokens),)

    return batch


def warm_clip(factor: float = 1.0) -> gradtx.Transform:
    """Return AdamW behind a clip that acts now and then, warmed up."""
    eta = gradtx.schedules.warmup_cosine(factor * 0.0005, warmup_steps=40, decay_steps=800)
    return gradtx.chain(gradtx.clip_by_global_norm(0.8), gradtx.adamw(eta, weight_decay=0.01))


SCENARIOS = [
    model(
        "transformer_warm_clip",
        "healthy",
        "held",
        250,
        certain,
        32,
        make_tx=warm_clip,
        proof=proofs.improving(),
    ),
    model(
        "transformer_nadamw",
        "healthy",
        "tune",
        250,
        small,
        make_tx=lambda factor=1.0: gradtx.nadamw(factor * 0.001),
        proof=proofs.improving(),
    ),
    model(
        "transformer_tiny_rate",
        "crawling",
        "held",
        400,
        certain,
        16,
        make_tx=lambda factor=1.0: gradtx.sgd(factor * 3e-6, momentum=0.9),
        proof=proofs.slow(30.0),
    ),
    model(
        "transformer_adamw_floor",
        "noise_floor",
        "held",
        600,
        uncertain,
        4,
        make_tx=lambda factor=1.0: gradtx.adamw(factor * 0.05),
        proof=proofs.noisy(),
    ),
    model(
        "transformer_all_padding",
        "non_finite",
        "held",
        250,
        unpadded,
        8,
        loss=masked,
        batch=all_padding(149, 8),
        make_tx=lambda factor=1.0: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(factor * 0.003)),
        proof=proofs.clean_but_for_a_step(instead(batch=data.minibatches(unpadded(), 8))),
    ),
    model(
        "transformer_cold_adagrad",
        "needs_warmup",
        "held",
        300,
        certain,
        16,
        make_tx=warmed(empty_adagrad, 1.0),
        proof=proofs.cold_start(warmed(empty_adagrad, 1.0, 100), drop=0.25),
    ),
]
