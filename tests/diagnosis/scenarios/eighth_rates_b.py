"""Runs of the eighth set, part b, decided by the size of the step: too small, too large, or too large for the noise."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_densities_b import CHANNELS, PANELS, PAPERS, RETURNS
from tests.diagnosis.scenarios.eighth_physics_b import CAMERA, GAUGE, PENDULUM, PULSE
from tests.diagnosis.scenarios.eighth_signals_b import CELLS, DENOISE, eighth
from tests.diagnosis.scenarios.fifth_proofs import creeping, held_by_noise
from tests.diagnosis.scenarios.fresh_proofs import bounce
from tests.diagnosis.scenarios.proofs import slow
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_proofs import circling


def in_a_million(factor: float = 1.0) -> Any:
    """Return AdamW on a warm-up of a million steps, meant for a longer run."""
    return gradtx.adamw(gradtx.schedules.warmup_constant(factor * 0.01, 1_000_000))


CRAWLING: list[tuple[Any, ...]] = [
    ("eighth_camera_depth_or_lens", CAMERA, 0, 600, sgd(0.01), slow(other=adam(0.03)), {}),
    ("eighth_cells_small_descent", CELLS, 16, 150, sgd(3e-4), creeping(100.0), {"told": False}),
    ("eighth_panels_in_a_million", PANELS, 32, 200, in_a_million, creeping(300.0), {}),
    ("eighth_papers_small_adagrad", PAPERS, 0, 200, lambda f=1.0: optax.adagrad(f * 1e-4), creeping(300.0), {}),
]

NOISE: list[tuple[Any, ...]] = [
    ("eighth_channels_floor", CHANNELS, 4, 800, adam(0.05), held_by_noise(), {}),
    ("eighth_gauge_floor", GAUGE, 2, 1000, sgd(0.06), held_by_noise(), {}),
    ("eighth_denoise_floor", DENOISE, 2, 1600, lambda f=1.0: optax.adamw(f * 0.02), held_by_noise(), {}),
]

OSCILLATING: list[tuple[Any, ...]] = [
    ("eighth_pulse_bounce", PULSE, 0, 300, sgd(0.4), bounce(), {}),
    ("eighth_pendulum_bounce", PENDULUM, 0, 300, lambda f=1.0: optax.sgd(f * 1.0), bounce(), {}),
    ("eighth_returns_signs", RETURNS, 0, 250, lambda f=1.0: gradtx.sign_sgd(f * 0.2), circling(), {}),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("crawling", CRAWLING), ("noise_floor", NOISE), ("oscillating", OSCILLATING))
    for name, *rest, fields in rows
]
