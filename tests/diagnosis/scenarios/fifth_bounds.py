"""Runs of the fifth set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_ends import TABLE
from tests.diagnosis.scenarios.fifth_laws import EPIDEMIC
from tests.diagnosis.scenarios.fifth_networks import RECALL, TWISTED
from tests.diagnosis.scenarios.fifth_proofs import creeping, cut_short
from tests.diagnosis.scenarios.fifth_tables import HOUSES, VISITS, fifth
from tests.diagnosis.scenarios.proofs import both, clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, long_rms, warmed


def behind(clip: Any, rate: float, **settings: Any) -> Any:
    """Return the factory of descent behind a clip, or behind none."""
    return lambda factor=1.0: gradtx.chain(*([] if clip is None else [clip()]), gradtx.sgd(factor * rate, **settings))


def norm_of(bound: float) -> Any:
    """Return what makes a clip of the whole gradient."""
    return lambda: gradtx.clip_by_global_norm(bound)


VISITS_FREE = behind(None, 2e-3, momentum=0.5)
CLIPPED: list[tuple[Any, ...]] = [
    ("fifth_houses_clip_of_one", HOUSES, 32, 200, behind(norm_of(1.0), 0.01), clipped(1.0, behind(None, 0.01)), {}),
    (
        "fifth_visits_clip",
        VISITS,
        16,
        300,
        behind(norm_of(0.1), 2e-3, momentum=0.5),
        cut_short(VISITS_FREE, drop=0.05),
        {"told": False},
    ),
    ("fifth_epidemic_clip", EPIDEMIC, 0, 120, behind(norm_of(1.0), 1e-4), clipped(1.0, behind(None, 1e-4)), {}),
]


BURSTS: list[tuple[Any, ...]] = [
    ("fifth_table_adam_bursts", TABLE, 0, 1500, lambda f=1.0: optax.adam(f * 0.3), spiking(adam(0.003)), {}),
    ("fifth_table_drawn_bursts", TABLE, 256, 1040, adam(0.2), spiking(adam(0.003)), {}),
]

COLD: list[tuple[Any, ...]] = [
    (
        "fifth_twisted_cold_adagrad",
        TWISTED,
        32,
        200,
        warmed(empty_adagrad, 0.5),
        cold_start(warmed(empty_adagrad, 0.5, 150), drop=0.3),
        {},
    ),
    (
        "fifth_twisted_cold_rms",
        TWISTED,
        32,
        200,
        warmed(long_rms, 0.02),
        cold_start(warmed(long_rms, 0.02, 150), drop=0.3),
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
    *(
        fifth(name, "always_clipped", *rest, both(proof, creeping()), also=("crawling",), **fields)
        for name, *rest, proof, fields in CLIPPED
    ),
    *(
        fifth(name, cause, *rest, **fields)
        for cause, rows in (("sigma_burst", BURSTS), ("needs_warmup", COLD))
        for name, *rest, fields in rows
    ),
]
