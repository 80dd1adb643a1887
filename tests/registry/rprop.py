"""Rprop: Igel & Huesken 2003, section 2.2 (iRprop-), each step one update late as optax has it, or at once."""

import math

import numpy as np

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, rising


def sign(x: float) -> float:
    """Return -1, 0 or 1."""
    return float(np.sign(x))


def scale_by_rprop(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    eta_minus: Hyper = 0.5,
    eta_plus: Hyper = 1.2,
    min_step_size: Hyper = 1e-6,
    max_step_size: Hyper = 50.0,
    delayed: bool = True,
) -> list[Tree]:
    """If the product of two gradients is > 0 the step grows, if < 0 it shrinks and the gradient is forgotten."""
    size, last, waiting = like(params, at(learning_rate, 1)), like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            g_t, product = g[name][i], sign(g[name][i]) * sign(last[name][i])
            if product > 0:
                size[name][i] = min(size[name][i] * at(eta_plus, t), at(max_step_size, t))
                size[name][i] = max(size[name][i], at(min_step_size, t))
            elif product < 0:
                size[name][i] = max(size[name][i] * at(eta_minus, t), at(min_step_size, t))
                size[name][i] = min(size[name][i], at(max_step_size, t))
                g_t = 0.0
            last[name][i], step = g_t, size[name][i] * sign(g_t)
            late = 0.0 if product < 0 else waiting[name][i]
            waiting[name][i] = step
            u[name][i] = late if delayed else step
        updates.append(u)
    return updates


def rprop(grads: list[Tree], params: Tree, **settings: Hyper) -> list[Tree]:
    """theta_t = theta_{t-1} - u_t."""
    return [{name: -x for name, x in u.items()} for u in scale_by_rprop(grads, params, **settings)]


# it moves by steps of a few sizes, so that its derivative is 0 where it has one; the first step comes late
SIGNS = {"differentiable": False, "sparse": True, "stored": {"signs": "int8"}, "starts": ("learning_rate",), "power": 0}
OPTIMIZER = {**SIGNS, "reference": rprop, "kind": "optimizer"}
ROWS = [
    row(
        "scale_by_rprop",
        traits={**SIGNS, "reference": scale_by_rprop, "hyper": "eta_minus"},
        learning_rate=0.1,
        delayed=False,
    ),
    row(
        "rprop",
        traits={**OPTIMIZER, "hyper": "eta_minus", "optax": True, "speed": Speed(0, 9 / 7, fused=None)},
        learning_rate=0.1,
    ),
]
CASES = [
    row("scale_by_rprop", "as optax", traits={**SIGNS, "optax": True}, learning_rate=0.1),
    row("rprop", "at once", traits=OPTIMIZER, learning_rate=0.1, delayed=False),
    row(
        "rprop",
        "bounds that are met",
        traits={**OPTIMIZER, "optax": True},
        learning_rate=0.1,
        min_step_size=0.08,
        max_step_size=0.13,
    ),
    row("rprop", "first size out of bounds", traits={**OPTIMIZER, "optax": True}, learning_rate=3.0, max_step_size=1.0),
    row("rprop", "no bounds", traits=OPTIMIZER, learning_rate=0.1, min_step_size=0.0, max_step_size=math.inf),
    row(
        "scale_by_rprop",
        "schedules",
        traits={**SIGNS, "reference": scale_by_rprop},
        learning_rate=halving,
        eta_minus=rising,
        eta_plus=lambda count: 1.0 + halving(count),
        max_step_size=halving,
        delayed=False,
    ),
]

FILE = "methods/rprop.py"
MUTANTS = [
    Mutant(
        "rprop: shrinks twice for one turn",
        FILE,
        "jnp.where(sign * last < 0, jnp.zeros_like(sign), sign)",
        "sign",
        reference_of("rprop"),
    ),
    Mutant(
        "rprop: moves where it has turned",
        FILE,
        "jnp.where(agree < 0, jnp.zeros_like(step), step)",
        "step",
        reference_of("rprop"),
    ),
    Mutant(
        "rprop: the bounds also where nothing changes",
        FILE,
        "jnp.where(agree == 0, size, bounded)",
        "bounded",
        case_of("rprop[first size out of bounds]"),
    ),
    Mutant(
        "rprop: grows where it turns",
        FILE,
        "jnp.where(agree > 0, k.eta_plus",
        "jnp.where(agree <= 0, k.eta_plus",
        reference_of("scale_by_rprop"),
    ),
]
