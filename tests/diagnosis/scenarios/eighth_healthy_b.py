"""Healthy runs of the eighth set, part b: signals, fits, densities, graphs, controllers."""

import functools
from typing import Any

import jax
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario, plain, run_scenario
from tests.diagnosis.scenarios.eighth_densities_b import PANELS, RETURNS, SCORE, STREAM, TIES
from tests.diagnosis.scenarios.eighth_physics_b import CAMERA, HOVER, PULSE, REACTOR, ROD
from tests.diagnosis.scenarios.eighth_proofs_b import to_the_end
from tests.diagnosis.scenarios.eighth_signals_b import CELLS, CHIRPS, DENOISE, HENON, MELODY, chirps, eighth
from tests.diagnosis.scenarios.fifth_proofs import well
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.rates import adam, sgd


@functools.cache
@plain
def learnt_elsewhere() -> Any:
    """Return the listener after 60 steps on other signals, of less noise and of tones that change less."""
    there = Problem(CHIRPS.init, CHIRPS.loss, lambda: chirps(9071, 0.3, 0.5, 600))
    with jax.ensure_compile_time_eval():
        return run_scenario(eighth("", "healthy", there, 32, 60, adam(3e-3), well())).params


def up_and_down(factor: float = 1.0) -> Any:
    """Return AdamW on a warm-up of 20 steps and a cosine that is 0 at the last step."""
    eta = optax.warmup_cosine_decay_schedule(0.0, 1e-3, 20, 100)
    return optax.adamw(lambda count: factor * eta(count))


TUNED = Problem(learnt_elsewhere, CHIRPS.loss, CHIRPS.points)

HEALTHY: list[tuple[Any, ...]] = [
    ("eighth_denoise_adam", DENOISE, 8, 50, adam(1.2e-3), well(), {}),
    ("eighth_cells_pairs", CELLS, 2, 90, sgd(0.01, momentum=0.9), well(), {}),
    ("eighth_chirps_tuned", TUNED, 16, 100, lambda f=1.0: optax.adamw(f * 1e-3), well(), {}),
    ("eighth_melody_radam", MELODY, 0, 120, lambda f=1.0: gradtx.radam(f * 5e-4), well(), {}),
    (
        "eighth_henon_up_and_down",
        HENON,
        32,
        100,
        up_and_down,
        to_the_end(lambda: optax.adamw(1e-3)),
        {},
    ),
    ("eighth_reactor_adam", REACTOR, 0, 70, lambda f=1.0: optax.adam(f * 0.02), well(), {"told": False}),
    ("eighth_pulse_momentum", PULSE, 0, 60, sgd(5e-3, momentum=0.5), well(), {}),
    ("eighth_score_by_four", SCORE, 4, 160, adam(3e-4), well(), {"told": False}),
    ("eighth_ties_one_by_one", TIES, 1, 600, sgd(0.01), well(), {}),
    ("eighth_panels_adamw", PANELS, 32, 100, lambda f=1.0: gradtx.adamw(f * 0.01), well(), {}),
    ("eighth_returns_adam", RETURNS, 0, 60, adam(0.01), well(), {}),
    ("eighth_hover_rmsprop", HOVER, 16, 40, lambda f=1.0: optax.rmsprop(f * 0.01), well(), {}),
    ("eighth_stream_lion", STREAM, 64, 80, lambda f=1.0: gradtx.lion(f * 3e-4), well(), {}),
    ("eighth_rod_nadam", ROD, 0, 50, lambda f=1.0: gradtx.nadam(f * 6e-3), well(), {}),
    ("eighth_camera_by_four", CAMERA, 4, 80, sgd(2e-3), well(), {}),
]
SCENARIOS: list[Scenario] = [eighth(name, "healthy", *rest, **fields) for name, *rest, fields in HEALTHY]
