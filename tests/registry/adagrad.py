"""Adagrad with a diagonal matrix: Duchi, Hazan & Singer 2011, Figure 1; the mean form is the lecture's slide 2.1."""

import math

from tests.registry.base import Mutant, Speed, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, ratio
from tests.registry.scale import scale_by_learning_rate


def scale_by_adagrad(
    grads: list[Tree],
    params: Tree,
    *,
    initial_accumulator_value: float = 0.1,
    eps: Hyper = 1e-7,
    mean: bool = False,
) -> list[Tree]:
    """s_t = s_{t-1} + g_t^2; u_t = g_t / sqrt(s_t + eps), or g_t / sqrt((s_t + eps) / t)."""
    s = like(params, initial_accumulator_value)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            s[name][i] += g[name][i] ** 2
            total = s[name][i] + at(eps, t)
            u[name][i] = ratio(g[name][i], math.sqrt(total / t if mean else total))
        updates.append(u)
    return updates


def adagrad(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Hyper) -> list[Tree]:
    """Step by -eta g / sqrt(s + eps)."""
    scaled = scale_by_adagrad(grads, params, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)


ROWS = [
    row("scale_by_adagrad", traits={"reference": scale_by_adagrad, "hyper": "eps"}),
    row(
        "scale_by_adagrad",
        "mean",
        traits={"reference": scale_by_adagrad, "power": 0},
        initial_accumulator_value=0.0,
        eps=0.0,
        mean=True,
    ),
    row("scale_by_rss", traits={"reference": scale_by_adagrad, "hyper": "eps", "optax": True}),
    row(
        "adagrad",
        traits={
            "reference": adagrad,
            "kind": "optimizer",
            "hyper": "learning_rate",
            "optax": True,
            "speed": Speed(0, 7 / 5),
        },
        learning_rate=0.1,
    ),
]
CASES = [
    row(
        "scale_by_adagrad",
        "no eps",
        traits={"reference": scale_by_adagrad, "power": 0},
        initial_accumulator_value=0.0,
        eps=0.0,
    ),
    row("adagrad", "schedules", traits={"reference": adagrad}, learning_rate=halving, eps=halving),
]

FILE = "factors/adagrad.py"
MUTANTS = [
    Mutant("adagrad: not squared", FILE, "+ held(abs_sq(g))", "+ abs(g)", reference_of("scale_by_adagrad")),
    Mutant(
        "adagrad: eps outside the root",
        FILE,
        "root((s + k.eps) * k.share)",
        "root(s * k.share) + k.eps",
        reference_of("scale_by_adagrad"),
    ),
    Mutant(
        "adagrad: sum for mean",
        FILE,
        "1.0 / steps(count) if mean",
        "1.0 if mean",
        reference_of("scale_by_adagrad[mean]"),
    ),
    Mutant(
        "adagrad: starts at 0", FILE, "full(p, initial_accumulator_value,", "full(p, 0.0,", reference_of("scale_by_rss")
    ),
]
