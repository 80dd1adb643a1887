"""Add a share of the parameter: the decoupled decay of Loshchilov & Hutter 2019, line 12 of Algorithm 2."""

from collections.abc import Mapping

from tests.registry.base import Mutant, reference_of, row
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
        "add_decayed_weights",
        traits={"reference": add_decayed_weights, "hyper": "weight_decay", "optax": True},
        weight_decay=0.1,
    ),
]

FILE = "factors/weight_decay.py"
MUTANTS = [
    Mutant(
        "weight decay: sign",
        FILE,
        "g + k.weight_decay * p",
        "g - k.weight_decay * p",
        reference_of("add_decayed_weights"),
    ),
    Mutant(
        "weight decay: of the gradient",
        FILE,
        "k.weight_decay * p",
        "k.weight_decay * g",
        reference_of("add_decayed_weights"),
    ),
]
