"""Mechanic: Cutkosky, Defazio & Mehta 2023, Algorithm 1, where r may be below 0 and counts for 0 then."""

import math
from functools import partial
from typing import Any

import numpy as np

from tests.registry.adam import scale_by_adam
from tests.registry.base import ELEMENTS, FUSED, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like


def inner(a: Tree, b: Tree) -> float:
    """Return <a, b> over all leaves."""
    return math.fsum(a[name][i] * b[name][i] for name, i in elements(a))


def mechanize(
    grads: list[Tree],
    params: Tree,
    *,
    weight_decay: Hyper = 1e-2,
    eps: Hyper = 1e-8,
    s_init: Hyper = 1e-6,
    num_betas: int = 6,
    base: Any = None,
    store: Store = float,
) -> list[Tree]:
    """X = x_ref + sum_i(s_i) Delta, Delta the sum of the base's updates; that is -g unless `base` gives them."""
    x, first = copy(params), copy(params)
    descents = [{name: -g[name] for name in g} for g in grads] if base is None else base(grads, params)
    betas = [1 - 10.0 ** -(i + 1) for i in range(num_betas)]
    m, v, r = np.zeros(num_betas), np.zeros(num_betas), np.zeros(num_betas)
    s = np.full(num_betas, at(s_init, 1))
    updates = []
    for t, (g, d) in enumerate(zip(grads, descents, strict=True), start=1):
        e, scale, delta, pulled = at(eps, t), sum(s), like(params), like(params)
        shrink = at(weight_decay, t) * scale * math.sqrt(inner(g, g)) / (math.sqrt(inner(x, x)) + e)
        for name, i in elements(params):
            delta[name][i] = (first[name][i] - x[name][i]) / (scale + e)
            pulled[name][i] = g[name][i] + shrink * x[name][i]
        h = inner(delta, pulled)
        for i, beta in enumerate(betas):
            r[i] = beta * r[i] + s[i] * min(max(h, -m[i]), m[i])
            m[i] = max(beta * m[i], abs(h) + e)
            v[i] = beta**2 * v[i] + h**2
            s[i] = (at(s_init, t) / num_betas * m[i] + max(r[i], 0.0)) / (math.sqrt(v[i]) + e)
        u = like(params)
        for name, i in elements(params):
            u[name][i] = first[name][i] - sum(s) * (delta[name][i] - d[name][i]) - x[name][i]
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


def adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam's updates at the rate 1."""
    return [{name: -x for name, x in u.items()} for u in scale_by_adam(grads, params)]


def round_(library: Any, *, base: str, **settings: Any) -> Any:
    """Return an optimizer whose scale is learned."""
    named = library if hasattr(library, "mechanize") else library.contrib
    return named.mechanize(getattr(library, base)(1.0), **settings)


# its scale comes from all leaves, and u is the way to a position
WRAPPER = {"kind": "wrapper", "laws": (ELEMENTS,), "position": True, "fused": FUSED, "numbers_only": ("num_betas",)}
SGD = {**WRAPPER, "reference": mechanize, "maker": partial(round_, base="sgd")}
ADAM = {**WRAPPER, "reference": partial(mechanize, base=adam), "maker": partial(round_, base="adam")}
ROUND = {"around": lambda library, tx: library.mechanize(tx), "idle": False}
ROWS = [
    row("mechanize", traits={**SGD, **ROUND, "hyper": "s_init", "optax": True}, weight_decay=0.1, s_init=0.01),
    row("mechanize", "adam", traits={**ADAM, "optax": True}, s_init=0.1, num_betas=3),
]
CASES = [
    row("mechanize", "schedules", traits=SGD, weight_decay=halving, eps=halving, s_init=halving),
    row("mechanize", "as optax", traits={**SGD, "reference": None, "optax": True}),
]

FILE = "wrappers/mechanize.py"
MUTANTS = [
    Mutant("mechanize: bets of any size", FILE, "jnp.clip(h, -m, m)", "h", reference_of("mechanize")),
    Mutant("mechanize: wealth below 0", FILE, "jnp.maximum(won, 0.0)", "won", reference_of("mechanize")),
    Mutant(
        "mechanize: no pull", FILE, "+ pull * products(again, tree.params, axis_name)", "", reference_of("mechanize")
    ),
    Mutant("mechanize: squares decay as means do", FILE, "b**2 * v", "b * v", case_of("mechanize[schedules]")),
    Mutant("mechanize: one update alone", FILE, "k.back * (behind", "0.0 * (behind", reference_of("mechanize")),
]
