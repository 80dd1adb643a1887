"""ACProp: Zhuang et al. 2021, Algorithm 2, with AdaBelief's small numbers and correction; the first step is optax's."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, elements, halving, like, ratio, rising
from tests.registry.weight_decay import descent_with_decay


def scale_by_acprop(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-16,
    eps_root: Hyper = 1e-16,
) -> list[Tree]:
    """u_t = g_t / (sqrt(s_hat_{t-1}) + eps); s_t = b2 s_{t-1} + (1-b2) (g_t - m_t)^2 + eps_root."""
    m, s = like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            spread = s[name][i] / (1 - beta2 ** (t - 1)) if t > 1 else 1.0
            u[name][i] = ratio(g[name][i], math.sqrt(spread) + at(eps, t))
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * g[name][i]
            s[name][i] = beta2 * s[name][i] + (1 - beta2) * (g[name][i] - m[name][i]) ** 2 + at(eps_root, t)
        updates.append(u)
    return updates


def acprop(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (u_t + lambda theta_{t-1})."""
    scaled = scale_by_acprop(grads, params, **settings)
    return descent_with_decay(scaled, params, learning_rate=learning_rate, weight_decay=weight_decay, store=store)


def optax_by_the_letter(library: Any, b1: float, learning_rate: float, eps_root: float) -> Any:
    """Return optax's with 1/b1 of the rate, which is the documented one: its s is 1/b1^2 times as large."""
    if library.__name__ == "optax":
        inner = library.contrib.scale_by_acprop(b1, eps=0.0, eps_root=eps_root / b1**2)
        return library.chain(inner, library.scale(-learning_rate / b1))
    return library.acprop(learning_rate, b1, eps=0.0, eps_root=eps_root)


WAITS = Speed(500, 11 / 7)  # p reads the old nu, which is overwritten once p is written
SCALE, OPTIMIZER = {"reference": scale_by_acprop}, {"reference": acprop, "kind": "optimizer"}
ROWS = [
    row("scale_by_acprop", traits={**SCALE, "hyper": "b2"}),
    row(
        "acprop",
        traits={**OPTIMIZER, "hyper": "learning_rate", "speed": WAITS},
        learning_rate=0.1,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_acprop", "short memory", traits=SCALE, b1=0.5, b2=0.3, eps=1e-2, eps_root=1e-3),
    row("acprop", "schedules", traits=OPTIMIZER, learning_rate=halving, b1=rising, b2=rising, eps=halving),
    row(
        "acprop",
        "as optax documents it",
        traits={"kind": "optimizer", "optax": True, "maker": optax_by_the_letter, "first": 2},
        b1=0.8,
        learning_rate=0.1,
        eps_root=1e-4,
    ),
]

FILE = "methods/acprop.py"
MUTANTS = [
    Mutant(
        "acprop: divided by itself",
        FILE,
        'root(slots["nu"] * k.unbias',
        "root(nu * k.unbias",
        reference_of("scale_by_acprop"),
    ),
    Mutant(
        "acprop: about the last mean",
        FILE,
        "abs_sq(g - mu)",
        'abs_sq(g - slots["mu"])',
        reference_of("scale_by_acprop"),
    ),
    Mutant(
        "acprop: corrected as now",
        FILE,
        "jnp.maximum(before, 1.0)",
        "before + 1.0",
        reference_of("scale_by_acprop"),
    ),
    Mutant("acprop: the first step by 0", FILE, " + k.one_at_first", "", reference_of("scale_by_acprop")),
    Mutant("acprop: eps_root does not stay", FILE, " + k.eps_root)", ")", case_of("scale_by_acprop[short memory]")),
]
