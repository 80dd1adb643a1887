"""DoWG: Khaled, Mishchenko & Jin 2023, Algorithm 1, with eps outside the root."""

import math

from tests.registry.base import ELEMENTS, Mutant, case_of, reference_of, row
from tests.registry.dog import squares
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like


def dowg(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1.0,
    init_estim_sq_dist: float | None = None,
    eps: Hyper = 1e-4,
    weight_decay: Hyper = 0.0,
    store: Store = float,
) -> list[Tree]:
    """r_t = max(|x_t - x_0|, r_{t-1}), v_t = v_{t-1} + r_t^2 |g_t|^2, eta_t = r_t^2 / sqrt(v_t)."""
    x, first = copy(params), copy(params)
    sq_radius = at(eps, 1) if init_estim_sq_dist is None else init_estim_sq_dist
    weighted, updates = 0.0, []
    for t, g in enumerate(grads, start=1):
        h, u = like(params), like(params)
        for name, i in elements(params):
            h[name][i] = g[name][i] + at(weight_decay, t) * x[name][i]
        sq_radius = max(sq_radius, squares(x, first))
        weighted += sq_radius * squares(h)
        eta = sq_radius / (math.sqrt(weighted) + at(eps, t))
        for name, i in elements(params):
            u[name][i] = -at(learning_rate, t) * eta * h[name][i]
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


def scale_by_dowg(grads: list[Tree], params: Tree, **settings: float) -> list[Tree]:
    """eta_t g_t, the parameters moving by it."""
    return dowg(grads, params, learning_rate=-1.0, **settings)


WHOLE = {"laws": (ELEMENTS,)}  # its rate comes from all leaves
OPTIMIZER = {"reference": dowg, "kind": "optimizer", "numbers_only": ("init_estim_sq_dist",), **WHOLE}
ROWS = [
    row(
        "scale_by_dowg",
        traits={"reference": scale_by_dowg, "hyper": "eps", "numbers_only": ("init_estim_sq_dist",), **WHOLE},
        init_estim_sq_dist=0.1,
    ),
    row(
        "dowg",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True},
        learning_rate=0.5,
        init_estim_sq_dist=0.01,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_dowg", "eps", traits={"reference": scale_by_dowg, **WHOLE}, eps=0.1),
    row(
        "dowg",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        init_estim_sq_dist=0.01,
        eps=halving,
        weight_decay=halving,
    ),
    row("dowg", "optax", traits={"optax": True, **WHOLE}, eps=0.01),
]

FILE = "methods/dowg.py"
MUTANTS = [
    Mutant(
        "dowg: without weights",
        FILE,
        "largest * square(tree.grads, axis_name)",
        "square(tree.grads, axis_name)",
        reference_of("dowg"),
    ),
    Mutant("dowg: eps inside", FILE, "root(weighted) + k.eps", "root(weighted + k.eps)", case_of("scale_by_dowg[eps]")),
    Mutant(
        "dowg: the last distance",
        FILE,
        'jnp.maximum(tree.memory["estim_sq_dist"], held(distance))',
        "held(distance)",
        reference_of("dowg"),
    ),
]
