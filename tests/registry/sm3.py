"""SM3: Anil, Gupta, Koren & Singer 2019, Algorithm SM3-II, the cover of an array being its slices along each axis.

Its momentum is the mean of the scaled gradients. b2 < 1 and eps are optax's; the paper has a sum and no eps.
"""

import math
from typing import Any

import numpy as np

from tests.registry.base import LEAVES, Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, number, ratio, rising
from tests.registry.scale import scale_by_learning_rate


def slices(name: str, i: tuple[int, ...]) -> list[tuple[str, int, int]]:
    """Return the sets that hold an element: the slice of each axis; of no axis, the array."""
    return [(name, axis, at_axis) for axis, at_axis in enumerate(i)] or [(name, 0, 0)]


def scale_by_sm3(
    grads: list[Tree], params: Tree, *, b1: Hyper | None = 0.9, b2: Hyper = 1.0, eps: Hyper = 1e-8
) -> list[Tree]:
    """nu_t(i) = min over r of mu_{t-1}(r) + g_t(i)^2; mu_t(r) = max over i in S_r of nu_t(i); u = g / sqrt(nu)."""
    mu: dict[tuple[str, int, int], float] = {}
    mean, updates = like(params), []
    for t, g in enumerate(grads, start=1):
        keep, beta = at(b2, t), 0.0 if b1 is None else at(b1, t)
        new: dict[tuple[str, int, int], float] = {}
        for name, i in elements(params):
            squared = (1.0 if keep == 1.0 else 1.0 - keep) * g[name][i] ** 2
            nu = keep * min(mu.get(r, 0.0) for r in slices(name, i)) + squared
            for r in slices(name, i):
                new[r] = max(new.get(r, 0.0), nu)
            scaled = ratio(g[name][i], math.sqrt(nu + at(eps, t)))
            mean[name][i] = beta * mean[name][i] + (1 - beta) * scaled
        mu = new
        updates.append({name: np.copy(m) for name, m in mean.items()})
    return updates


def late_sum(count: Any) -> Any:
    """Return a decay of 1 at count 0 and of less than 1 later."""
    return 1.0 - 0.2 * number(count) / (1.0 + number(count))


def sm3(grads: list[Tree], params: Tree, *, learning_rate: Hyper, momentum: Hyper | None = 0.9) -> list[Tree]:
    """w_{t+1} = w_t - eta u_t."""
    scaled = scale_by_sm3(grads, params, b1=momentum)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)


BOUND = {"laws": (LEAVES,), "reference": scale_by_sm3}  # an element's sigma comes from its slices
OPTIMIZER = {**BOUND, "reference": sm3, "kind": "optimizer"}
OF_OPTAX = {"laws": (LEAVES,), "optax": True, "shapes": ("vector", "matrix", "stack")}  # it fails on no dimension
ROWS = [
    row("scale_by_sm3", traits={**BOUND, "hyper": "b1"}, b2=0.9),
    row(
        "sm3",
        traits={**OPTIMIZER, "hyper": "learning_rate", "speed": Speed(0, 10 / 7, fused=10 / 7)},
        learning_rate=0.1,
    ),
]
CASES = [
    row(
        "sm3",
        "matrices",  # v is written out for its maxima, one leaf after another
        traits={**OPTIMIZER, "speed": Speed(4_002_000, 12 / 5, fused=None, shape=(1000, 1000))},
        learning_rate=0.1,
    ),
    row("sm3", "no momentum", traits=OPTIMIZER, learning_rate=0.1, momentum=None),
    row("sm3", "as optax", traits=OF_OPTAX, learning_rate=0.1),
    row("scale_by_sm3", "optax, a mean", traits=OF_OPTAX, b1=0.5, b2=0.9, eps=1e-3),
    row("scale_by_sm3", "no eps", traits={**BOUND, "power": 0}, b1=0.5, eps=0.0),
    row("scale_by_sm3", "schedules", traits=BOUND, b1=rising, b2=late_sum, eps=halving),
]

FILE = "methods/sm3.py"
MUTANTS = [
    Mutant("sm3: the largest of the covers", FILE, "reduce(jnp.minimum", "reduce(jnp.maximum", reference_of("sm3")),
    Mutant(
        "sm3: sums instead of maxima",
        FILE,
        "jnp.max(x, others(x, axis), initial=0.0)",
        "jnp.sum(x, others(x, axis))",
        reference_of("sm3"),
    ),
    Mutant(
        "sm3: a sum that forgets",
        FILE,
        "1.0 if k.b2 == 1.0 else 1.0 - k.b2",
        "1.0 - k.b2",
        reference_of("sm3"),
    ),
    Mutant(
        "sm3: a scheduled sum that stops",
        FILE,
        "jnp.where(k.b2 == 1.0, 1.0, 1.0 - k.b2)",
        "1.0 - k.b2",
        case_of("scale_by_sm3[schedules]"),
    ),
    Mutant("sm3: the mean outside the root", FILE, "root(v + k.eps)", "root(v) + k.eps", reference_of("scale_by_sm3")),
]
