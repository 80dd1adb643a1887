"""Lion: Chen et al. 2023, Algorithm 2; the smooth and the refined sign are optax's."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, elements, halving, like, rising, rounded
from tests.registry.sign import sign
from tests.registry.weight_decay import descent_with_decay


def scale_by_lion(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.99,
    mu_dtype: str | None = None,
    mode: str = "hard",
    smooth_beta: Hyper = 1.0,
) -> list[Tree]:
    """c_t = b1 m_{t-1} + (1-b1) g_t; m_t = b2 m_{t-1} + (1-b2) g_t; u_t = sign(c_t), or a softer one."""
    store = rounded(mu_dtype)
    m = like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            c = beta1 * m[name][i] + (1 - beta1) * g[name][i]
            if mode == "hard":
                u[name][i] = sign(c)
            elif mode == "smooth":
                u[name][i] = math.tanh(at(smooth_beta, t) * c)
            else:
                u[name][i] = c if -1 < c < 1 else sign(c)
            m[name][i] = store(beta2 * m[name][i] + (1 - beta2) * g[name][i])
        updates.append(u)
    return updates


def lion(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 1e-3,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (sign(c_t) + lambda theta_{t-1})."""
    scaled = scale_by_lion(grads, params, **settings)
    return descent_with_decay(scaled, params, learning_rate=learning_rate, weight_decay=weight_decay, store=store)


SCALE, OPTIMIZER = {"reference": scale_by_lion}, {"reference": lion, "kind": "optimizer"}
ROWS = [
    row("scale_by_lion", traits={**SCALE, "hyper": "b2", "power": 0, "optax": True}),
    row(
        "lion",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": Speed(0, 7 / 5)},
        learning_rate=0.1,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_lion", "smooth", traits={**SCALE, "optax": True}, mode="smooth", smooth_beta=0.3),
    row("scale_by_lion", "refined", traits={**SCALE, "optax": True}, mode="refined", b1=0.5, b2=0.75),
    row("scale_by_lion", "short memory", traits={**SCALE, "optax": True}, mode="refined", b1=0.9, b2=1e-12),
    row("scale_by_lion", "no memory", traits={**SCALE, "optax": True}, mode="refined", b1=0.0, b2=0.0),
    row("scale_by_lion", "bfloat16 mu", traits=SCALE, mode="refined", mu_dtype="bfloat16"),
    row("scale_by_lion", "schedules", traits=SCALE, mode="smooth", b1=halving, b2=rising, smooth_beta=halving),
    row(
        "lion",
        "mask",
        traits={**OPTIMIZER, "reference": None, "optax": True},
        learning_rate=0.1,
        weight_decay=0.5,
        mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
    row("lion", "schedules", traits=OPTIMIZER, learning_rate=halving, weight_decay=rising),
]

FILE = "methods/lion.py"
MUTANTS = [
    Mutant("lion: b1 and b2 swapped", FILE, "g, k.b1, k.b2)", "g, k.b2, k.b1)", case_of("scale_by_lion[refined]")),
    Mutant(
        "lion: looks ahead from the new mean",
        FILE,
        "return b1 * old + (1 - b1) * g",
        "return b1 * mu + (1 - b1) * g",
        case_of("scale_by_lion[schedules]"),
    ),
    Mutant(
        "lion: a difference of large numbers",
        FILE,
        "b1 <= b2 and b2 > 0",
        "b2 > 0",
        case_of("scale_by_lion[short memory]"),
    ),
    Mutant("lion: never refined", FILE, 'mode == "refined"', 'mode == "soft"', case_of("scale_by_lion[refined]")),
    Mutant(
        "lion: decay after the rate",
        FILE,
        "add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)",
        "scale_by_learning_rate(learning_rate), add_decayed_weights(weight_decay, mask)",
        reference_of("lion"),
    ),
]
