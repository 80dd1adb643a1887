"""Runs of the fourth set that the size of the step decides: too small, too large, or right for where they are."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fourth_equations import ARM, BENDING, MAP
from tests.diagnosis.scenarios.fourth_models import DIFFUSED, LETTERS, SUMS
from tests.diagnosis.scenarios.fourth_problems import (
    LISTS,
    MACHINE,
    PATIENTS,
    QUANTILE,
    SENSORS,
    SHOP,
    WORDS,
    fourth,
)
from tests.diagnosis.scenarios.fresh_proofs import bounce, floor
from tests.diagnosis.scenarios.proofs import bouncing, noisy, slow
from tests.diagnosis.scenarios.rates import adam, sgd


def endless_warmup(factor: float = 1.0) -> Any:
    """Return Adam whose warm-up was meant for a million steps."""
    return gradtx.adam(gradtx.schedules.warmup_constant(factor * 3e-3, 1_000_000))


def spent(factor: float = 1.0) -> Any:
    """Return AdamW whose rate is halved every eight steps."""
    return optax.adamw(lambda count: factor * 1e-3 * 0.5 ** (count / 8))


CRAWLING: list[tuple[Any, ...]] = [
    ("fourth_map_descent", MAP, 0, 600, sgd(1e-5), slow(1000.0)),
    ("fourth_sums_tiny_descent", SUMS, 32, 300, sgd(1e-4), slow(other=adam(3e-3))),
    ("fourth_letters_tiny_adamw", LETTERS, 16, 300, lambda f=1.0: optax.adamw(f * 1e-6), slow(1000.0)),
    ("fourth_words_tiny_lion", WORDS, 64, 400, lambda f=1.0: gradtx.lion(f * 1e-6), slow(1000.0, fall=0.05)),
    ("fourth_bending_endless_warmup", BENDING, 0, 400, endless_warmup, slow(other=adam(3e-3))),
    ("fourth_diffused_spent", DIFFUSED, 64, 400, spent, slow(other=adam(1e-3))),
    ("fourth_shop_small_adagrad", SHOP, 32, 800, lambda f=1.0: optax.adagrad(f * 1e-3), slow(300.0)),
]

NOISE: list[tuple[Any, ...]] = [
    ("fourth_machine_one_by_one", MACHINE, 1, 2000, sgd(0.1), floor()),
    ("fourth_diffused_floor", DIFFUSED, 8, 1500, adam(0.02), noisy()),
    ("fourth_words_floor", WORDS, 16, 1500, adam(0.05), floor()),
    ("fourth_sensors_floor", SENSORS, 4, 1200, lambda f=1.0: gradtx.nadam(f * 0.03), floor()),
    ("fourth_lists_floor", LISTS, 2, 1500, lambda f=1.0: optax.rmsprop(f * 0.02), floor()),
]

OSCILLATING: list[tuple[Any, ...]] = [
    ("fourth_quantile_bounce", QUANTILE, 0, 500, sgd(6.0), bounce(0.25)),
    ("fourth_patients_bounce", PATIENTS, 0, 800, sgd(3.0), bounce()),
    ("fourth_map_signs", MAP, 0, 500, lambda f=1.0: gradtx.lion(f * 0.05, weight_decay=0.0), bouncing(0.1)),
    ("fourth_arm_bounce", ARM, 0, 600, sgd(0.12), bounce()),
]
SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest)
    for cause, rows in (("crawling", CRAWLING), ("noise_floor", NOISE), ("oscillating", OSCILLATING))
    for name, *rest in rows
]
