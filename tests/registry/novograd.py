"""NovoGrad: Ginsburg et al. 2019, Algorithm 1, its eps in two numbers."""

import math

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.lamb import moved, norm
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rising


def scale_by_novograd(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.25,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    mu_dtype: str | None = None,
    learning_rate: Hyper | None = None,
    store: Store = float,
) -> list[Tree]:
    """v_t = b2 v + (1-b2) |g|^2, m_t = b1 m + (g / (sqrt(v_t) + eps) + d w), w = w - lambda m_t; v_1 = |g_1|^2."""
    del mu_dtype
    p, m, v, updates = copy(params), like(params), {}, []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name in params:
            square = norm(g[name]) ** 2
            v[name] = square if t == 1 else at(b2, t) * v[name] + (1 - at(b2, t)) * square
        for name, i in elements(params):
            step = ratio(g[name][i], math.sqrt(v[name] + at(eps_root, t)) + at(eps, t))
            m[name][i] = at(b1, t) * m[name][i] + (step + at(weight_decay, t) * p[name][i])
            u[name][i] = m[name][i] if learning_rate is None else -at(learning_rate, t) * m[name][i]
        updates.append(u)
        moved(p, u, store)
    return updates


def novograd(grads: list[Tree], params: Tree, *, eps: Hyper = 1e-6, **settings: Hyper) -> list[Tree]:
    """Return the same with a rate, and with a larger eps."""
    return scale_by_novograd(grads, params, eps=eps, **settings)


SCALED = {"reference": scale_by_novograd}
NOVOGRAD = {"reference": novograd, "kind": "optimizer"}
ROWS = [
    row("scale_by_novograd", traits={**SCALED, "hyper": "b2", "optax": True}, weight_decay=0.1),
    row(
        "novograd",
        traits={**NOVOGRAD, "hyper": "learning_rate", "optax": True, "speed": Speed(6_000, 2.0, fused=2.0)},
        learning_rate=0.1,
        weight_decay=0.01,
    ),
]
CASES = [
    row("scale_by_novograd", "no eps", traits={**SCALED, "power": 0}, eps=0.0),
    row("scale_by_novograd", "large eps", traits={**SCALED, "optax": True}, b1=0.5, b2=0.9, eps=0.1, eps_root=0.2),
    row(
        "novograd",
        "schedules",
        traits=NOVOGRAD,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        eps_root=halving,
        weight_decay=rising,
    ),
]

FILE = "methods/novograd.py"
MUTANTS = [
    Mutant(
        "novograd: starts at 0",
        FILE,
        "jnp.where(count == 0, 0.0, k.b2)",
        "k.b2 + 0.0 * count",
        reference_of("novograd"),
    ),
    Mutant(
        "novograd: a mean of gradients",
        FILE,
        "(g * inverse + k.",
        "(1 - k.b1) * (g * inverse + k.",
        reference_of("novograd"),
    ),
    Mutant(
        "novograd: divided by the old norm",
        FILE,
        "jnp.hypot(norm, k.least)",
        'jnp.hypot(slots["norm"], k.least)',
        reference_of("novograd"),
    ),
    Mutant(
        "novograd: eps_root beside the root",
        FILE,
        "jnp.hypot(norm, k.least) + k.eps",
        "norm + k.least + k.eps",
        case_of("scale_by_novograd[large eps]"),
    ),
]
