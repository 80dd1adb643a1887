"""Layer-wise DoG: Ivgi, Hinder & Carmon 2023, equations 1 and 2 for each layer, the first step as in section 3.3."""

import math

from tests.registry.base import Mutant, reference_of, row
from tests.registry.lamb import moved, norm
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rounded


def scale_by_distance_over_gradients(
    grads: list[Tree],
    params: Tree,
    *,
    reps_rel: float = 1e-6,
    eps: Hyper = 1e-8,
    param_dtype: str | None = "float32",
    global_scale: Hyper = 1.0,
    store: Store = float,
) -> list[Tree]:
    """eta_t = max_i |x_i - x_0| / sqrt(sum_i |g_i|^2 + eps), with max_i at least reps_rel (1 + |x_0|)."""
    p, start, updates = copy(params), copy(params), []
    for name, i in elements(params):
        start[name][i] = rounded(param_dtype)(start[name][i])
    distance = {name: reps_rel * (1 + norm(params[name])) for name in params}
    squares = dict.fromkeys(params, 0.0)
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name in params:
            distance[name] = max(distance[name], norm(p[name] - start[name]))
            squares[name] += norm(g[name]) ** 2
        for name, i in elements(params):
            rate = ratio(distance[name], math.sqrt(squares[name] + at(eps, t)))
            u[name][i] = at(global_scale, t) * rate * g[name][i]
        updates.append(u)
        moved(p, u, store)
    return updates


DOG = {"reference": scale_by_distance_over_gradients}
NAME = "scale_by_distance_over_gradients"
ROWS = [row(NAME, traits={**DOG, "hyper": "global_scale"}, reps_rel=0.1, global_scale=-1.0)]
CASES = [
    # optax keeps its sums in shape (1,): a 0-d leaf gets an update of that shape, and a matrix fails with strict ranks
    row(
        NAME,
        "as optax",
        traits={"optax": True, "shapes": ("vector",)},
        reps_rel=0.01,
        eps=0.1,
        global_scale=-2.0,
    ),
    row(NAME, "no eps", traits={**DOG, "power": 0}, reps_rel=0.1, eps=0.0, param_dtype=None),
    row(NAME, "schedules", traits=DOG, reps_rel=0.1, eps=halving, global_scale=halving),
]

FILE = "methods/distance_over_gradients.py"
MUTANTS = [
    Mutant(
        "distance over gradients: the last distance",
        FILE,
        'jnp.maximum(slots["max_dist"], root(squared))',
        "root(squared)",
        reference_of(NAME),
    ),
    Mutant(
        "distance over gradients: forgets the start",
        FILE,
        '"init_params": slots["init_params"], "max',
        '"init_params": p, "max',
        reference_of(NAME),
    ),
    Mutant("distance over gradients: the first step", FILE, "first * (1.0 + size)", "first * size", reference_of(NAME)),
    Mutant(
        "distance over gradients: the last gradient",
        FILE,
        'jnp.hypot(slots["grad_norm"], norm_of_leaf(g, axis_name))',
        "norm_of_leaf(g, axis_name)",
        reference_of(NAME),
    ),
]
