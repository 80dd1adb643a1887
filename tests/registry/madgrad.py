"""MADGRAD: Defazio & Jelassi 2021, Algorithm 1, with the authors' eps beside the rate."""

import math

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, from_zero, halving, like, ratio, rising


def madgrad(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    momentum: Hyper = 0.9,
    weight_decay: Hyper = 0.0,
    eps: Hyper = 1e-6,
    store: Store = float,
) -> list[Tree]:
    """lambda_k = eta sqrt(k+1); z_{k+1} = x_0 - s_{k+1} / cbrt(v_{k+1}); x_{k+1} = (1-c) x_k + c z_{k+1}."""
    s, v, x = like(params), like(params), copy(params)
    updates = []
    for k, g in enumerate(grads):
        t = k + 1
        weight = (at(learning_rate, t) + at(eps, t)) * math.sqrt(k + 1)
        u = like(params)
        for name, i in elements(params):
            g_k = g[name][i] + at(weight_decay, t) * x[name][i]
            s[name][i] += weight * g_k
            v[name][i] += weight * g_k**2
            z = float(params[name][i]) - ratio(s[name][i], math.cbrt(v[name][i]) + at(eps, t))
            u[name][i] = (1 - at(momentum, t)) * (z - x[name][i])
            x[name][i] = store(x[name][i] + store(u[name][i]))
        updates.append(u)
    return updates


SCALE, OPTIMIZER = {"reference": madgrad}, {"reference": madgrad, "kind": "optimizer"}
ROWS = [
    row("scale_by_madgrad", traits={**SCALE, "hyper": "momentum"}, learning_rate=0.5),
    row(
        "madgrad",
        traits={**OPTIMIZER, "hyper": "learning_rate"},
        learning_rate=0.5,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_madgrad", "large eps", traits=SCALE, learning_rate=0.5, momentum=0.5, eps=0.1),
    row("scale_by_madgrad", "no eps", traits=SCALE, learning_rate=0.5, eps=0.0),
    row("scale_by_madgrad", "no rate", traits=SCALE, learning_rate=0.0),
    row("scale_by_madgrad", "warm-up", traits=SCALE, learning_rate=from_zero),
    row("madgrad", "plain", traits={**OPTIMIZER, "speed": Speed(68, 11 / 9)}, learning_rate=0.1),
    row(
        "madgrad",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        momentum=rising,
        weight_decay=rising,
        eps=halving,
    ),
]

FILE = "methods/madgrad.py"
REFERENCE = reference_of("scale_by_madgrad")
MUTANTS = [
    Mutant("madgrad: weights do not grow", FILE, " * root(steps(count))", "", REFERENCE),
    Mutant("madgrad: the square root", FILE, "y = safe * (r * r)", "y = safe * r", REFERENCE),
    Mutant(
        "madgrad: a cube root of few digits",
        FILE,
        "4 if info.bits == 32 else 5",
        "2",
        ("test_madgrad.py::test_the_cube_root_has_all_digits_and_calls_no_library[float32]",),
    ),
    Mutant(
        "madgrad: no eps in the rate",
        FILE,
        "(k.learning_rate + k.eps)",
        "k.learning_rate",
        case_of("scale_by_madgrad[no rate]"),
    ),
    Mutant("madgrad: squares not weighed", FILE, "k.weight * abs_sq(g)", "abs_sq(g)", REFERENCE),
    Mutant("madgrad: from where it stands", FILE, 'z = slots["params0"] -', "z = p -", REFERENCE),
]
