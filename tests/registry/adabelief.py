"""AdaBelief: Zhuang et al. 2020, Algorithm 2, its eps in two numbers; with a look ahead as Dozat 2016 has it."""

import math
from collections.abc import Mapping

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, elements, halving, like, ratio, rising
from tests.registry.weight_decay import descent_with_decay


def scale_by_belief(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-16,
    eps_root: Hyper = 1e-16,
    nesterov: bool = False,
) -> list[Tree]:
    """m_t = b1 m + (1-b1) g_t; s_t = b2 s + (1-b2) (g_t - m_t)^2 + eps; u_t = m_hat / (sqrt(s_hat) + eps)."""
    m, s = like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            g_t = g[name][i]
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * g_t
            s[name][i] = beta2 * s[name][i] + (1 - beta2) * (g_t - m[name][i]) ** 2 + at(eps_root, t)
            if nesterov:
                m_hat = beta1 * m[name][i] / (1 - beta1 ** (t + 1)) + (1 - beta1) * g_t / (1 - beta1**t)
            else:
                m_hat = m[name][i] / (1 - beta1**t)
            s_hat = s[name][i] / (1 - beta2**t)
            u[name][i] = ratio(m_hat, math.sqrt(s_hat) + at(eps, t))
        updates.append(u)
    return updates


def adabelief(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    weight_decay_mask: Mapping[str, bool] | None = None,
    store: Store = float,
    **settings: float,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (m_hat / (sqrt(s_hat) + eps) + lambda theta_{t-1})."""
    scaled = scale_by_belief(grads, params, **settings)
    decay = {"weight_decay": weight_decay, "mask": weight_decay_mask}
    return descent_with_decay(scaled, params, learning_rate=learning_rate, store=store, **decay)


OPTIMIZER = {"reference": adabelief, "kind": "optimizer"}
ROWS = [
    row("scale_by_belief", traits={"reference": scale_by_belief, "hyper": "b2", "optax": True}),
    row("scale_by_belief", "nesterov", traits={"reference": scale_by_belief}, b1=0.5, b2=0.9, nesterov=True),
    row(
        "adabelief",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": Speed(132, 11 / 7)},
        learning_rate=0.1,
    ),
]
CASES = [
    row("scale_by_belief", "no eps", traits={"power": 0}, eps=0.0, eps_root=0.0),
    row("scale_by_belief", "large eps", traits={"reference": scale_by_belief}, b2=0.5, eps=1e-3, eps_root=1e-2),
    row(
        "adabelief",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        eps_root=halving,
    ),
    row(
        "adabelief",
        "other settings",
        traits={**OPTIMIZER, "optax": True},
        learning_rate=0.1,
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-4,
        nesterov=True,
    ),
    row("adabelief", "decay", traits=OPTIMIZER, learning_rate=0.1, weight_decay=rising),
    row(
        "adabelief",
        "mask",
        traits=OPTIMIZER,
        learning_rate=0.1,
        weight_decay=0.5,
        weight_decay_mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
]

FILE = "methods/adabelief.py"
MUTANTS = [
    Mutant(
        "adabelief: decay after the rate",
        FILE,
        "*decay, scale_by_learning_rate(learning_rate)",
        "scale_by_learning_rate(learning_rate), *decay",
        case_of("adabelief[decay]"),
    ),
    Mutant(
        "adabelief: mask ignored",
        FILE,
        "(weight_decay, weight_decay_mask)",
        "(weight_decay)",
        case_of("adabelief[mask]"),
    ),
    Mutant("adabelief: about 0, not the mean", FILE, "abs_sq(g - mu)", "abs_sq(g)", reference_of("scale_by_belief")),
    Mutant(
        "adabelief: about the last mean",
        FILE,
        "abs_sq(g - mu)",
        'abs_sq(g - slots["mu"])',
        reference_of("scale_by_belief"),
    ),
    Mutant(
        "adabelief: eps_root does not stay",
        FILE,
        "held(abs_sq(g - mu)) + k.eps_root)",
        "held(abs_sq(g - mu)))",
        case_of("adabelief[schedules]"),
    ),
    Mutant(
        "adabelief: looks ahead with t",
        FILE,
        "unbias(k.b1, t + 1.0)",
        "unbias(k.b1, t)",
        reference_of("scale_by_belief[nesterov]"),
    ),
]
