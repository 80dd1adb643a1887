"""AdamC: Defazio 2025, Algorithm 1: the decay of AdamW times eta_t / eta_max once more."""

from typing import Any

from tests.registry.adam import adamw
from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, halving, rising


def adamc(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 1e-4,
    max_learning_rate: float | None = None,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """x_t = x_{t-1} - gamma_t (m / (sqrt(v) + eps)) - (gamma_t^2 / gamma_max) lambda x_{t-1}."""

    def decay(count: int) -> float:
        share = 1.0 if max_learning_rate is None else at(learning_rate, count + 1) / at(max_learning_rate, count + 1)
        return at(weight_decay, count + 1) * share

    return adamw(grads, params, learning_rate=learning_rate, weight_decay=decay, store=store, **settings)


TRAITS = {"reference": adamc, "kind": "optimizer"}
ROWS = [
    row(
        "adamc",
        traits={**TRAITS, "hyper": "learning_rate", "speed": Speed(132, 11 / 7)},
        learning_rate=0.1,
        weight_decay=0.5,
        max_learning_rate=0.4,
    ),
]
CASES = [
    row("adamc", "constant", traits=TRAITS, learning_rate=0.1, weight_decay=0.5),
    row(
        "adamc",
        "schedules",
        traits=TRAITS,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        weight_decay=rising,
        max_learning_rate=0.5,
        nesterov=True,
    ),
]

FILE = "methods/adamc.py"
MUTANTS = [
    Mutant(
        "adamc: not corrected",
        FILE,
        "k.weight_decay * k.learning_rate / k.max",
        "k.weight_decay / k.max",
        reference_of("adamc"),
    ),
    Mutant(
        "adamc: corrected the other way",
        FILE,
        "k.learning_rate / k.max_learning_rate",
        "k.max_learning_rate / k.learning_rate",
        case_of("adamc[schedules]"),
    ),
]
