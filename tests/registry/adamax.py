"""AdaMax: Kingma & Ba 2014, Algorithm 2, with optax's eps beside |g|; with decay: Loshchilov & Hutter 2019."""

from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, elements, halving, like, ratio, rising
from tests.registry.scale import scale_by_learning_rate
from tests.registry.weight_decay import descent_with_decay


def scale_by_adamax(
    grads: list[Tree], params: Tree, *, b1: Hyper = 0.9, b2: Hyper = 0.999, eps: Hyper = 1e-8
) -> list[Tree]:
    """m_t = b1 m + (1-b1) g_t; v_t = max(b2 v, |g_t| + eps); u_t = m_hat / v_t."""
    m, v = like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * g[name][i]
            v[name][i] = max(beta2 * v[name][i], abs(g[name][i]) + at(eps, t))
            u[name][i] = ratio(m[name][i] / (1 - beta1**t), v[name][i])
        updates.append(u)
    return updates


def adamax(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Any) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t m_hat / v_t."""
    return scale_by_learning_rate(scale_by_adamax(grads, params, **settings), params, learning_rate=learning_rate)


def adamaxw(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 1e-4,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (m_hat / v_t + lambda theta_{t-1})."""
    scaled = scale_by_adamax(grads, params, **settings)
    return descent_with_decay(scaled, params, learning_rate=learning_rate, weight_decay=weight_decay, store=store)


SCALE, ADAMAX = {"reference": scale_by_adamax}, {"reference": adamax, "kind": "optimizer"}
ADAMAXW = {"reference": adamaxw, "kind": "optimizer"}
ROWS = [
    row("scale_by_adamax", traits={**SCALE, "hyper": "b2", "optax": True}),
    row(
        "adamax",
        traits={**ADAMAX, "hyper": "learning_rate", "optax": True, "speed": Speed(132, 10 / 7)},
        learning_rate=0.1,
    ),
    row("adamaxw", traits={**ADAMAXW, "hyper": "weight_decay", "optax": True}, learning_rate=0.1, weight_decay=0.1),
]
CASES = [
    row("scale_by_adamax", "no eps", traits={**SCALE, "power": 0}, eps=0.0),
    row("scale_by_adamax", "short memory", traits={**SCALE, "optax": True}, b1=0.5, b2=0.3, eps=0.1),
    row("adamax", "schedules", traits=ADAMAX, learning_rate=halving, b1=rising, b2=rising, eps=halving),
    row(
        "adamaxw",
        "mask",
        traits={"kind": "optimizer", "optax": True},
        learning_rate=0.1,
        weight_decay=0.5,
        mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
]

FILE = "methods/adamax.py"
MUTANTS = [
    Mutant(
        "adamax: the maximum does not decay", FILE, 'k.b2 * slots["nu"]', 'slots["nu"]', reference_of("scale_by_adamax")
    ),
    Mutant(
        "adamax: eps beside the maximum",
        FILE,
        'jnp.maximum(k.b2 * slots["nu"], jnp.abs(g) + k.eps)',
        'jnp.maximum(k.b2 * slots["nu"], jnp.abs(g)) + k.eps',
        case_of("scale_by_adamax[short memory]"),
    ),
    Mutant("adamax: mean not corrected", FILE, "(k.unbias * mu, nu)", "(mu, nu)", reference_of("scale_by_adamax")),
    Mutant(
        "adamaxw: decay after the rate",
        FILE,
        "add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)",
        "scale_by_learning_rate(learning_rate), add_decayed_weights(weight_decay, mask)",
        reference_of("adamaxw"),
    ),
]
