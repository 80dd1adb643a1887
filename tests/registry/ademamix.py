"""AdEMAMix: Pagliardini et al. 2024, Algorithm 1; its form with one sum: Morwani et al. 2025."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, elements, from_zero, halving, like, ratio, rising, rounded
from tests.registry.weight_decay import descent_with_decay


def scale_by_ademamix(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    b3: Hyper = 0.9999,
    alpha: Hyper = 6.0,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    mu_dtype: str | None = None,
) -> list[Tree]:
    """u_t = (m1_hat + alpha m2) / (sqrt(v_hat) + eps), m2 with the decay b3 and not corrected."""
    store = rounded(mu_dtype)
    m1, m2, v = like(params), like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2, beta3 = at(b1, t), at(b2, t), at(b3, t)
        u = like(params)
        for name, i in elements(params):
            fast = beta1 * m1[name][i] + (1 - beta1) * g[name][i]
            slow = beta3 * m2[name][i] + (1 - beta3) * g[name][i]
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            sigma = math.sqrt(v[name][i] / (1 - beta2**t) + at(eps_root, t)) + at(eps, t)
            u[name][i] = ratio(fast / (1 - beta1**t) + at(alpha, t) * slow, sigma)
            m1[name][i], m2[name][i] = store(fast), store(slow)
        updates.append(u)
    return updates


def ademamix(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    alpha: Hyper = 5.0,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (u_t + lambda theta_{t-1})."""
    scaled = scale_by_ademamix(grads, params, alpha=alpha, **settings)
    return descent_with_decay(scaled, params, learning_rate=learning_rate, weight_decay=weight_decay, store=store)


def scale_by_simplified_ademamix(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.99,
    b2: Hyper = 0.95,
    alpha: Hyper = 0.0,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
) -> list[Tree]:
    """m_t = b1 m_{t-1} + g_t; u_t = (m_t + alpha g_t) / (sqrt(v_hat) + eps)."""
    m, v = like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta2 = at(b2, t)
        u = like(params)
        for name, i in elements(params):
            m[name][i] = at(b1, t) * m[name][i] + g[name][i]
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            sigma = math.sqrt(v[name][i] / (1 - beta2**t) + at(eps_root, t)) + at(eps, t)
            u[name][i] = ratio(m[name][i] + at(alpha, t) * g[name][i], sigma)
        updates.append(u)
    return updates


def simplified_ademamix(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (u_t + lambda theta_{t-1})."""
    scaled = scale_by_simplified_ademamix(grads, params, **settings)
    return descent_with_decay(scaled, params, learning_rate=learning_rate, weight_decay=weight_decay, store=store)


MIX, ONE = {"reference": scale_by_ademamix}, {"reference": scale_by_simplified_ademamix}
ADEMAMIX = {"reference": ademamix, "kind": "optimizer"}
SIMPLIFIED = {"reference": simplified_ademamix, "kind": "optimizer"}
EPS = {"eps": 1e-2, "eps_root": 1e-3}
ROWS = [
    row("scale_by_ademamix", traits={**MIX, "hyper": "b3", "optax": True}),
    row(
        "ademamix",
        traits={**ADEMAMIX, "hyper": "alpha", "optax": True, "speed": Speed(132, 14 / 9, None)},
        learning_rate=0.1,
        weight_decay=0.1,
    ),
    row("scale_by_simplified_ademamix", traits={**ONE, "hyper": "alpha", "optax": True}, alpha=2.0),
    row(
        "simplified_ademamix",
        traits={**SIMPLIFIED, "hyper": "learning_rate", "optax": True, "speed": Speed(132, 11 / 7)},
        learning_rate=0.1,
        alpha=1.5,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_ademamix", "no eps", traits={**MIX, "power": 0}, eps=0.0),
    row("scale_by_ademamix", "bfloat16 mu", traits=MIX, mu_dtype="bfloat16"),
    row(
        "ademamix",
        "other settings",
        traits={**ADEMAMIX, "optax": True},
        learning_rate=0.1,
        b1=0.3,
        b2=0.5,
        b3=0.7,
        alpha=halving,
        **EPS,
    ),
    row(
        "ademamix",
        "schedules",
        traits=ADEMAMIX,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        b3=rising,
        alpha=from_zero,
        weight_decay=rising,
    ),
    row(
        "ademamix",
        "mask",
        traits={"kind": "optimizer", "optax": True},
        learning_rate=0.1,
        weight_decay=0.5,
        mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
    row("scale_by_simplified_ademamix", "no eps", traits={**ONE, "power": 0}, eps=0.0, alpha=-0.5),
    row(
        "simplified_ademamix",
        "other settings",
        traits={**SIMPLIFIED, "optax": True},
        learning_rate=0.1,
        b1=0.3,
        b2=0.5,
        alpha=halving,
        **EPS,
    ),
    row(
        "simplified_ademamix", "schedules", traits=SIMPLIFIED, learning_rate=halving, b1=rising, b2=rising, eps=halving
    ),
    row(
        "simplified_ademamix",
        "mask",
        traits={"kind": "optimizer", "optax": True},
        learning_rate=0.1,
        weight_decay=0.5,
        mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
]

FILE, SIMPLIFIED = "methods/ademamix.py", "methods/simplified_ademamix.py"
MUTANTS = [
    Mutant(
        "ademamix: the slow mean is corrected",
        FILE,
        "k.unbias * mu + k.alpha * slow",
        "k.unbias * (mu + k.alpha * slow)",
        reference_of("scale_by_ademamix"),
    ),
    Mutant(
        "ademamix: the slow mean is fast",
        FILE,
        'k.b3 * slots["mu_slow"]',
        'k.b1 * slots["mu_slow"]',
        reference_of("scale_by_ademamix"),
    ),
    Mutant(
        "ademamix: alpha of the transform", FILE, "alpha: Finite = 5.0", "alpha: Finite = 6.0", reference_of("ademamix")
    ),
    Mutant(
        "simplified ademamix: a mean, not a sum",
        SIMPLIFIED,
        'mu = k.b1 * slots["mu"] + g\n',
        'mu = k.b1 * slots["mu"] + (1 - k.b1) * g\n',
        reference_of("scale_by_simplified_ademamix"),
    ),
    Mutant(
        "simplified ademamix: no gradient beside the sum",
        SIMPLIFIED,
        "return mu + k.alpha * g,",
        "return mu,",
        reference_of("scale_by_simplified_ademamix"),
    ),
]
