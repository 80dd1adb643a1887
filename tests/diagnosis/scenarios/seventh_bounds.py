"""Runs of the seventh set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import creeping
from tests.diagnosis.scenarios.proofs import both, clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import BASKETS, seventh
from tests.diagnosis.scenarios.seventh_physics import HEAT, STEER
from tests.diagnosis.scenarios.seventh_pictures import BRIGHT, PORTRAIT
from tests.diagnosis.scenarios.seventh_sequences import REVERSAL


def behind(clip: Any, rate: float, **settings: Any) -> Any:
    """Return the factory of descent behind this clip."""
    return lambda factor=1.0: gradtx.chain(clip, gradtx.sgd(factor * rate, **settings))


CLIPPED: list[tuple[Any, ...]] = [
    (
        "seventh_bright_clip_of_one",
        BRIGHT,
        0,
        150,
        behind(gradtx.clip_by_global_norm(1.0), 1e-3),
        clipped(1.0, sgd(1e-3)),
        {},
    ),
    (
        "seventh_steer_clip_by_value",
        STEER,
        16,
        150,
        behind(gradtx.clip(0.02), 3e-3),
        clipped(0.02, sgd(3e-3)),
        {},
    ),
]

BURSTS: list[tuple[Any, ...]] = [
    ("seventh_portrait_adam_bursts", PORTRAIT, 0, 2000, lambda f=1.0: optax.adam(f * 0.05), spiking(adam(0.003)), {}),
    ("seventh_heat_adam_bursts", HEAT, 0, 1000, adam(0.05), spiking(adam(0.003)), {"told": False}),
]


def long_memory(rate: float, warmup: int = 0) -> Any:
    """Return RMSProp with a memory of 1000 steps, uncorrected, with or without a warm-up."""

    def make(factor: float = 1.0) -> Any:
        eta = optax.linear_schedule(0.0, factor * rate, warmup) if warmup else factor * rate
        return optax.rmsprop(eta, decay=0.999)

    return make


def from_nothing(rate: float, warmup: int = 0) -> Any:
    """Return Adagrad whose sum starts at 0, with or without a warm-up."""

    def make(factor: float = 1.0) -> Any:
        eta = optax.linear_schedule(0.0, factor * rate, warmup) if warmup else factor * rate
        return optax.adagrad(eta, initial_accumulator_value=0.0)

    return make


COLD: list[tuple[Any, ...]] = [
    (
        "seventh_reversal_cold_rmsprop",
        REVERSAL,
        32,
        250,
        long_memory(0.02),
        cold_start(long_memory(0.02, 150), drop=0.3),
        {},
    ),
    (
        "seventh_baskets_cold_adagrad",
        BASKETS,
        32,
        250,
        from_nothing(0.3),
        cold_start(from_nothing(0.3, 150), drop=0.3),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    *(
        seventh(name, "always_clipped", *rest, both(proof, creeping()), also=("crawling",), **fields)
        for name, *rest, proof, fields in CLIPPED
    ),
    *(
        seventh(name, cause, *rest, **fields)
        for cause, rows in (("sigma_burst", BURSTS), ("needs_warmup", COLD))
        for name, *rest, fields in rows
    ),
]
