"""Adan: Xie et al. 2022, Algorithm 1, its betas as 1 - b; the decay is optax's."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rising
from tests.registry.weight_decay import descent_with_decay


def scale_by_adan(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.98,
    b2: Hyper = 0.92,
    b3: Hyper = 0.99,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
) -> list[Tree]:
    """u_t = (m_hat + (1 - beta2) v_hat) / (sqrt(n_hat) + eps), each mean with the paper's beta of the new."""
    m, v, n = like(params), like(params), like(params)
    last = copy(grads[0]) if grads else {}
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2, beta3 = 1 - at(b1, t), 1 - at(b2, t), 1 - at(b3, t)
        u = like(params)
        for name, i in elements(params):
            g_t, diff = g[name][i], g[name][i] - last[name][i]
            m[name][i] = (1 - beta1) * m[name][i] + beta1 * g_t
            v[name][i] = (1 - beta2) * v[name][i] + beta2 * diff
            n[name][i] = (1 - beta3) * n[name][i] + beta3 * (g_t + (1 - beta2) * diff) ** 2
            m_hat, v_hat, n_hat = (
                x[name][i] / (1 - (1 - beta) ** t) for x, beta in ((m, beta1), (v, beta2), (n, beta3))
            )
            u[name][i] = ratio(m_hat + (1 - beta2) * v_hat, math.sqrt(n_hat + at(eps_root, t)) + at(eps, t))
        last = g
        updates.append(u)
    return updates


def adan(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    eps_root: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (u_t + lambda theta_{t-1})."""
    scaled = scale_by_adan(grads, params, eps_root=eps_root, **settings)
    return descent_with_decay(scaled, params, learning_rate=learning_rate, weight_decay=weight_decay, store=store)


# Two loops read the last gradient and a third overwrites it: XLA:CPU copies it first, one array for each of 6 leaves.
WAITS = Speed(1_000, 18 / 11, 18 / 11)
SCALE, OPTIMIZER = {"reference": scale_by_adan}, {"reference": adan, "kind": "optimizer"}
ROWS = [
    row("scale_by_adan", traits={**SCALE, "hyper": "b2"}),
    row(
        "adan",
        traits={**OPTIMIZER, "hyper": "learning_rate", "speed": WAITS},
        learning_rate=0.1,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_adan", "no eps", traits={**SCALE, "power": 0}, eps=0.0),
    # at b2 = 1/2 the weights b2 and 1 - b2 are one
    row("scale_by_adan", "equal weights", traits={**SCALE, "optax": True}, b1=0.5, b2=0.5, b3=0.3, eps=0.1),
    row(
        "adan",
        "mask",
        traits={"kind": "optimizer", "optax": True},
        learning_rate=0.1,
        b2=0.5,
        eps_root=1e-3,
        weight_decay=0.5,
        mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
    row("adan", "schedules", traits=OPTIMIZER, learning_rate=halving, b1=rising, b2=rising, b3=rising, eps=halving),
]

FILE = "methods/adan.py"
MUTANTS = [
    Mutant(
        "adan: the first difference is the gradient",
        FILE,
        'k.has_last * (g - slots["last"])',
        'g - slots["last"]',
        reference_of("scale_by_adan"),
    ),
    Mutant(
        "adan: looks ahead by 1 - b2",
        FILE,
        '"ahead": k.b2 * unbias',
        '"ahead": (1 - k.b2) * unbias',
        reference_of("scale_by_adan"),
    ),
    Mutant(
        "adan: squares of the gradient alone",
        FILE,
        "abs_sq(g + k.b2 * diff)",
        "abs_sq(g)",
        reference_of("scale_by_adan"),
    ),
    Mutant("adan: the mean is not corrected", FILE, "m = k.unbias_mu * mu +", "m = mu +", case_of("adan[schedules]")),
]
