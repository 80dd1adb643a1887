"""Runs of the eighth set that are at their end: at a minimum, or going up for ever."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_choices_a import SHELVES
from tests.diagnosis.scenarios.eighth_counts_a import COHORTS, DEMAND
from tests.diagnosis.scenarios.eighth_tables_a import eighth
from tests.diagnosis.scenarios.eighth_texts_a import MEETINGS
from tests.diagnosis.scenarios.fifth_proofs import at_rest, too_long
from tests.diagnosis.scenarios.rates import sgd


def dying_out(factor: float = 1.0) -> Any:
    """Return Adam whose rate falls to a hundredth in the first half, and stays there."""
    eta = optax.exponential_decay(0.1, 200, 0.01, end_value=1e-3)
    return optax.adam(lambda count: factor * eta(count))


CONVERGED: list[tuple[Any, ...]] = [
    ("eighth_cohorts_settled", COHORTS, 0, 500, dying_out, at_rest(), {}),
    ("eighth_shelves_settled", SHELVES, 0, 250, lambda f=1.0: gradtx.sgd(f * 0.3, momentum=0.8), at_rest(), {}),
]
DIVERGING: list[tuple[Any, ...]] = [
    ("eighth_demand_blows_up", DEMAND, 0, 200, sgd(0.36), too_long(), {}),
    (
        "eighth_meetings_heavy_ball",
        MEETINGS,
        64,
        150,
        sgd(0.5, momentum=0.97),
        too_long(0.1),
        {"also": ("non_finite",)},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("converged_minimum", CONVERGED), ("diverging", DIVERGING))
    for name, *rest, fields in rows
]
