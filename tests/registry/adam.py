"""Adam: Kingma & Ba 2014, Algorithm 1; with a look ahead: Dozat 2016; with decay: Loshchilov & Hutter 2019.

Dozat also multiplies v by b2; that factor is left out, as in optax and PyTorch.
"""

import math
from collections.abc import Mapping
from typing import Any

from tests.registry.base import FUSED, Mutant, Speed, reference_of, row
from tests.registry.numbers import (
    Hyper,
    Store,
    Tree,
    at,
    copy,
    elements,
    from_zero,
    halving,
    like,
    ratio,
    rising,
    rounded,
)


def scale_by_adam(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    nesterov: bool = False,
    mu_dtype: str | None = None,
) -> list[Tree]:
    """Return the ratio of the debiased moments; `mu_dtype` rounds m between steps."""
    store_mu = rounded(mu_dtype)
    m, v = like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            g_t = g[name][i]
            m_t = beta1 * m[name][i] + (1 - beta1) * g_t
            v_t = beta2 * v[name][i] + (1 - beta2) * g_t**2
            if nesterov:
                m_hat = beta1 * m_t / (1 - beta1 ** (t + 1)) + (1 - beta1) * g_t / (1 - beta1**t)
            else:
                m_hat = m_t / (1 - beta1**t)
            v_hat = v_t / (1 - beta2**t)
            u[name][i] = ratio(m_hat, math.sqrt(v_hat + at(eps_root, t)) + at(eps, t))
            m[name][i], v[name][i] = store_mu(m_t), v_t
        updates.append(u)
    return updates


def adam(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Any) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t m_hat / (sqrt(v_hat) + eps)."""
    updates = scale_by_adam(grads, params, **settings)
    for t, u in enumerate(updates, start=1):
        for name, i in elements(params):
            u[name][i] *= -at(learning_rate, t)
    return updates


def adamw(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 1e-4,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (m_hat / (sqrt(v_hat) + eps) + weight_decay theta_{t-1})."""
    theta = copy(params)
    updates = scale_by_adam(grads, params, **settings)
    for t, u in enumerate(updates, start=1):
        for name, i in elements(params):
            u[name][i] = -at(learning_rate, t) * (u[name][i] + at(weight_decay, t) * theta[name][i])
            theta[name][i] = store(theta[name][i] + store(u[name][i]))
    return updates


def nadam(grads: list[Tree], params: Tree, **settings: Any) -> list[Tree]:
    """Adam with Dozat's look ahead."""
    return adam(grads, params, nesterov=True, **settings)


def nadamw(grads: list[Tree], params: Tree, *, store: Store = float, **settings: Any) -> list[Tree]:
    """AdamW with Dozat's look ahead."""
    return adamw(grads, params, nesterov=True, store=store, **settings)


def every_other(params: Mapping[str, Any]) -> dict[str, bool]:
    """Return a mask as a user would write one."""
    return {key: i % 2 == 0 for i, key in enumerate(params)}


def adam_with_a_schedule(library: Any, learning_rate: Any, steps: int) -> Any:
    """Return Adam whose update a schedule scales once more."""
    cosine = library.cosine_decay_schedule(1.0, steps)
    return library.chain(library.adam(learning_rate), library.scale_by_schedule(cosine))


SCALE = {"reference": scale_by_adam}
ADAM, ADAMW = {"reference": adam, "kind": "optimizer"}, {"reference": adamw, "kind": "optimizer"}
NADAM, NADAMW = {"reference": nadam, "kind": "optimizer"}, {"reference": nadamw, "kind": "optimizer"}
RATE = {"hyper": "learning_rate"}
TWO_SLOTS = Speed(132, 10 / 7)
ROWS = [
    row("scale_by_adam", traits={**SCALE, "hyper": "b2", "optax": True}),
    row("scale_by_adam", "nesterov", traits={**SCALE, "optax": True}, nesterov=True),
    row(
        "scale_by_adam",
        "bfloat16 mu",
        traits={**SCALE, "stored": {"mu": "bfloat16"}, "fused": FUSED},
        mu_dtype="bfloat16",
    ),
    row("adam", traits={**ADAM, **RATE, "optax": True, "speed": TWO_SLOTS}, learning_rate=0.1),
    row("adamw", traits={**ADAMW, **RATE, "speed": TWO_SLOTS}, learning_rate=0.1, weight_decay=0.01),
    row("nadam", traits={**NADAM, **RATE, "optax": True, "speed": Speed(196, 11 / 7)}, learning_rate=0.1),
    row(
        "nadamw",
        traits={**NADAMW, **RATE, "optax": True, "speed": Speed(196, 11 / 7)},
        learning_rate=0.1,
        weight_decay=0.01,
    ),
]
CASES = [
    row("scale_by_adam", "no eps", traits={**SCALE, "power": 0}, eps=0.0),
    row("scale_by_adam", "nesterov, no eps", traits={**SCALE, "power": 0}, eps=0.0, nesterov=True),
    row("scale_by_adam", "no decay", traits=SCALE, b1=0.0, b2=0.0, eps=0.0),
    row("scale_by_adam", "no decay, eps in the root", traits=SCALE, b1=0.0, b2=0.0, eps_root=1e-3),
    row("adam", "schedules", traits=ADAM, learning_rate=halving, b1=rising, b2=rising, eps=halving),
    row(
        "adam",
        "all settings",
        traits={**ADAM, "optax": True},
        learning_rate=0.1,
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-4,
        nesterov=True,
    ),
    row(
        "adam",
        "chained schedule",
        traits={"maker": adam_with_a_schedule, "speed": Speed(196, 10 / 7)},
        learning_rate=1e-3,
        steps=1000,
    ),
    row(
        "adamw",
        "mask by tree",
        traits={"kind": "optimizer", "optax": True},
        learning_rate=0.1,
        weight_decay=0.1,
        mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
    row(
        "adamw",
        "mask by function",
        traits={"kind": "optimizer", "speed": TWO_SLOTS},
        learning_rate=1e-3,
        mask=every_other,
    ),
    row("nadamw", "schedules", traits=NADAMW, learning_rate=from_zero, b1=from_zero, weight_decay=halving),
]

FILE = "methods/adam.py"
MUTANTS = [
    Mutant("adam: b1 is b2", FILE, "ema(b1, True,", "ema(b2, True,", reference_of("scale_by_adam")),
    Mutant("adam: sigma not corrected", FILE, ", debias=True)", ", debias=False)", reference_of("scale_by_adam")),
    Mutant(
        "adam: eps inside the root",
        FILE,
        "rms(b2, eps, eps_root=eps_root",
        "rms(b2, eps_root, eps_root=eps",
        reference_of("scale_by_adam"),
    ),
    Mutant(
        "adam: mu_dtype ignored", FILE, "True, mu_dtype,", "True, None,", reference_of("scale_by_adam[bfloat16 mu]")
    ),
    Mutant(
        "adamw: decay after the rate",
        FILE,
        "add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate)",
        "scale_by_learning_rate(learning_rate), add_decayed_weights(weight_decay, mask)",
        reference_of("adamw"),
    ),
    Mutant(
        "nadam: plain adam", FILE, "eps_root, mu_dtype, nesterov=True)", "eps_root, mu_dtype)", reference_of("nadam")
    ),
    Mutant("nadamw: plain adamw", FILE, "mask, nesterov=True)", "mask)", reference_of("nadamw")),
]
