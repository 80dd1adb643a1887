"""Training runs whose cause of being stuck is proved, one family of models a file."""

from tests.diagnosis.scenarios import (
    deep,
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
SCENARIOS: list[Scenario] = [scenario for family in FAMILIES for scenario in family.SCENARIOS]

__all__ = ["CAUSES", "SCENARIOS", "Run", "Scenario", "resume", "run_scenario"]
