"""Runs of the fourth set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios import fourth_problems
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fourth_equations import BENDING, ORBITS, TUNE
from tests.diagnosis.scenarios.fourth_models import BARS, DIFFUSED, LETTERS, SUMS
from tests.diagnosis.scenarios.fourth_problems import SENSORS, fourth
from tests.diagnosis.scenarios.fourth_proofs import shortened
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.proofs import clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, long_rms, warmed


def behind(bound: float | None, rate: float, **settings: Any) -> Any:
    """Return the factory of optax's descent behind a clip of the whole gradient."""

    def make(factor: float = 1.0) -> Any:
        clip = [] if bound is None else [optax.clip_by_global_norm(bound)]
        return optax.chain(*clip, optax.sgd(factor * rate, **settings))

    return make


def clip_of_updates(bound: float | None) -> Any:
    """Return the factory of Adam whose scaled gradient is clipped before its rate, as nobody means to."""

    def make(factor: float = 1.0) -> Any:
        clip = [] if bound is None else [gradtx.clip_by_global_norm(bound)]
        return gradtx.chain(gradtx.scale_by_adam(), *clip, gradtx.scale_by_learning_rate(factor * 1e-3))

    return make


def clip_at_the_end(bound: float | None) -> Any:
    """Return the factory of RMSProp whose finished step is clipped."""

    def make(factor: float = 1.0) -> Any:
        clip = [] if bound is None else [optax.clip_by_block_rms(bound)]
        return optax.chain(optax.rmsprop(factor * 1e-3), *clip)

    return make


def by_parameter(bound: float | None) -> Any:
    """Return the factory of momentum descent whose gradients are clipped by the size of each unit's weights."""

    def make(factor: float = 1.0) -> Any:
        clip = [] if bound is None else [optax.adaptive_grad_clip(bound)]
        return optax.chain(*clip, optax.sgd(factor * 0.003, momentum=0.9))

    return make


def in_cents() -> Points:
    """Return the sensors without gross errors, their target a thousand times as large."""
    x, y = fourth_problems.sensors(0.0)
    return x, 1000 * y


CENTS = Problem(SENSORS.init, fourth_problems.mean_square, in_cents)

CLIPPED: list[tuple[Any, ...]] = [
    ("fourth_cents_clip_of_one", CENTS, 32, 400, behind(1.0, 1e-4), clipped(1.0, behind(None, 1e-4))),
    (
        "fourth_sums_tiny_clip",
        SUMS,
        32,
        300,
        behind(1e-3, 0.1, momentum=0.9),
        clipped(1e-3, behind(None, 0.1, momentum=0.9), drop=0.2),
    ),
    ("fourth_bars_clip_of_updates", BARS, 32, 500, clip_of_updates(0.01), shortened(clip_of_updates(None), drop=0.15)),
    ("fourth_diffused_clip_at_the_end", DIFFUSED, 32, 400, clip_at_the_end(1e-6), shortened(clip_at_the_end(None))),
    ("fourth_orbits_by_parameter", ORBITS, 8, 400, by_parameter(1e-4), shortened(by_parameter(None))),
]

BURSTS: list[tuple[Any, ...]] = [
    ("fourth_tune_adam_bursts", TUNE, 0, 1500, adam(0.1), spiking(adam(0.01))),
    ("fourth_orbits_adam_bursts", ORBITS, 0, 2000, adam(0.03), spiking(adam(0.003))),
    ("fourth_bending_adamw_bursts", BENDING, 0, 1500, lambda f=1.0: optax.adamw(f * 0.02), spiking(adam(0.002))),
]

COLD: list[tuple[Any, ...]] = [
    ("fourth_bars_cold_rms", BARS, 32, 300, warmed(long_rms, 0.02), cold_start(warmed(long_rms, 0.02, 200), drop=0.1)),
    (
        "fourth_letters_cold_rms",
        LETTERS,
        16,
        300,
        warmed(long_rms, 0.03),
        cold_start(warmed(long_rms, 0.03, 200), drop=0.2),
    ),
    (
        "fourth_diffused_cold_adagrad",
        DIFFUSED,
        32,
        400,
        warmed(empty_adagrad, 1.0),
        cold_start(warmed(empty_adagrad, 1.0, 200), drop=0.3),
    ),
]
SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest, also=("crawling",) if cause == "always_clipped" else ())
    for cause, rows in (("always_clipped", CLIPPED), ("sigma_burst", BURSTS), ("needs_warmup", COLD))
    for name, *rest in rows
]
