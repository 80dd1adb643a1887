"""Adam: Kingma & Ba 2014, Algorithm 1; with a look ahead: Dozat 2016; with decay: Loshchilov & Hutter 2019.

Dozat also multiplies v by b2; that factor is left out, as in optax and PyTorch.
"""

import math

from tests.reference.tree import Hyper, Store, Tree, at, copy, elements, like, ratio


def scale_by_adam(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    nesterov: bool = False,
    store_mu: Store = float,
) -> list[Tree]:
    """Return the ratio of the debiased moments; `store_mu` rounds m between steps."""
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


def adam(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: float) -> list[Tree]:
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
    **settings: float,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (m_hat / (sqrt(v_hat) + eps) + weight_decay theta_{t-1})."""
    theta = copy(params)
    updates = scale_by_adam(grads, params, **settings)
    for t, u in enumerate(updates, start=1):
        for name, i in elements(params):
            u[name][i] = -at(learning_rate, t) * (u[name][i] + at(weight_decay, t) * theta[name][i])
            theta[name][i] = store(theta[name][i] + u[name][i])
    return updates
