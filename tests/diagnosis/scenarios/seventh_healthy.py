"""Healthy runs of the seventh set: many models, methods and scales of loss."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import well
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import BASKETS, CORRIDOR, EXAMS, FISH, GRADES, seventh
from tests.diagnosis.scenarios.seventh_physics import CIRCUIT, CLUSTER, CUBE, HEAT
from tests.diagnosis.scenarios.seventh_pictures import CODES, MASKS, PORTRAIT, SQUEEZE, TWINS
from tests.diagnosis.scenarios.seventh_sequences import PATCHES, REVERSAL, REVIEWS
from tests.diagnosis.scenarios.seventh_teachers import DISTIL, MOMENTS


def clipped_cosine(factor: float = 1.0) -> Any:
    """Return AdamW on a long cosine, behind a clip that is seldom met."""
    eta = optax.cosine_decay_schedule(1.5e-3, 1500)
    return optax.chain(optax.clip_by_global_norm(3.0), optax.adamw(lambda count: factor * eta(count)))


def warm(factor: float = 1.0) -> Any:
    """Return AdamW after 20 steps of warm-up."""
    return gradtx.adamw(gradtx.schedules.warmup_constant(factor * 3e-3, 20), weight_decay=0.01)


HEALTHY: list[tuple[Any, ...]] = [
    ("seventh_patches_warm", PATCHES, 32, 200, warm, 0.08, {}),
    ("seventh_reversal_cosine", REVERSAL, 32, 100, clipped_cosine, 0.08, {}),
    ("seventh_reviews_rmsprop", REVIEWS, 32, 150, lambda f=1.0: optax.rmsprop(f * 0.02), 0.08, {}),
    ("seventh_masks_adam", MASKS, 16, 80, adam(3e-3), 0.08, {"told": False}),
    ("seventh_squeeze_nesterov", SQUEEZE, 32, 200, sgd(0.3, momentum=0.9, nesterov=True), 0.06, {}),
    ("seventh_portrait_adam", PORTRAIT, 0, 60, adam(1e-3), 0.08, {}),
    ("seventh_twins_nadam", TWINS, 32, 80, lambda f=1.0: gradtx.nadam(f * 3e-3), 0.08, {}),
    ("seventh_codes_adam", CODES, 32, 100, lambda f=1.0: optax.adam(f * 5e-3), 0.08, {}),
    ("seventh_heat_adam", HEAT, 0, 100, adam(1.5e-3), 0.05, {}),
    ("seventh_cluster_descent", CLUSTER, 0, 60, sgd(0.03), 0.08, {}),
    ("seventh_circuit_descent", CIRCUIT, 0, 60, sgd(3e-3), 0.08, {"told": False}),
    ("seventh_exams_adagrad", EXAMS, 32, 100, lambda f=1.0: optax.adagrad(f * 0.5), 0.08, {}),
    ("seventh_fish_descent", FISH, 32, 60, sgd(5e-3), 0.08, {}),
    ("seventh_baskets_radam", BASKETS, 32, 80, lambda f=1.0: gradtx.radam(f * 1e-3), 0.08, {}),
    ("seventh_corridor_adam", CORRIDOR, 32, 100, adam(1.5e-3), 0.08, {"told": False}),
    ("seventh_moments_rmsprop", MOMENTS, 64, 60, lambda f=1.0: gradtx.rmsprop(f * 1e-3), 0.08, {}),
    ("seventh_distil_muon", DISTIL, 32, 80, lambda f=1.0: gradtx.muon(f * 8e-3), 0.08, {}),
    ("seventh_grades_one_by_one", GRADES, 1, 600, sgd(0.02), 0.08, {}),
    ("seventh_cube_adam", CUBE, 0, 60, adam(0.02), 0.08, {}),
]
SCENARIOS: list[Scenario] = [seventh(name, "healthy", *rest, well(by), **fields) for name, *rest, by, fields in HEALTHY]
