"""Add a share of the parameter: the decoupled decay of Loshchilov & Hutter 2019, line 12 of Algorithm 2."""

from collections.abc import Mapping
from typing import Any

from tests.registry.adam import scale_by_adam
from tests.registry.base import Mutant, Row, Speed, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, like


def add_decayed_weights(
    grads: list[Tree], params: Tree, *, weight_decay: Hyper = 0.0, store: Store = float
) -> list[Tree]:
    """u_t = g_t + weight_decay p_t; `store` rounds what is added to the parameter, and the parameter."""
    p = copy(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            u[name][i] = g[name][i] + at(weight_decay, t) * p[name][i]
            p[name][i] = store(p[name][i] + store(u[name][i]))
        updates.append(u)
    return updates


def add_cautious_weight_decay(
    grads: list[Tree], params: Tree, *, weight_decay: Hyper = 0.0, store: Store = float
) -> list[Tree]:
    """Chen et al. 2025, Algorithm 1: u_t + lambda I(u_t p_t >= 0) p_t."""
    p = copy(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            agree = g[name][i] * p[name][i] >= 0
            u[name][i] = g[name][i] + (at(weight_decay, t) * p[name][i] if agree else 0.0)
            p[name][i] = store(p[name][i] + store(u[name][i]))
        updates.append(u)
    return updates


def cautious_adamw(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, weight_decay: Hyper, store: Store = float
) -> list[Tree]:
    """AdamW with that decay."""
    theta, updates = copy(params), []
    for t, s in enumerate(scale_by_adam(grads, params), start=1):
        u = like(params)
        for name, i in elements(params):
            agree = s[name][i] * theta[name][i] >= 0
            u[name][i] = -at(learning_rate, t) * (s[name][i] + agree * at(weight_decay, t) * theta[name][i])
            theta[name][i] = store(theta[name][i] + store(u[name][i]))
        updates.append(u)
    return updates


def decayed_adam(library: Any, learning_rate: Any, weight_decay: Any) -> Any:
    """Return AdamW with that decay as a user puts it together."""
    decay = library.add_cautious_weight_decay(weight_decay)
    return library.chain(library.scale_by_adam(), decay, library.scale_by_learning_rate(learning_rate))


def descent_with_decay(
    scaled: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    mask: Mapping[str, bool] | None = None,
    store: Store = float,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (u_t + weight_decay theta_{t-1}), its decay where the mask is True.

    `store` rounds the update and the parameter.
    """
    theta = copy(params)
    updates = []
    for t, u in enumerate(scaled, start=1):
        step = like(params)
        for name, i in elements(params):
            decay = at(weight_decay, t) if mask is None or mask[name] else 0.0
            step[name][i] = -at(learning_rate, t) * (u[name][i] + decay * theta[name][i])
            theta[name][i] = store(theta[name][i] + store(step[name][i]))
        updates.append(step)
    return updates


ROWS = [
    row(
        "add_cautious_weight_decay",
        traits={"reference": add_cautious_weight_decay, "hyper": "weight_decay"},
        weight_decay=0.1,
    ),
    row(
        "add_decayed_weights",
        traits={"reference": add_decayed_weights, "hyper": "weight_decay", "optax": True},
        weight_decay=0.1,
    ),
]

CASES = [
    Row(
        "add_cautious_weight_decay",
        "in AdamW",
        {"learning_rate": 0.1, "weight_decay": 0.5},
        maker=decayed_adam,
        reference=cautious_adamw,
        speed=Speed(132, 10 / 7),
    ),
]

FILE = "factors/weight_decay.py"
MUTANTS = [
    Mutant(
        "weight decay: sign",
        FILE,
        "return g + k.weight_decay * p",
        "return g - k.weight_decay * p",
        reference_of("add_decayed_weights"),
    ),
    Mutant(
        "weight decay: of the gradient",
        FILE,
        "return g + k.weight_decay * p",
        "return g + k.weight_decay * g",
        reference_of("add_decayed_weights"),
    ),
    Mutant(
        "cautious decay: where they point apart",
        FILE,
        "opposed(g, p), 0.0, k.weight_decay",
        "opposed(g, p), k.weight_decay, 0.0",
        reference_of("add_cautious_weight_decay"),
    ),
    Mutant(
        "cautious decay: not where the update is 0",
        FILE,
        "opposed(g, p), 0.0",
        "~opposed(-g, p), 0.0",
        reference_of("add_cautious_weight_decay"),
    ),
]
