"""Runs of the fifth set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_ends import GAUGES, TABLE
from tests.diagnosis.scenarios.fifth_laws import EPIDEMIC, PHASES
from tests.diagnosis.scenarios.fifth_networks import RECALL, REGIONS, WAVES
from tests.diagnosis.scenarios.fifth_tables import HOUSES, VISITS, fifth
from tests.diagnosis.scenarios.fourth_proofs import shortened
from tests.diagnosis.scenarios.proofs import clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, long_rms, warmed


def behind(clip: Any, rate: float, **settings: Any) -> Any:
    """Return the factory of descent behind a clip, or behind none."""
    return lambda factor=1.0: gradtx.chain(*([] if clip is None else [clip()]), gradtx.sgd(factor * rate, **settings))


def norm_of(bound: float) -> Any:
    """Return what makes a clip of the whole gradient."""
    return lambda: gradtx.clip_by_global_norm(bound)


CLIPPED: list[tuple[Any, ...]] = [
    ("fifth_houses_clip_of_one", HOUSES, 32, 200, behind(norm_of(1.0), 0.01), clipped(1.0, behind(None, 0.01)), {}),
    (
        "fifth_visits_clip",
        VISITS,
        16,
        300,
        behind(norm_of(0.1), 2e-3, momentum=0.5),
        shortened(behind(None, 2e-3, momentum=0.5), drop=-0.05),
        {"told": False},
    ),
    (
        "fifth_waves_clip_each",
        WAVES,
        32,
        150,
        behind(lambda: optax.clip(1e-4), 0.1, momentum=0.9),
        shortened(behind(None, 0.1, momentum=0.9)),
        {},
    ),
    (
        "fifth_epidemic_clip",
        EPIDEMIC,
        0,
        120,
        behind(norm_of(1.0), 1e-4),
        clipped(1.0, behind(None, 1e-4)),
        {},
    ),
]

BURSTS: list[tuple[Any, ...]] = [
    ("fifth_phases_adam_bursts", PHASES, 0, 1000, adam(0.1), spiking(adam(0.005)), {}),
    ("fifth_gauges_adam_bursts", GAUGES, 32, 1000, adam(0.3), spiking(adam(0.01)), {}),
    ("fifth_table_adamw_bursts", TABLE, 64, 1200, lambda f=1.0: optax.adam(f * 0.1), spiking(adam(0.003)), {}),
    ("fifth_recall_adam_bursts", RECALL, 128, 800, adam(0.1), spiking(adam(0.01)), {"told": False}),
]

COLD: list[tuple[Any, ...]] = [
    (
        "fifth_regions_cold_rms",
        REGIONS,
        16,
        200,
        warmed(long_rms, 0.1),
        cold_start(warmed(long_rms, 0.1, 150), drop=0.2),
        {},
    ),
    (
        "fifth_waves_cold_adagrad",
        WAVES,
        32,
        200,
        warmed(empty_adagrad, 1.0),
        cold_start(warmed(empty_adagrad, 1.0, 150), drop=0.2),
        {},
    ),
    (
        "fifth_recall_cold_rms",
        RECALL,
        32,
        200,
        warmed(long_rms, 0.05),
        cold_start(warmed(long_rms, 0.05, 150), drop=0.3),
        {"told": False},
    ),
]
SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields, also=("crawling",) if cause == "always_clipped" else ())
    for cause, rows in (("always_clipped", CLIPPED), ("sigma_burst", BURSTS), ("needs_warmup", COLD))
    for name, *rest, fields in rows
]
