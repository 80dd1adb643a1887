"""Runs of the seventh set that are at their end: at a minimum, or going up for ever."""

from typing import Any

import optax

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import at_rest, too_long, used_up
from tests.diagnosis.scenarios.fourth_proofs import climbing
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import EXAMS, FISH, GRADES, Q_TABLE, seventh
from tests.diagnosis.scenarios.seventh_physics import CIRCUIT
from tests.diagnosis.scenarios.seventh_proofs import all_finite
from tests.diagnosis.scenarios.seventh_teachers import DISTIL, SALES

CONVERGED: list[tuple[Any, ...]] = [
    ("seventh_grades_settled", GRADES, 0, 300, sgd(1.0, momentum=0.9), at_rest(), {}),
    ("seventh_exams_settled", EXAMS, 0, 800, sgd(2.0, momentum=0.9, nesterov=True), at_rest(), {}),
    ("seventh_circuit_ground", CIRCUIT, 0, 600, lambda f=1.0: optax.adam(f * 0.02), used_up(adam(0.01)), {}),
    ("seventh_fish_settled", FISH, 0, 300, sgd(0.05, momentum=0.8), at_rest(), {"told": False}),
]


def head_left_out(factor: float = 1.0) -> Any:
    """Return Adam for the first layer; a mask hands on the raw gradient of the last, which is then added."""
    return optax.masked(optax.adam(factor * 3e-3), {"layer0": True, "layer1": False})


def strong_decay(factor: float = 1.0) -> Any:
    """Return AdamW whose decay times its rate is above 2: each step throws the params past 0."""
    return optax.adamw(factor * 0.1, weight_decay=22.0)


DIVERGING: list[tuple[Any, ...]] = [
    ("seventh_worth_blows_up", Q_TABLE, 64, 60, sgd(13.0), all_finite(too_long(0.1)), {}),
    ("seventh_sales_heavy_ball", SALES, 0, 60, sgd(7.6e-6, momentum=0.9), all_finite(too_long(0.1)), {"told": False}),
    ("seventh_distil_head_left_out", DISTIL, 32, 120, head_left_out, all_finite(climbing(adam(3e-3))), {}),
    ("seventh_distil_strong_decay", DISTIL, 32, 60, strong_decay, all_finite(too_long(0.1)), {}),
]
SCENARIOS: list[Scenario] = [
    seventh(name, cause, *rest, **fields)
    for cause, rows in (("converged_minimum", CONVERGED), ("diverging", DIVERGING))
    for name, *rest, fields in rows
]
