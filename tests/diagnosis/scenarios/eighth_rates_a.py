"""Runs of the eighth set that the size of the step decides: too small, too large, or too large for the noise."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_choices_a import LIKED, SHELVES, STOCK
from tests.diagnosis.scenarios.eighth_counts_a import DEMAND, SURVEY, TRIANGLE
from tests.diagnosis.scenarios.eighth_tables_a import eighth
from tests.diagnosis.scenarios.eighth_texts_a import MEETINGS, MESSAGES, SEGMENTS
from tests.diagnosis.scenarios.fifth_proofs import creeping, held_by_noise
from tests.diagnosis.scenarios.fresh_proofs import bounce
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_proofs import circling

CRAWLING: list[tuple[Any, ...]] = [
    ("eighth_demand_prices_alike", DEMAND, 0, 300, sgd(0.2), creeping(other=adam(0.3)), {}),
    ("eighth_messages_small_descent", MESSAGES, 32, 300, sgd(1e-3, momentum=0.9), creeping(100.0), {}),
    ("eighth_stock_small_adamw", STOCK, 32, 250, lambda f=1.0: optax.adamw(f * 2e-5), creeping(100.0), {"told": False}),
]

NOISE: list[tuple[Any, ...]] = [
    ("eighth_meetings_floor", MEETINGS, 16, 1500, adam(0.03), held_by_noise(), {}),
    ("eighth_shelves_floor", SHELVES, 4, 1000, sgd(0.5), held_by_noise(), {}),
    ("eighth_liked_floor", LIKED, 8, 1500, lambda f=1.0: optax.adam(f * 0.03), held_by_noise(), {}),
]

OSCILLATING: list[tuple[Any, ...]] = [
    ("eighth_triangle_bounce", TRIANGLE, 0, 300, sgd(2.0), bounce(), {}),
    ("eighth_survey_signs", SURVEY, 0, 300, lambda f=1.0: gradtx.sign_sgd(f * 0.05), circling(), {}),
    ("eighth_segments_bounce", SEGMENTS, 0, 300, sgd(8.0), bounce(), {"told": False}),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("crawling", CRAWLING), ("noise_floor", NOISE), ("oscillating", OSCILLATING))
    for name, *rest, fields in rows
]
