"""Runs of the sixth set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import creeping, cut_short
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import both, clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam
from tests.diagnosis.scenarios.sixth_networks_b import (
    CLOUDS,
    GAITS,
    MOLECULES,
    RELIEF,
    STROKES,
    binding,
    copying,
)
from tests.diagnosis.scenarios.sixth_problems_b import DOSES, GAZES, chords, sixth
from tests.diagnosis.scenarios.sixth_series_b import PREY, exact_prey

BYTES = Problem(STROKES.init, copying(255.0), STROKES.points)
CENTIVOLTS = Problem(MOLECULES.init, binding(100.0), MOLECULES.points)


def pushed(rate: float, clip: Any, **settings: Any) -> Any:
    """Return the factory of momentum descent behind a clip, or behind none."""
    settings = {"momentum": 0.9, **settings}
    return lambda f=1.0: optax.chain(*([] if clip is None else [clip]), optax.sgd(f * rate, **settings))


CLIPPED: list[tuple[Any, ...]] = [
    (
        "sixth_strokes_in_bytes",
        BYTES,
        32,
        300,
        pushed(1e-7, gradtx.clip_by_global_norm(1000.0), momentum=0.0),
        cut_short(pushed(1e-7, None, momentum=0.0)),
        {"told": False},
    ),
    (
        "sixth_doses_tight_clip",
        DOSES,
        64,
        300,
        pushed(1e-3, gradtx.clip_by_global_norm(0.02), nesterov=True),
        clipped(0.02, pushed(1e-3, None, nesterov=True)),
        {},
    ),
    (
        "sixth_gaits_clip_by_value",
        GAITS,
        32,
        250,
        pushed(0.02, optax.clip(1e-5)),
        cut_short(pushed(0.02, None), times=10.0),
        {},
    ),
    (
        "sixth_molecules_small_clip",
        CENTIVOLTS,
        32,
        250,
        pushed(3e-4, optax.clip_by_global_norm(0.1), momentum=0.0),
        cut_short(pushed(3e-4, None, momentum=0.0)),
        {},
    ),
]

BURSTS: list[tuple[Any, ...]] = [
    (
        "sixth_gazes_short_memory",
        Problem(GAZES.init, chords, GAZES.points),
        0,
        1500,
        lambda f=1.0: optax.adam(f * 0.1, b2=0.99),
        spiking(adam(1e-3)),
        {},
    ),
    ("sixth_prey_adam_bursts", Problem(PREY.init, PREY.loss, exact_prey), 0, 1500, adam(0.1), spiking(adam(3e-3)), {}),
    (
        "sixth_relief_adamw_bursts",
        RELIEF,
        0,
        1000,
        lambda f=1.0: gradtx.adamw(f * 0.02, b2=0.99, weight_decay=0.0),
        spiking(adam(1e-3)),
        {},
    ),
]


def long_rmsprop(warmup: int, rate: float, **settings: Any) -> Any:
    """Return the factory of optax's RMSProp of long memory, whose first steps are 31 times too long."""

    def make(factor: float = 1.0) -> Any:
        eta = optax.warmup_constant_schedule(0.0, factor * rate, warmup) if warmup else factor * rate
        return optax.rmsprop(eta, decay=0.999, **settings)

    return make


def empty_sum(warmup: int, rate: float) -> Any:
    """Return the factory of Adagrad whose sum of squares starts at 0, so that its first steps are of full size."""

    def make(factor: float = 1.0) -> Any:
        eta = optax.warmup_constant_schedule(0.0, factor * rate, warmup) if warmup else factor * rate
        return optax.adagrad(eta, initial_accumulator_value=0.0, eps=1e-10)

    return make


COLD: list[tuple[Any, ...]] = [
    (
        "sixth_gaits_cold_rmsprop",
        GAITS,
        32,
        300,
        long_rmsprop(0, 0.03),
        cold_start(long_rmsprop(150, 0.03), drop=0.3),
        {},
    ),
    (
        "sixth_clouds_cold_momentum",
        CLOUDS,
        32,
        300,
        long_rmsprop(0, 6e-3, momentum=0.9),
        cold_start(long_rmsprop(150, 6e-3, momentum=0.9), drop=0.3),
        {},
    ),
    (
        "sixth_relief_cold_adagrad",
        RELIEF,
        32,
        300,
        empty_sum(0, 0.5),
        cold_start(empty_sum(150, 0.5), drop=0.3),
        {},
    ),
    (
        "sixth_molecules_cold_sums",
        MOLECULES,
        32,
        300,
        empty_sum(0, 0.5),
        cold_start(empty_sum(150, 0.5), drop=0.3),
        {"told": False},
    ),
]
SCENARIOS: list[Scenario] = [
    *(
        sixth(name, "always_clipped", *rest, both(proof, creeping()), also=("crawling",), **fields)
        for name, *rest, proof, fields in CLIPPED
    ),
    *(
        sixth(name, cause, *rest, **fields)
        for cause, rows in (("sigma_burst", BURSTS), ("needs_warmup", COLD))
        for name, *rest, fields in rows
    ),
]
