"""AMSGrad: Reddi, Kale & Kumar 2018, Algorithm 2, which corrects neither moment; the libraries correct both."""

import math

from tests.reference.tree import Hyper, Tree, at, elements, like, ratio


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
