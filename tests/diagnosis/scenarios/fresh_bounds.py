"""Runs of the third set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import jax
import optax

import gradtx
from tests.diagnosis.scenarios import fresh_models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_models import COUNTS, ECHOES, PHYSICS, SHEET, SIGNALS, WAITS
from tests.diagnosis.scenarios.fresh_problems import RATINGS, WAVES, Problem, fresh
from tests.diagnosis.scenarios.fresh_proofs import held_back
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, long_rms, warmed


def summed_signals(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of signals summed over the batch, as gradients of size 100 come about."""
    return 100 * fresh_models.waveform(params, batch)


def behind(bound: float | None, rate: float, **settings: Any) -> Any:
    """Return the factory of descent behind a clip."""

    def make(factor: float = 1.0) -> Any:
        tx = gradtx.sgd(factor * rate, **settings)
        return tx if bound is None else gradtx.chain(gradtx.clip_by_global_norm(bound), tx)

    return make


def centred(bound: float | None) -> Any:
    """Return optax's descent whose clip is not the first of its chain."""

    def make(factor: float = 1.0) -> Any:
        clip = [] if bound is None else [optax.clip_by_global_norm(bound)]
        return optax.chain(optax.centralize(), *clip, optax.trace(0.9), optax.scale(-0.01 * factor))

    return make


SCENARIOS: list[Scenario] = [
    fresh(
        "fresh_waits_clip_by_element",
        "always_clipped",
        WAITS,
        32,
        500,
        lambda f=1.0: gradtx.chain(gradtx.clip(1e-3), gradtx.sgd(f * 0.1)),
        held_back(1e-3, lambda: gradtx.sgd(0.1)),
        also=("crawling",),
    ),
    fresh(
        "fresh_signals_summed_clip",
        "always_clipped",
        Problem(SIGNALS.init, summed_signals, SIGNALS.points),
        32,
        500,
        behind(0.2, 5e-4, momentum=0.9),
        proofs.both(proofs.clipped(0.2, behind(None, 5e-4, momentum=0.9)), proofs.slow(30.0)),
        also=("crawling",),
    ),
    fresh(
        "fresh_gru_clip_in_the_middle",
        "always_clipped",
        WAVES,
        16,
        400,
        centred(0.003),
        proofs.both(proofs.clipped(0.003, centred(None)), proofs.slow(30.0)),
        also=("crawling",),
    ),
    fresh(
        "fresh_ratings_clip",
        "always_clipped",
        RATINGS,
        0,
        600,
        behind(0.001, 10.0),
        proofs.clipped(0.001, behind(None, 10.0)),
        also=("crawling",),
    ),
    fresh(
        "fresh_physics_adam_bursts",
        "sigma_burst",
        PHYSICS,
        0,
        2000,
        adam(0.02),
        proofs.spiking(adam(0.002)),
    ),
    fresh(
        "fresh_counts_adabelief_bursts",
        "sigma_burst",
        COUNTS,
        0,
        1500,
        lambda f=1.0: gradtx.adabelief(f * 0.05),
        proofs.spiking(lambda: gradtx.adabelief(0.005)),
    ),
    fresh(
        "fresh_counts_nadam_bursts",
        "sigma_burst",
        COUNTS,
        0,
        1500,
        lambda f=1.0: gradtx.nadam(f * 0.05, b2=0.995),
        proofs.spiking(lambda: gradtx.nadam(0.005, b2=0.995)),
    ),
    fresh(
        "fresh_echoes_cold_rms",
        "needs_warmup",
        ECHOES,
        16,
        400,
        warmed(long_rms, 0.05),
        proofs.cold_start(warmed(long_rms, 0.05, 200)),
    ),
    fresh(
        "fresh_vae_cold_rms",
        "needs_warmup",
        SHEET,
        32,
        400,
        warmed(long_rms, 0.01),
        proofs.cold_start(warmed(long_rms, 0.01, 200)),
    ),
    fresh(
        "fresh_gru_cold_adagrad",
        "needs_warmup",
        WAVES,
        16,
        400,
        warmed(empty_adagrad, 1.0),
        proofs.cold_start(warmed(empty_adagrad, 1.0, 100), drop=0.3),
    ),
]
