"""Scion: Pethick et al. 2025, Algorithms 1 and 2, with the norms Spectral for matrices and Sign for the rest."""

from typing import Any

import numpy as np

from tests.registry.base import LEAVES, Mutant, case_of, reference_of, row
from tests.registry.muon import last_two, newton_schulz
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, like, rising

LEAST = 2  # dimensions of a matrix


def lmo(d: np.ndarray, radius: float, other_radius: float, eps: float) -> np.ndarray:
    """Return -lmo(d), the point of the ball that lies furthest along d."""
    if d.ndim < LEAST:
        return other_radius * np.sign(d)
    out = np.zeros(d.shape)
    fan_in, fan_out = d.shape[-2:]
    for i in np.ndindex(d.shape[:-2]):
        out[i] = radius * (fan_out / fan_in) ** 0.5 * newton_schulz(d[i], 5, eps)
    return out


def scale_by_scion(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    radius: Hyper = 50.0,
    other_radius: Hyper = 3000.0,
    eps: Hyper = 1e-8,
    weight_dimension_numbers: Any = None,
) -> list[Tree]:
    """d_k = (1 - alpha) d_{k-1} + alpha g_k."""
    del weight_dimension_numbers  # the rows that give them say that the last two axes are the matrix's
    d, updates = like(params), []
    for t, g in enumerate(grads, start=1):
        d = {name: at(b1, t) * x + (1 - at(b1, t)) * g[name] for name, x in d.items()}
        updates.append(
            {name: lmo(np.asarray(x), at(radius, t), at(other_radius, t), at(eps, t)) for name, x in d.items()}
        )
    return updates


def scion(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    constrained: bool = True,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """x_{k+1} = (1 - gamma_k) x_k + gamma_k lmo(d_k), or x_k + gamma_k lmo(d_k)."""
    x, updates = copy(params), []
    for t, s in enumerate(scale_by_scion(grads, params, **settings), start=1):
        gamma = at(learning_rate, t)
        u = {name: np.asarray(-gamma * s[name] - (gamma * x[name] if constrained else 0.0)) for name in s}
        x = {name: np.vectorize(store, otypes=[np.float64])(x[name] + u[name]) for name in u}
        updates.append(u)
    return updates


# An orthogonal factor mixes the elements of its matrix; a sign has no slope.
SCALE = {
    "laws": (LEAVES,),
    "numbers_only": ("ns_steps",),
    "shapes": ("matrix", "vector", "scalar"),
    "reference": scale_by_scion,
}
OPTIMIZER = {**SCALE, "reference": scion, "kind": "optimizer"}
ROWS = [
    row("scale_by_scion", traits={**SCALE, "hyper": "b1"}, radius=2.0, other_radius=0.5),
    row("scion", traits={**OPTIMIZER, "hyper": "learning_rate"}, learning_rate=0.1, radius=2.0, other_radius=0.5),
]
CASES = [
    row("scale_by_scion", "stacks", traits={**SCALE, "shapes": ("stack",)}, weight_dimension_numbers=last_two),
    row("scale_by_scion", "schedules", traits=SCALE, b1=rising, radius=halving, other_radius=rising, eps=halving),
    row("scion", "unconstrained", traits=OPTIMIZER, learning_rate=halving, constrained=False),
]

FILE = "methods/scion.py"
MUTANTS = [
    Mutant(
        "scion: rows over columns",
        FILE,
        "math.sqrt(fan_out / max(fan_in, 1))",
        "math.sqrt(fan_in / max(fan_out, 1))",
        reference_of("scale_by_scion"),
    ),
    Mutant("scion: sign of the gradient", FILE, "jnp.sign(mu)", "jnp.sign(g)", reference_of("scale_by_scion")),
    Mutant(
        "scion: always constrained", FILE, "if constrained else []", "if True else []", case_of("scion[unconstrained]")
    ),
    Mutant(
        "scion: one radius for all",
        FILE,
        "(k.other_radius * jnp",
        "(k.radius * jnp",
        case_of("scale_by_scion[schedules]"),
    ),
]
