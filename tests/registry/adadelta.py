"""AdaDelta: Zeiler 2012, Algorithm 1, with optax's rate and its decay of before the scaling."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rising


def adadelta(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper | None = None,
    rho: Hyper = 0.9,
    eps: Hyper = 1e-6,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    sign: float = -1.0,
) -> list[Tree]:
    """E[g^2] = rho E[g^2] + (1-rho) g^2; dx = -RMS[dx] / RMS[g] g; E[dx^2] = rho E[dx^2] + (1-rho) dx^2."""
    of_g, of_x, theta = like(params), like(params), copy(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        decay, small, eta = at(rho, t), at(eps, t), 1.0 if learning_rate is None else at(learning_rate, t)
        u = like(params)
        for name, i in elements(params):
            g_t = g[name][i] + at(weight_decay, t) * theta[name][i]
            of_g[name][i] = decay * of_g[name][i] + (1 - decay) * g_t**2
            dx = sign * ratio(math.sqrt(of_x[name][i] + small), math.sqrt(of_g[name][i] + small)) * g_t
            of_x[name][i] = decay * of_x[name][i] + (1 - decay) * dx**2
            u[name][i] = eta * dx
            theta[name][i] = store(theta[name][i] + store(u[name][i]))
        updates.append(u)
    return updates


def scale_by_adadelta(grads: list[Tree], params: Tree, **settings: Any) -> list[Tree]:
    """Return the step without its sign."""
    return adadelta(grads, params, sign=1.0, **settings)


SCALE, OPTIMIZER = {"reference": scale_by_adadelta}, {"reference": adadelta, "kind": "optimizer"}
ROWS = [
    row("scale_by_adadelta", traits={**SCALE, "hyper": "rho", "optax": True}),
    row(
        "adadelta",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True},
        learning_rate=0.5,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_adadelta", "large eps", traits={**SCALE, "optax": True}, rho=0.5, eps=0.1),
    row("scale_by_adadelta", "no memory", traits={**SCALE, "optax": True}, rho=0.0),
    row("scale_by_adadelta", "no eps", traits=SCALE, eps=0.0),
    row("adadelta", "paper", traits={**OPTIMIZER, "speed": Speed(0, 12 / 7)}, rho=0.95),
    row("adadelta", "schedules", traits=OPTIMIZER, learning_rate=halving, rho=rising, eps=halving, weight_decay=rising),
    row(
        "adadelta",
        "mask",
        traits={"kind": "optimizer", "optax": True},
        learning_rate=0.5,
        weight_decay=0.5,
        weight_decay_mask={"gain": False, "bias": True, "kernel": False, "large": False},
    ),
]

FILE = "methods/adadelta.py"
MUTANTS = [
    Mutant(
        "adadelta: the size of this update",
        FILE,
        "nu_update + k.rho * k.eps)",
        "nu_update + k.eps)",
        reference_of("scale_by_adadelta"),
    ),
    Mutant(
        "adadelta: updates without eps",
        FILE,
        'share * (slots["nu_update"] + k.eps)',
        'share * slots["nu_update"]',
        reference_of("scale_by_adadelta"),
    ),
    Mutant(
        "adadelta: climbs without a rate",
        FILE,
        "scale_by_learning_rate(1.0 if learning_rate is None else learning_rate)",
        "scale_by_learning_rate(learning_rate)",
        case_of("adadelta[paper]"),
    ),
    Mutant(
        "adadelta: decay after the scaling",
        FILE,
        "add_decayed_weights(weight_decay, weight_decay_mask), scale_by_adadelta(rho, eps), rate",
        "scale_by_adadelta(rho, eps), add_decayed_weights(weight_decay, weight_decay_mask), rate",
        reference_of("adadelta"),
    ),
]
