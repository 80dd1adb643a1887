"""Runs of the eighth set, part b, that the transform holds back or throws: clips, a forgotten sigma, no warm-up."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_densities_b import SCORE
from tests.diagnosis.scenarios.eighth_physics_b import CAMERA, REACTOR, camera, corners, reprojected
from tests.diagnosis.scenarios.eighth_signals_b import HENON, eighth, henon
from tests.diagnosis.scenarios.fifth_proofs import creeping
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import both, clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, long_rms, sgd, warmed

PIXELS = Problem(camera, reprojected(100.0), corners)
FEW = Problem(HENON.init, HENON.loss, lambda: henon(100))


def behind(bound: float, rate: float, **settings: Any) -> Any:
    """Return the factory of descent behind a clip of the whole gradient."""
    return lambda factor=1.0: gradtx.chain(gradtx.clip_by_global_norm(bound), gradtx.sgd(factor * rate, **settings))


CLIPPED: list[tuple[Any, ...]] = [
    ("eighth_pixels_clip_of_one", PIXELS, 8, 200, behind(1.0, 3e-7), clipped(1.0, sgd(3e-7)), {}),
    (
        "eighth_reactor_clip",
        REACTOR,
        0,
        150,
        behind(0.05, 0.02, momentum=0.5),
        clipped(0.05, sgd(0.02, momentum=0.5)),
        {},
    ),
]

BURSTS: list[tuple[Any, ...]] = [
    ("eighth_camera_adam_bursts", CAMERA, 0, 2000, lambda f=1.0: optax.adam(f * 0.3), spiking(adam(0.003)), {}),
    ("eighth_henon_adam_bursts", FEW, 0, 1000, adam(0.1), spiking(adam(1e-3)), {}),
]

COLD: list[tuple[Any, ...]] = [
    (
        "eighth_henon_cold_adagrad",
        HENON,
        32,
        200,
        warmed(empty_adagrad, 3.0),
        cold_start(warmed(empty_adagrad, 3.0, 100)),
        {},
    ),
    (
        "eighth_score_cold_rms",
        SCORE,
        32,
        200,
        warmed(long_rms, 0.03),
        cold_start(warmed(long_rms, 0.03, 100)),
        {},
    ),
    (
        "eighth_camera_cold_rms",
        CAMERA,
        0,
        200,
        warmed(long_rms, 0.1),
        cold_start(warmed(long_rms, 0.1, 100)),
        {"told": False},
    ),
]
SCENARIOS: list[Scenario] = [
    *(
        eighth(name, "always_clipped", *rest, both(proof, creeping()), also=("crawling",), **fields)
        for name, *rest, proof, fields in CLIPPED
    ),
    *(
        eighth(name, cause, *rest, **fields)
        for cause, rows in (("sigma_burst", BURSTS), ("needs_warmup", COLD))
        for name, *rest, fields in rows
    ),
]
