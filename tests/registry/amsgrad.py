"""AMSGrad: Reddi, Kale & Kumar 2018, Algorithm 2, which corrects neither moment; the libraries correct both."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, ratio, rising
from tests.registry.numbers import like as like_tree
from tests.registry.scale import scale_by_learning_rate


def scale_by_amsgrad(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> list[Tree]:
    """v_hat_t = max(v_hat_{t-1}, v_t); u_t = m_t / sqrt(v_hat_t)."""
    m, v, v_hat = like(params), like(params), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(b1, t), at(b2, t)
        u = like(params)
        for name, i in elements(params):
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * g[name][i]
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            m_t = m[name][i] / (1 - beta1**t) if bias_correction_mu else m[name][i]
            v_t = v[name][i] / (1 - beta2**t) if bias_correction_nu else v[name][i]
            v_hat[name][i] = max(v_hat[name][i], v_t)
            u[name][i] = ratio(m_t, math.sqrt(v_hat[name][i] + at(eps_root, t)) + at(eps, t))
        updates.append(u)
    return updates


def amsgrad(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Any) -> list[Tree]:
    """Step by -eta m / sqrt(v_hat)."""
    scaled = scale_by_amsgrad(grads, params, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)


def like_torch(grads: list[Tree], params: Tree, *, learning_rate: Hyper, b2: Hyper = 0.999, like: str) -> list[Tree]:
    """v_max = max(v_max, v); theta = theta - gamma m_hat / (sqrt(v_max) / sqrt(1 - b2^t) + eps)."""
    del like
    m, v, most = like_tree(params), like_tree(params), like_tree(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta, u = at(b2, t), like_tree(params)
        for name, i in elements(params):
            m[name][i] = 0.9 * m[name][i] + 0.1 * g[name][i]
            v[name][i] = beta * v[name][i] + (1 - beta) * g[name][i] ** 2
            most[name][i] = max(most[name][i], v[name][i])
            sigma = math.sqrt(most[name][i]) / math.sqrt(1 - beta**t) + 1e-8
            u[name][i] = -at(learning_rate, t) * m[name][i] / (1 - 0.9**t) / sigma
        updates.append(u)
    return updates


SCALE, OPTIMIZER = {"reference": scale_by_amsgrad}, {"reference": amsgrad, "kind": "optimizer"}
PAPER = {"bias_correction_mu": False, "bias_correction_nu": False}
ROWS = [
    row("scale_by_amsgrad", traits={**SCALE, "hyper": "b2", "optax": True}),
    row("scale_by_amsgrad", "paper", traits=SCALE, **PAPER),
    row("amsgrad", traits={**OPTIMIZER, "hyper": "learning_rate", "speed": Speed(132, 13 / 9)}, learning_rate=0.1),
]
TORCH = {"reference": like_torch, "kind": "optimizer"}
CASES = [
    row("amsgrad", "torch", traits={**TORCH, "speed": Speed(132, 13 / 9)}, learning_rate=0.1, like="torch"),
    row("amsgrad", "torch, schedules", traits=TORCH, learning_rate=halving, b2=rising, like="torch"),
    row("scale_by_amsgrad", "no eps", traits={**SCALE, "power": 0}, eps=0.0),
    row("scale_by_amsgrad", "one correction", traits=SCALE, b2=0.5, eps=0.0, bias_correction_mu=False),
    row("amsgrad", "short memory", traits={**OPTIMIZER, "optax": True}, learning_rate=0.1, b2=0.5),
    row("amsgrad", "paper", traits={**OPTIMIZER, "optax": True}, learning_rate=0.1, **PAPER),
    row("amsgrad", "schedules", traits=OPTIMIZER, learning_rate=halving, b2=rising, eps_root=halving),
]

FILE = "methods/amsgrad.py"
MUTANTS = [
    Mutant("amsgrad: minimum", FILE, "jnp.maximum(", "jnp.minimum(", reference_of("scale_by_amsgrad")),
    Mutant(
        "amsgrad: maximum before the correction",
        FILE,
        'jnp.maximum(slots["nu_max"], nu * before)',
        'jnp.maximum(slots["nu_max"], nu) * before',
        reference_of("scale_by_amsgrad"),
    ),
    Mutant(
        "amsgrad: remembers the maximum only",
        FILE,
        '{"nu": nu, "nu_max"',
        '{"nu": nu_max, "nu_max"',
        reference_of("scale_by_amsgrad[paper]"),
    ),
    Mutant(
        "amsgrad: mean always corrected",
        FILE,
        "ema(b1, bias_correction_mu,",
        "ema(b1, True,",
        reference_of("scale_by_amsgrad[paper]"),
    ),
    Mutant(
        "amsgrad: torch's correction before the maximum",
        FILE,
        "maximum_first=like is not None",
        "maximum_first=False",
        case_of("amsgrad[torch]"),
    ),
]
