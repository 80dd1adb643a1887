"""RMSProp as a whole optimizer: a scaled step, then the decaying sum of such steps; Graves 2013 about the mean."""

import math

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, ratio, rising
from tests.registry.numbers import like as like_tree
from tests.registry.rms import scale_by_rms, scale_by_stddev
from tests.registry.scale import scale_by_learning_rate
from tests.registry.trace import trace


def rmsprop(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    centered: bool = False,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    **settings: Hyper,
) -> list[Tree]:
    """Step by -eta g / sigma, or by the decaying sum of such steps."""
    sigma = scale_by_stddev if centered else scale_by_rms
    steps = scale_by_learning_rate(sigma(grads, params, **settings), params, learning_rate=learning_rate)
    return steps if momentum is None else trace(steps, params, decay=momentum, nesterov=nesterov)


def like_torch(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    decay: Hyper = 0.99,
    eps: Hyper = 1e-8,
    centered: bool = False,
    momentum: Hyper = 0.0,
    like: str,
) -> list[Tree]:
    """V = alpha v + (1-alpha) g^2; b = mu b + g / (sqrt(v) + eps), or sqrt(v - m^2); theta = theta - gamma b."""
    del like
    v, m, b = like_tree(params), like_tree(params), like_tree(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        alpha, u = at(decay, t), like_tree(params)
        for name, i in elements(params):
            v[name][i] = alpha * v[name][i] + (1 - alpha) * g[name][i] ** 2
            m[name][i] = alpha * m[name][i] + (1 - alpha) * g[name][i]
            around = v[name][i] - m[name][i] ** 2 if centered else v[name][i]
            step = ratio(g[name][i], math.sqrt(max(around, 0.0)) + at(eps, t))
            b[name][i] = at(momentum, t) * b[name][i] + step
            u[name][i] = -at(learning_rate, t) * b[name][i]
        updates.append(u)
    return updates


TRAITS = {"reference": rmsprop, "kind": "optimizer"}
ROWS = [
    row(
        "rmsprop",
        traits={**TRAITS, "hyper": "learning_rate", "optax": True, "speed": Speed(0, 7 / 5)},
        learning_rate=0.1,
    ),
    row(
        "rmsprop",
        "centered with momentum",
        traits=TRAITS,
        learning_rate=0.1,
        centered=True,
        momentum=0.9,
        nesterov=True,
    ),
]
TORCH = {"reference": like_torch, "kind": "optimizer"}
CASES = [
    row("rmsprop", "torch", traits=TORCH, learning_rate=0.1, like="torch"),
    row("rmsprop", "torch, momentum", traits=TORCH, learning_rate=halving, eps=0.3, momentum=0.9, like="torch"),
    row("rmsprop", "torch, centered", traits=TORCH, learning_rate=0.1, decay=0.5, eps=0.3, centered=True, like="torch"),
    row(
        "rmsprop",
        "centered, plain momentum",
        traits={**TRAITS, "speed": Speed(0, 14 / 9)},
        learning_rate=0.1,
        centered=True,
        momentum=0.9,
    ),
    row(
        "rmsprop",
        "centered, eps outside",
        traits={**TRAITS, "optax": True},
        learning_rate=0.1,
        centered=True,
        momentum=0.9,
        eps_in_sqrt=False,
        initial_scale=1.0,
    ),
    row(
        "rmsprop",
        "corrected nesterov",
        traits={**TRAITS, "optax": True},
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        bias_correction=True,
    ),
    row(
        "rmsprop",
        "schedules",
        traits=TRAITS,
        learning_rate=halving,
        decay=rising,
        eps=halving,
        momentum=rising,
        bias_correction=True,
    ),
]

FILE = "methods/rmsprop.py"
MUTANTS = [
    Mutant(
        "rmsprop: centered inverted",
        FILE,
        "scale_by_stddev if centered",
        "scale_by_stddev if not centered",
        reference_of("rmsprop"),
    ),
    Mutant(
        "rmsprop: rate after momentum",
        FILE,
        "chain(scaled, rate, after) if like",
        "chain(scaled, after, rate) if like",
        case_of("rmsprop[schedules]"),
    ),
    Mutant(
        "rmsprop: torch's rate before its momentum",
        FILE,
        "if like is None else chain(scaled, after, rate)",
        "if like is None else chain(scaled, rate, after)",
        case_of("rmsprop[torch, momentum]"),
    ),
    Mutant(
        "rmsprop: torch's eps inside",
        FILE,
        '"eps_in_sqrt": False',
        '"eps_in_sqrt": True',
        case_of("rmsprop[torch, momentum]"),
    ),
]
