"""Training runs whose cause of being stuck is proved, one family of models a file."""

from tests.diagnosis.scenarios import (
    deep,
    fifth_bounds,
    fifth_ends,
    fifth_faults,
    fifth_healthy,
    fifth_levels,
    fifth_rates,
    fifth_saddles,
    fifth_standing,
    fourth_bounds,
    fourth_ends,
    fourth_faults,
    fourth_healthy,
    fourth_levels,
    fourth_rates,
    fourth_saddles,
    fourth_standing,
    fresh_bounds,
    fresh_faults,
    fresh_healthy,
    fresh_jumps,
    fresh_rates,
    fresh_saddles,
    fresh_standing,
    images,
    lecture,
    levels,
    linear,
    logistic,
    loops,
    noise,
    recurrences,
    relu,
    sequences,
    standing,
    surfaces,
    tanh,
    wells,
)
from tests.diagnosis.scenarios.base import CAUSES, Run, Scenario, resume, run_scenario

FAMILIES = (
    surfaces,
    lecture,
    linear,
    logistic,
    relu,
    tanh,
    deep,
    images,
    sequences,
    standing,
    levels,
    wells,
    loops,
    recurrences,
    noise,
)
FRESH = (  # written without sight of the rules
    fresh_healthy,
    fresh_rates,
    fresh_standing,
    fresh_saddles,
    fresh_bounds,
    fresh_faults,
    fresh_jumps,
)
FOURTH = (  # written without sight of the rules, after they had been changed for the others
    fourth_healthy,
    fourth_rates,
    fourth_ends,
    fourth_standing,
    fourth_saddles,
    fourth_bounds,
    fourth_faults,
    fourth_levels,
)
FIFTH = (  # written without sight of the rules, after they had been changed for the fourth
    fifth_healthy,
    fifth_rates,
    fifth_ends,
    fifth_standing,
    fifth_saddles,
    fifth_bounds,
    fifth_faults,
    fifth_levels,
)
SCENARIOS: list[Scenario] = [
    scenario for family in (*FAMILIES, *FRESH, *FOURTH, *FIFTH) for scenario in family.SCENARIOS
]

__all__ = ["CAUSES", "SCENARIOS", "Run", "Scenario", "resume", "run_scenario"]
