"""MARS: Yuan et al. 2024, Algorithm 2 (MARS-AdamW), the last gradient taken as it was and g_0 = g_1."""

import math

import numpy as np

from tests.registry.adam import scale_by_adam
from tests.registry.base import ELEMENTS, FUSED, LEAVES, Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, rising


def corrected(grads: list[Tree], *, b1: Hyper, gamma: Hyper, max_norm: Hyper, per_array: bool = False) -> list[Tree]:
    """c_t = g_t + gamma b1 / (1-b1) (g_t - g_{t-1}); over its norm where that is above the bound."""
    out = []
    for t, (last, g) in enumerate(zip([grads[0], *grads], grads, strict=False), start=1):
        weight = at(gamma, t) * at(b1, t) / (1 - at(b1, t))
        c = {name: g[name] + weight * (g[name] - last[name]) for name in g}
        own = {name: math.sqrt(math.fsum(x.reshape(-1) ** 2)) for name, x in c.items()}
        norm = math.sqrt(math.fsum(n**2 for n in own.values()))
        out.append({n: x / max(1.0, (own[n] if per_array else norm) / at(max_norm, t)) for n, x in c.items()})
    return out


def scale_by_mars(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.95,
    b2: Hyper = 0.99,
    eps: Hyper = 1e-8,
    gamma: Hyper = 0.025,
    max_norm: Hyper = 1.0,
    per_array: bool = False,
) -> list[Tree]:
    """Return m / (sqrt(v) + eps), the debiased means of c and c^2."""
    c = corrected(grads, b1=b1, gamma=gamma, max_norm=max_norm, per_array=per_array)
    return scale_by_adam(c, params, b1=b1, b2=b2, eps=eps)


def mars(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    store: Store = np.float64,
    **settings: Hyper,
) -> list[Tree]:
    """x_{t+1} = x_t - eta_t (m_t / (sqrt(v_t) + eps) + lambda x_t); `store` rounds x after each step."""
    x, updates = copy(params), []
    for t, r in enumerate(scale_by_mars(grads, params, **settings), start=1):
        u = {name: -at(learning_rate, t) * (r[name] + at(weight_decay, t) * x[name]) for name in r}
        x = {name: np.asarray(store(x[name] + u[name]), np.float64) for name in u}
        updates.append(u)
    return updates


WHOLE = {"laws": (ELEMENTS,), "reference": scale_by_mars, "fused": FUSED}  # the norm is that of all leaves
OPTIMIZER = {**WHOLE, "reference": mars, "kind": "optimizer"}
ROWS = [
    row("scale_by_mars", traits={**WHOLE, "hyper": "gamma"}, b1=0.8, gamma=0.5),
    row(
        "mars",
        # a scalar of its norm is written out as large as a leaf
        traits={**OPTIMIZER, "hyper": "learning_rate", "speed": Speed(4_002_000, 2.0, fused=None)},
        learning_rate=0.1,
        weight_decay=0.01,
    ),
]
CASES = [
    row("mars", "each array", traits={**OPTIMIZER, "laws": (LEAVES,)}, learning_rate=0.1, gamma=0.5, per_array=True),
    row("scale_by_mars", "never clips", traits={**WHOLE, "power": 0}, gamma=0.5, eps=0.0, max_norm=math.inf),
    row(
        "mars",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        gamma=rising,
        weight_decay=halving,
        max_norm=lambda count: 100 * halving(count),
    ),
]

FILE = "methods/mars.py"
MUTANTS = [
    Mutant(
        "mars: from a gradient of 0",
        FILE,
        "jnp.where(count > 0, ",
        "jnp.where(count >= 0, ",
        case_of("scale_by_mars[never clips]"),
    ),
    Mutant("mars: without b1 / (1-b1)", FILE, "k.gamma * k.b1 / (1 - k.b1)", "k.gamma", reference_of("scale_by_mars")),
    Mutant("mars: forgets to clip", FILE, "1.0 / jnp.maximum(excess, 1.0)", "1.0", reference_of("mars")),
    Mutant("mars: keeps what was corrected", FILE, "behind(g, mu, nu)}", "d}", reference_of("scale_by_mars")),
    Mutant(
        "mars: one norm for all arrays",
        FILE,
        "if per_array else k.share",
        "if not per_array else k.bound",
        case_of("mars[each array]"),
    ),
]
