"""Training runs whose cause of being stuck is proved, one family of models a file."""

from tests.diagnosis.scenarios import (
    deep,
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
    relu,
    sequences,
    standing,
    surfaces,
    tanh,
)
from tests.diagnosis.scenarios.base import CAUSES, Run, Scenario, resume, run_scenario

FAMILIES = (surfaces, lecture, linear, logistic, relu, tanh, deep, images, sequences, standing, levels, loops)
FRESH = (  # written without sight of the rules
    fresh_healthy,
    fresh_rates,
    fresh_standing,
    fresh_saddles,
    fresh_bounds,
    fresh_faults,
    fresh_jumps,
)
SCENARIOS: list[Scenario] = [scenario for family in (*FAMILIES, *FRESH) for scenario in family.SCENARIOS]

__all__ = ["CAUSES", "SCENARIOS", "Run", "Scenario", "resume", "run_scenario"]
