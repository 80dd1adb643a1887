"""Yogi: Zaheer et al. 2018, Algorithm 2, with optax's two corrections and its start."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, ratio, rising
from tests.registry.scale import scale_by_learning_rate
from tests.registry.sign import sign


def scale_by_yogi(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-3,
    eps_root: Hyper = 0.0,
    initial_accumulator_value: Hyper = 1e-6,
) -> list[Tree]:
    """v_t = v_{t-1} - (1-b2) sign(v_{t-1} - g_t^2) g_t^2; u_t = m_hat / (sqrt(v_hat) + eps)."""
    start = at(initial_accumulator_value, 1)
    m, v = like(params, start), like(params, start)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            square = g[name][i] ** 2
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * g[name][i]
            v[name][i] = v[name][i] - (1 - beta2) * sign(v[name][i] - square) * square
            sigma = math.sqrt(v[name][i] / (1 - beta2**t) + at(eps_root, t)) + at(eps, t)
            u[name][i] = ratio(m[name][i] / (1 - beta1**t), sigma)
        updates.append(u)
    return updates


def yogi(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Any) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t m_hat / (sqrt(v_hat) + eps)."""
    return scale_by_learning_rate(scale_by_yogi(grads, params, **settings), params, learning_rate=learning_rate)


SCALE, OPTIMIZER = {"reference": scale_by_yogi}, {"reference": yogi, "kind": "optimizer"}
ROWS = [
    row("scale_by_yogi", traits={**SCALE, "hyper": "b2", "optax": True}),
    row(
        "yogi",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": Speed(132, 10 / 7)},
        learning_rate=0.1,
    ),
]
CASES = [
    row("scale_by_yogi", "from 0", traits={**SCALE, "power": 0}, eps=0.0, initial_accumulator_value=0.0),
    row(
        "scale_by_yogi",
        "short memory",
        traits={**SCALE, "optax": True},
        b1=0.5,
        b2=0.3,
        eps=1e-2,
        eps_root=1e-3,
        initial_accumulator_value=0.5,
    ),
    row("yogi", "schedules", traits=OPTIMIZER, learning_rate=halving, b1=rising, b2=rising, eps=halving),
]

FILE = "methods/yogi.py"
MUTANTS = [
    Mutant(
        "yogi: the distance, not the size",
        FILE,
        'jnp.sign(square - slots["nu"]) * square',
        'square - slots["nu"]',
        reference_of("scale_by_yogi"),
    ),
    Mutant(
        "yogi: only grows", FILE, 'jnp.sign(square - slots["nu"]) * square', "square", reference_of("scale_by_yogi")
    ),
    Mutant("yogi: the mean starts at 0", FILE, '"mu": full(p, start)', '"mu": full(p, 0.0)', reference_of("yogi")),
    Mutant(
        "yogi: eps_root outside the root",
        FILE,
        "root(nu * k.unbias_nu + k.eps_root) + k.eps",
        "root(nu * k.unbias_nu) + k.eps_root + k.eps",
        case_of("scale_by_yogi[short memory]"),
    ),
]
