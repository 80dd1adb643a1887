"""Runs of the eighth set in which params stand still, or are held by a decay."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import better_with, unmoved
from tests.diagnosis.scenarios.eighth_choices_a import SEARCHES, SESSIONS
from tests.diagnosis.scenarios.eighth_tables_a import CUSTOMERS, eighth
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.proofs import both
from tests.diagnosis.scenarios.rates import adam
from tests.diagnosis.scenarios.sixth_proofs_b import held_down


def three_stages(factor: float = 1.0) -> Any:
    """Return AdamW whose rate is multiplied by 0, where 0.1 was meant, at step 80."""
    eta = optax.piecewise_constant_schedule(5e-4, {80: 0.0, 160: 0.1})
    return gradtx.adamw(lambda count: factor * eta(count))


def one_cycle(factor: float = 1.0) -> Any:
    """Return Adam on one cycle of 60 steps, planned for a shorter run."""
    eta = optax.cosine_onecycle_schedule(60, 1e-3, final_div_factor=1e6)
    return optax.adam(lambda count: factor * eta(count))


STILL: list[tuple[Any, ...]] = [
    ("eighth_searches_three_stages", SEARCHES, 16, 300, three_stages, never_due(adam(3e-3), 82), {}),
    ("eighth_customers_one_cycle", CUSTOMERS, 32, 400, one_cycle, unmoved(adam(3e-3), 65, 0.99, 0.05), {}),
]

HELD: list[tuple[Any, ...]] = [
    (
        "eighth_sessions_decay",
        SESSIONS,
        64,
        400,
        lambda f=1.0: optax.adamw(f * 5e-3, weight_decay=2.0),
        both(better_with(adam(5e-3), drop=0.2), held_down(adam(5e-3))),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("not_moving", STILL), ("decay_bound", HELD))
    for name, *rest, fields in rows
]
