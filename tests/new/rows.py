"""Skeleton: the paper, the algorithm and the equation that the reference is written from."""

import math

from tests.registry.base import Mutant, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, like, ratio


def scale_by_skeleton(
    grads: list[Tree], params: Tree, *, b1: Hyper = 0.9, b2: Hyper = 0.999, eps: Hyper = 1e-8
) -> list[Tree]:
    """Return the ratio of the debiased moments, number by number in float64."""
    m, v = like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * g[name][i]
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            sigma = math.sqrt(v[name][i] / (1 - beta2**t)) + at(eps, t)
            u[name][i] = ratio(m[name][i] / (1 - beta1**t), sigma)
        updates.append(u)
    return updates


def skeleton(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Hyper) -> list[Tree]:
    """Return minus the rate times the scaled gradients."""
    scaled = scale_by_skeleton(grads, params, **settings)
    return [{name: -at(learning_rate, t) * x for name, x in u.items()} for t, u in enumerate(scaled, start=1)]


ROWS = [
    row("scale_by_skeleton", traits={"reference": scale_by_skeleton, "hyper": "b2"}),
    row(
        "skeleton",
        traits={"reference": skeleton, "kind": "optimizer", "hyper": "learning_rate"},
        learning_rate=0.1,
    ),
]

FILE = "methods/skeleton.py"
MUTANTS = [
    Mutant(
        "skeleton: a sum, not a mean",
        FILE,
        'mu = k.b1 * slots["mu"] + (1 - k.b1) * g',
        'mu = k.b1 * slots["mu"] + g',
        reference_of("scale_by_skeleton"),
    ),
    Mutant("skeleton: not squared", FILE, "held(abs_sq(g))", "abs(g)", reference_of("scale_by_skeleton")),
]
