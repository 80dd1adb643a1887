"""Fromage: Bernstein et al. 2020, Algorithm 1, with a least norm as optax has it."""

import math

from tests.registry.base import Mutant, Speed, reference_of, row
from tests.registry.lamb import moved, trusted
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like


def fromage(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, min_norm: Hyper = 1e-6, store: Store = float
) -> list[Tree]:
    """W = (W - eta |W| / |g| g) / sqrt(1 + eta^2)."""
    p, updates = copy(params), []
    for t, g in enumerate(grads, start=1):
        eta, u = at(learning_rate, t), like(params)
        step = trusted(g, p, at(min_norm, t))
        for name, i in elements(params):
            new = (p[name][i] - eta * step[name][i]) / math.sqrt(1 + eta**2)
            u[name][i] = new - p[name][i]
        updates.append(u)
        moved(p, u, store)
    return updates


FROMAGE = {"reference": fromage, "kind": "optimizer"}
ROWS = [
    row(
        "fromage",
        traits={**FROMAGE, "hyper": "learning_rate", "optax": True, "speed": Speed(6_000, 3.0, fused=3.0)},
        learning_rate=0.1,
    ),
]
CASES = [
    row("fromage", "schedules", traits={**FROMAGE, "optax": True}, learning_rate=halving, min_norm=0.0),
    row("fromage", "large least norm", traits={**FROMAGE, "optax": True}, learning_rate=0.5, min_norm=2.0),
]

FILE = "methods/fromage.py"
MUTANTS = [
    Mutant("fromage: arrays grow", FILE, "- k.shrink * p, slots", ", slots", reference_of("fromage")),
    Mutant("fromage: a whole step", FILE, '"step": eta / root', '"step": eta + 0 * root', reference_of("fromage")),
    Mutant(
        "fromage: a difference that cancels",
        FILE,
        "eta * eta / (root * (1.0 + root))",
        "1.0 - 1.0 / root",
        ("test_layer_norms.py::test_a_small_rate_keeps_its_digits",),
    ),
]
