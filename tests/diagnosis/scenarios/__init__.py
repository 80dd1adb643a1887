"""Training runs whose cause of being stuck is proved, one family of models a file."""

from tests.diagnosis.scenarios import (
    deep,
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
SCENARIOS: list[Scenario] = [scenario for family in (*FAMILIES, *FRESH, *FOURTH) for scenario in family.SCENARIOS]

__all__ = ["CAUSES", "SCENARIOS", "Run", "Scenario", "resume", "run_scenario"]
