"""Shampoo: Gupta, Koren & Singer 2018, Algorithm 1, its sums as means where b2 < 1; a diagonal for a side too large."""

import math
from typing import Any

import numpy as np

from tests.registry.base import LEAVES, Mutant, case_of, reference_of, row
from tests.registry.muon import last_two
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, like, rising
from tests.registry.trace import trace


def to_minus(x: np.ndarray, power: float) -> np.ndarray:
    """X^-power of a symmetric matrix."""
    values, vectors = np.linalg.eigh(x)
    return (vectors * np.where(values > 0, np.where(values > 0, values, 1.0) ** -power, 0.0)) @ vectors.T


def shampoo_of_matrix(grads: list[np.ndarray], b2: Hyper, eps: Hyper, every: int, most: int) -> list[np.ndarray]:
    """L_t = L_{t-1} + G G^T, R_t = R_{t-1} + G^T G, W_{t+1} = W_t - eta L_t^-1/4 G R_t^-1/4."""
    rows, columns = grads[0].shape
    left, right = np.zeros((rows, rows)), np.zeros((columns, columns))
    roots: dict[int, np.ndarray] = {}
    updates = []
    for t, g in enumerate(grads):
        beta, epsilon = at(b2, t + 1), at(eps, t + 1)
        add, mean = (1.0, 1.0) if beta == 1 else (1 - beta, 1 / (1 - beta ** (t + 1)))
        left, right = beta * left + add * g @ g.T, beta * right + add * g.T @ g
        for side, x in ((0, left), (1, right)):
            if len(x) > most:
                roots[side] = to_minus(np.diag(np.diag(x)) * mean + epsilon * np.eye(len(x)), 1 / 4)
            elif t % every == 0:
                roots[side] = to_minus(x * mean + epsilon * np.eye(len(x)), 1 / 4)
        updates.append(roots[0] @ g @ roots[1])
    return updates


def scale_by_shampoo(
    grads: list[Tree],
    params: Tree,
    *,
    b2: Hyper = 1.0,
    eps: Hyper = 1e-6,
    precondition_frequency: int = 1,
    max_precond_dim: int = 10_000,
    weight_dimension_numbers: Any = None,
) -> list[Tree]:
    """Each matrix by itself; a vector's numbers are Adagrad's, each a matrix of one row and one column."""
    del weight_dimension_numbers  # the rows that give them say that the last two axes are the matrix's
    updates = [like(params) for _ in grads]
    for name, p in params.items():
        least = 2
        inner = np.shape(p)[-2:] if np.ndim(p) >= least else (1, 1)
        every = precondition_frequency if np.ndim(p) >= least else 1
        stacks = [np.reshape(g[name], (-1, *inner)) for g in grads]
        for i in range(math.prod(np.shape(p)) // math.prod(inner)):
            found = shampoo_of_matrix([stack[i] for stack in stacks], b2, eps, every, max_precond_dim)
            for u, x in zip(updates, found, strict=True):
                np.reshape(u[name], (-1, *inner))[i] = x
    return updates


def shampoo(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    momentum: Hyper | None = 0.9,
    nesterov: bool = False,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """Step by -eta (m + weight_decay theta), m the decaying sum of the preconditioned gradients."""
    scaled = scale_by_shampoo(grads, params, **settings)
    steps = scaled if momentum is None else trace(scaled, params, decay=momentum, nesterov=nesterov)
    theta, updates = copy(params), []
    for t, s in enumerate(steps, start=1):
        u = {name: np.asarray(-at(learning_rate, t) * (x + at(weight_decay, t) * theta[name])) for name, x in s.items()}
        theta = {name: np.vectorize(store, otypes=[np.float64])(theta[name] + u[name]) for name in u}
        updates.append(u)
    return updates


# An inverse root makes a number of a matrix depend on all others; no derivative goes through it.
FIXED = ("precondition_frequency", "max_precond_dim")
TRAITS = {
    "laws": (LEAVES,),
    "numbers_only": FIXED,
    "shapes": ("matrix", "vector", "scalar"),
    "differentiable": False,
}
SCALE = {**TRAITS, "reference": scale_by_shampoo}
OPTIMIZER = {**TRAITS, "reference": shampoo, "kind": "optimizer"}
ROWS = [
    row("scale_by_shampoo", traits={**SCALE, "hyper": "b2"}, b2=0.9, eps=0.1, precondition_frequency=2),
    row("shampoo", traits={**OPTIMIZER, "hyper": "learning_rate"}, learning_rate=0.1, eps=0.1),
]
CASES = [
    row("scale_by_shampoo", "paper", traits=SCALE, eps=0.01),
    row("scale_by_shampoo", "seldom", traits=SCALE, precondition_frequency=3, b2=0.5, eps=1e-3),
    row("scale_by_shampoo", "one diagonal", traits=SCALE, max_precond_dim=2),
    row("scale_by_shampoo", "both diagonal", traits=SCALE, max_precond_dim=1, b2=0.9),
    row(
        "scale_by_shampoo",
        "stacks",
        traits={**SCALE, "shapes": ("stack",)},
        eps=0.01,
        weight_dimension_numbers=last_two,
    ),
    row(
        "shampoo",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        momentum=rising,
        b2=rising,
        eps=halving,
        weight_decay=halving,
        nesterov=True,
    ),
    row("shampoo", "no momentum", traits=OPTIMIZER, learning_rate=0.1, momentum=None, b2=lambda count: 1.0, eps=0.1),
]

FILE, ROOTS_FILE = "methods/shampoo.py", "factors/inverse_roots.py"
MUTANTS = [
    Mutant("shampoo: square roots", ROOTS_FILE, "root(root(x)))", "root(x))", reference_of("scale_by_shampoo")),
    Mutant(
        "shampoo: roots each step",
        ROOTS_FILE,
        "lambda x, eps: old",
        "inverse_roots",
        case_of("scale_by_shampoo[seldom]"),
    ),
    Mutant("shampoo: no mean", FILE, "new[side] * k.mean, slots", "new[side], slots", reference_of("scale_by_shampoo")),
    Mutant(
        "shampoo: squares of the other side",
        FILE,
        "k.add * jnp.sum(as_stack(squared, axes), axis)",
        "k.add * jnp.sum(as_stack(squared, axes), axis) * 0.5",
        case_of("scale_by_shampoo[one diagonal]"),
    ),
]
