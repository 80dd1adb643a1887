"""DoG: Ivgi, Hinder & Carmon 2023, Algorithm 1, with eps inside the root and the three starts of optax."""

import math
from functools import partial

from tests.registry.base import ELEMENTS, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, from_zero, halving, like


def squares(tree: Tree, other: Tree | None = None) -> float:
    """Return |x - y|^2 over all leaves, y = 0 where it is not given."""
    return math.fsum((tree[n][i] - (other[n][i] if other is not None else 0.0)) ** 2 for n, i in elements(tree))


def scale_by_dog(
    grads: list[Tree],
    params: Tree,
    *,
    init_step: tuple[str, float],
    eps: Hyper = 1e-8,
    learning_rate: Hyper = -1.0,
    weight_decay: Hyper | None = None,
    mask: dict[str, bool] | None = None,
    store: Store = float,
) -> list[Tree]:
    """eta_t = max_{i <= t} |x_i - x_0| / sqrt(G_t + eps), x_{t+1} = x_t - eta_t g_t."""
    x, first = copy(params), copy(params)
    tag, value = init_step
    radius = {"distance": value, "heuristic": value * (1.0 + math.sqrt(squares(first))), "learning_rate": 0.0}[tag]
    total, updates = 0.0, []
    for t, g in enumerate(grads, start=1):
        h, u = like(params), like(params)
        for name, i in elements(params):
            decays = weight_decay is not None and (mask is None or mask[name])
            h[name][i] = g[name][i] + (at(weight_decay, t) * x[name][i] if decays else 0.0)
        total += squares(h)
        radius = max(radius, math.sqrt(squares(x, first)))
        eta = radius / math.sqrt(total + at(eps, t))
        if tag == "learning_rate" and radius == 0.0:
            eta = value
        for name, i in elements(params):
            u[name][i] = -at(learning_rate, t) * eta * h[name][i]
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


dog = partial(scale_by_dog, init_step=("heuristic", 1e-6), learning_rate=1.0)
WHOLE = {"laws": (ELEMENTS,)}  # its rate comes from all leaves
SCALE = {"reference": scale_by_dog, **WHOLE}
OPTIMIZER = {"reference": dog, "kind": "optimizer", **WHOLE}
ROWS = [
    row("scale_by_dog", traits={**SCALE, "hyper": "eps"}, init_step=("distance", 0.1)),
    row("dog", traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True}, learning_rate=0.5, weight_decay=0.1),
]
CASES = [
    row("scale_by_dog", "learning rate", traits=SCALE, init_step=("learning_rate", 0.1), eps=0.1),
    row("dog", "no eps", traits={"power": 0, **WHOLE}, eps=0.0),
    row(
        "dog",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        init_step=("heuristic", 0.1),
        eps=halving,
        weight_decay=halving,
        mask={"gain": True, "bias": False, "kernel": True, "large": True},
    ),
    row("dog", "warm-up", traits=OPTIMIZER, learning_rate=from_zero, init_step=("learning_rate", 0.1)),
    row("dog", "optax, distance", traits={"optax": True, **WHOLE}, init_step=("distance", 0.1), eps=0.1),
    row("dog", "optax, rate", traits={"optax": True, **WHOLE}, learning_rate=0.5, init_step=("learning_rate", 0.1)),
]

FILE = "methods/dog.py"
MUTANTS = [
    Mutant(
        "dog: the last distance",
        FILE,
        "largest = jnp.maximum(largest, root(",
        "largest = (root(",
        reference_of("scale_by_dog"),
    ),
    Mutant(
        "dog: the last gradient alone", FILE, 'tree.memory["sum_sq_norm_grads"] + ', "", reference_of("scale_by_dog")
    ),
    Mutant("dog: no 1 in the heuristic", FILE, "start * (1.0 + root(", "start * (root(", case_of("dog[schedules]")),
    Mutant(
        "dog: stands still after a first step of 0",
        FILE,
        "jnp.where(largest > 0, rate, start)",
        "jnp.where(tree.count > 0, rate, start)",
        case_of("dog[warm-up]"),
    ),
]
