"""ADOPT: Taniguchi et al. 2024, Algorithm 1, and Algorithm 2 with the clip; the look ahead is optax's."""

import math
from collections.abc import Callable
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, ratio, rising, rounded
from tests.registry.scale import scale_by_learning_rate


def scale_by_adopt(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.9999,
    eps: Hyper = 1e-6,
    mu_dtype: str | None = None,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Callable[[int], float] | float = lambda count: count**0.25,
) -> list[Tree]:
    """v_0 = g_0^2; m_t = b1 m + (1-b1) clip(g_t / max(sqrt(v_{t-1}), eps), c_t); v_t = b2 v + (1-b2) g_t^2."""
    store = rounded(mu_dtype)
    m, v = like(params), like(params)
    updates = []
    for t, g in enumerate(grads):
        beta1, beta2 = at(b1, t + 1), at(b2, t + 1)
        u = like(params)
        for name, i in elements(params):
            if t == 0:
                v[name][i] = g[name][i] ** 2
                continue
            h = ratio(g[name][i], max(math.sqrt(v[name][i]), at(eps, t + 1)))
            if use_clipping:
                bound = at(clip_value_fn, t + 1)
                h = min(max(h, -bound), bound)
            m_t = beta1 * m[name][i] + (1 - beta1) * h
            u[name][i] = beta1 * m_t + (1 - beta1) * h if nesterov else m_t
            m[name][i] = store(m_t)
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
        updates.append(u)
    return updates


def adopt(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Any) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t m_t."""
    return scale_by_learning_rate(scale_by_adopt(grads, params, **settings), params, learning_rate=learning_rate)


WAITS = Speed(500, 10 / 7)  # m reads the old v, which is overwritten once m is written
SCALE = {"reference": scale_by_adopt, "moves": 2}
OPTIMIZER = {"reference": adopt, "kind": "optimizer", "moves": 2}
ROWS = [
    row("scale_by_adopt", traits={**SCALE, "hyper": "b2", "optax": True}),
    row(
        "adopt",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": WAITS},
        learning_rate=0.1,
    ),
]
CASES = [
    row("scale_by_adopt", "no eps", traits={**SCALE, "power": 0}, eps=0.0),
    row("scale_by_adopt", "not clipped", traits={**SCALE, "optax": True}, b1=0.5, b2=0.3, eps=0.1, use_clipping=False),
    row("scale_by_adopt", "nesterov", traits={**SCALE, "optax": True}, b2=0.5, nesterov=True),
    row("scale_by_adopt", "a number", traits=SCALE, b2=0.5, clip_value_fn=0.7),
    row("scale_by_adopt", "bfloat16 mu", traits=SCALE, b2=0.5, mu_dtype="bfloat16"),
    row(
        "adopt",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        clip_value_fn=rising,
    ),
    row(
        "adopt",
        "all settings",
        traits={**OPTIMIZER, "optax": True},
        learning_rate=0.1,
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        nesterov=True,
        clip_value_fn=rising,
    ),
]

FILE = "methods/adopt.py"
MUTANTS = [
    Mutant(
        "adopt: divided by itself",
        FILE,
        'root(slots["nu"]), k.eps)',
        'root(k.b2 * slots["nu"] + k.share * abs_sq(g)), k.eps)',
        reference_of("scale_by_adopt"),
    ),
    Mutant(
        "adopt: the first step moves",
        FILE,
        "jnp.zeros_like(ready), ready)",
        "ready, ready)",
        case_of("scale_by_adopt[not clipped]"),
    ),
    Mutant(
        "adopt: squares from 0",
        FILE,
        "jnp.where(count == 0, 1.0, 1 - k.b2)",
        "1 - k.b2",
        reference_of("scale_by_adopt"),
    ),
    Mutant(
        "adopt: eps added",
        FILE,
        'jnp.maximum(root(slots["nu"]), k.eps)',
        'root(slots["nu"]) + k.eps',
        reference_of("scale_by_adopt"),
    ),
    Mutant(
        "adopt: never clipped",
        FILE,
        "if use_clipping else ready",
        "if not use_clipping else ready",
        reference_of("scale_by_adopt"),
    ),
]
