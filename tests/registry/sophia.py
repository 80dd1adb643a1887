"""Sophia: Liu et al. 2023, Algorithm 3, as optax has it: m debiased, and the curvature of before the new estimate.

The objective has a Hessian that is diagonal, so that Hutchinson's estimate is exact whatever its random signs are.
"""

from typing import Any

import numpy as np

from tests.registry.base import FUSED, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, rising

BEND = 1.5


def valley(grads: Any, params: Any) -> dict[str, Any]:
    """Return the sum of BEND x^2 / 2 + |x|^3 / 6, whose Hessian is BEND + |x|, as the extra argument of a step."""
    import jax
    import jax.numpy as jnp

    del grads, params
    wide = jax.dtypes.canonicalize_dtype(np.float64)

    def obj_fn(tree: Any) -> Any:
        leaves = [jnp.asarray(x).astype(wide) for x in jax.tree.leaves(tree)]
        return sum((jnp.sum(BEND / 2 * x * x + jnp.abs(x) ** 3 / 6) for x in leaves), jnp.zeros((), wide))

    return {"obj_fn": obj_fn}


def hutchinson(grads: list[Tree], params: Tree, *, store: Store = float) -> list[Tree]:
    """u_t = the diagonal of the Hessian at theta_t, theta moving on by it."""
    x, updates = copy(params), []
    for _ in grads:
        u = like(params)
        for name, i in elements(params):
            u[name][i] = store(BEND + abs(x[name][i]))
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


def scale_by_sophia(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.965,
    b2: Hyper = 0.99,
    eps: Hyper = 1e-8,
    gamma: Hyper = 0.01,
    clip_threshold: Hyper | None = 1.0,
    update_interval: int = 10,
    rate: Hyper = -1.0,
    weight_decay: Hyper = 0.0,
    store: Store = float,
) -> list[Tree]:
    """m_t = b1 m + (1-b1) g_t; h_t = b2 h + (1-b2) h_hat; u_t = -eta_t clip(m_t / max(gamma h, eps))."""
    x, m, h, updates = copy(params), like(params), like(params), []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            m[name][i] = at(b1, t) * m[name][i] + (1 - at(b1, t)) * g[name][i]
            step = m[name][i] / (1 - at(b1, t) ** t) / max(at(gamma, t) * h[name][i], at(eps, t))
            if clip_threshold is not None:
                step = max(-at(clip_threshold, t), min(step, at(clip_threshold, t)))
            u[name][i] = -at(rate, t) * (step + at(weight_decay, t) * x[name][i])
            if (t - 1) % update_interval == 0:
                h[name][i] = at(b2, t) * h[name][i] + (1 - at(b2, t)) * store(BEND + abs(x[name][i]))
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


def sophia(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, weight_decay: Hyper = 1e-4, **settings: Any
) -> list[Tree]:
    """theta_{t+1} = theta_t - eta_t lambda theta_t - eta_t clip(m_t / max(gamma h, eps), 1)."""
    return scale_by_sophia(grads, params, rate=learning_rate, weight_decay=weight_decay, **settings)


WHOLE_NUMBERS = ("update_interval", "print_win_rate_every_n_steps")
SECOND = {"objective": valley, "numbers_only": WHOLE_NUMBERS}
SCALED = {**SECOND, "reference": scale_by_sophia, "fused": FUSED}
OPTIMIZER = {**SECOND, "reference": sophia, "kind": "optimizer", "fused": FUSED}
USUAL = {"gamma": 2.0, "b1": 0.5, "b2": 0.8, "eps": 0.5, "update_interval": 2}
ROWS = [
    row("hutchinson_estimator_diag_hessian", traits={**SECOND, "reference": hutchinson, "optax": True}),
    # the batteries' gradients are large: clipped ones have derivatives of 0
    row("scale_by_sophia", traits={**SCALED, "hyper": "b2"}, clip_threshold=1e6, **USUAL),
    row("sophia", traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True}, learning_rate=0.1, **USUAL),
]
CASES = [
    row("sophia", "defaults", traits={**OPTIMIZER, "optax": True}, learning_rate=0.1),
    row("scale_by_sophia", "not clipped", traits=SCALED, clip_threshold=None, **USUAL),
    row(
        "sophia",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        gamma=halving,
        clip_threshold=halving,
        weight_decay=halving,
        update_interval=3,
    ),
]

FILE = "factors/clipped_curvature.py"
MUTANTS = [
    Mutant("sophia: no debiased mean", FILE, "k.unbias * mu", "mu", reference_of("scale_by_sophia")),
    Mutant(
        "sophia: the curvature of after the estimate",
        FILE,
        "u, new = self.scale.update(updates, self.scaled(state), params)",
        "new = self.scale.update(updates, self.scaled(state), params)[1]\n        "
        "u = self.scale.update(updates, self.scaled(state)._replace(slots={'mu': state.mu, 'nu': self.mean(state.nu, "
        "self.hessian.update(updates, state.hessian_fn_state, params=params, **extra)[0], state.count)}), params)[0]",
        reference_of("scale_by_sophia"),
    ),
    Mutant(
        "sophia: an estimate a step late",
        FILE,
        "choose(state.count % self",
        "choose(new.count % self",
        reference_of("scale_by_sophia"),
    ),
    Mutant("sophia: one bound for all", FILE, "jnp.maximum(k.gamma", "jnp.minimum(k.gamma", reference_of("sophia")),
    Mutant(
        "sophia: clipped above alone",
        FILE,
        "jnp.clip(u, -k.clip_threshold, k.clip_threshold)",
        "jnp.minimum(u, k.clip_threshold)",
        case_of("sophia[defaults]"),
    ),
    Mutant(
        "hutchinson: no second sign",
        "factors/hutchinson.py",
        "(a * b).real",
        "b.real",
        reference_of("hutchinson_estimator_diag_hessian"),
    ),
]
