"""Runs of the seventh set that the size of the step decides: too small, too large, or too large for the noise."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import creeping, held_by_noise
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.fresh_proofs import bounce
from tests.diagnosis.scenarios.proofs import slow
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import BASKETS, EXAMS, FISH, GRADES, WEATHER, seventh
from tests.diagnosis.scenarios.seventh_physics import HEAT
from tests.diagnosis.scenarios.seventh_pictures import MASKS
from tests.diagnosis.scenarios.seventh_proofs import circling
from tests.diagnosis.scenarios.seventh_teachers import MARKET, SALES, momentum_market


def scaled_down(factor: float = 1.0) -> Any:
    """Return AdamW whose rate was divided by the number of pictures, as if gradients were summed."""
    return optax.adamw(factor * 3e-3 / 300)


def cooling() -> Any:
    """Return Adam on a cosine."""
    return optax.adam(optax.cosine_decay_schedule(0.03, 600))


CRAWLING: list[tuple[Any, ...]] = [
    ("seventh_heat_small_adam", HEAT, 0, 150, adam(1e-6), creeping(1000.0), {}),
    ("seventh_sales_raw_units", SALES, 0, 600, sgd(3e-6), slow(other=cooling, floor=2.4), {}),
    ("seventh_exams_small_descent", EXAMS, 0, 200, sgd(0.01), creeping(300.0), {}),
    ("seventh_baskets_small_lion", BASKETS, 32, 200, lambda f=1.0: optax.lion(f * 1e-6), creeping(1000.0), {}),
    ("seventh_masks_scaled_down", MASKS, 16, 100, scaled_down, creeping(300.0), {"told": False}),
]


def many_days() -> Any:
    """Return 6000 days of a share whose next return follows the last two."""
    return momentum_market(6000, 831)(0)


FOLLOWED = Problem(MARKET.init, MARKET.loss, many_days)

NOISE: list[tuple[Any, ...]] = [
    ("seventh_exams_floor", EXAMS, 8, 1500, adam(0.1), held_by_noise(), {}),
    ("seventh_grades_floor", GRADES, 4, 1000, adam(0.05), held_by_noise(), {}),
    (
        "seventh_fish_floor",
        FISH,
        4,
        1000,
        lambda f=1.0: optax.rmsprop(f * 0.03),
        held_by_noise(),
        {"told": False},
    ),
    ("seventh_weather_floor", WEATHER, 4, 1000, lambda f=1.0: gradtx.nadam(f * 0.1), held_by_noise(), {}),
    (
        "seventh_followed_share",
        FOLLOWED,
        4,
        1500,
        sgd(0.01, momentum=0.9),
        held_by_noise(),
        {"batch": momentum_market(4, 832)},
    ),
]

OSCILLATING: list[tuple[Any, ...]] = [
    ("seventh_grades_bounce", GRADES, 0, 300, sgd(3.0), bounce(), {}),
    ("seventh_fish_bounce", FISH, 0, 300, sgd(0.42), bounce(), {}),
    ("seventh_sales_across", SALES, 0, 300, sgd(3.8075e-6), bounce(), {}),
    ("seventh_grades_signs", GRADES, 0, 300, lambda f=1.0: optax.lion(f * 0.3), circling(), {}),
    ("seventh_weather_signs", WEATHER, 0, 300, lambda f=1.0: gradtx.lion(f * 0.5), circling(), {}),
]
SCENARIOS: list[Scenario] = [
    seventh(name, cause, *rest, **fields)
    for cause, rows in (("crawling", CRAWLING), ("noise_floor", NOISE), ("oscillating", OSCILLATING))
    for name, *rest, fields in rows
]
