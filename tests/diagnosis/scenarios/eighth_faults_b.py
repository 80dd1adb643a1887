"""Runs of the eighth set, part b, whose fault is in the data: a size of 0, or a batch that spoils all."""

from typing import Any

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import thrown
from tests.diagnosis.scenarios.eighth_densities_b import SCORE, pinwheel, scored
from tests.diagnosis.scenarios.eighth_signals_b import CELLS, eighth
from tests.diagnosis.scenarios.fourth_faults import changed, drawn
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import clean_but_for_a_step
from tests.diagnosis.scenarios.rates import adam, sgd

NOT_FINITE: list[tuple[Any, ...]] = [
    (
        "eighth_score_size_of_zero",
        Problem(SCORE.init, scored(weigh=False), pinwheel),
        32,
        250,
        adam(1e-3),
        clean_but_for_a_step(cleaned(drawn(pinwheel, 32))),
        {"batch": changed(drawn(pinwheel, 32), 130, lambda x, noise, u: (x, noise, u.at[5].set(0)))},
    ),
]

THROWN: list[tuple[Any, ...]] = [
    (
        "eighth_cells_raw_batch",
        CELLS,
        8,
        450,
        sgd(0.05, momentum=0.9),
        thrown(200, cleaned(drawn(CELLS.points, 8))),
        {"batch": changed(drawn(CELLS.points, 8), 200, lambda x, kind: (1000 * x, kind))},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("non_finite", NOT_FINITE), ("collapsed", THROWN))
    for name, *rest, fields in rows
]
