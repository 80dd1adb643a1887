"""RAdam: Liu et al. 2020, Algorithm 2, with the threshold 5 of the authors' code (the paper's is 4) and an eps."""

import math

from tests.reference.ema import ema
from tests.reference.tree import Hyper, Tree, at, elements, like, ratio


def length(b2: float, t: int) -> float:
    """Return rho_t, the length of the approximated simple average."""
    return 2 / (1 - b2) - 1 - 2 * t * b2**t / (1 - b2**t)


def scale_by_radam(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    threshold: Hyper = 5.0,
    nesterov: bool = False,
) -> list[Tree]:
    """u_t = r_t m_hat_t / sqrt(v_hat_t) where the variance is tractable, m_hat_t where it is not."""
    m_hat = ema(grads, params, decay=b1, nesterov=nesterov)
    v = like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta2 = at(b2, t)
        rho_inf = 2 / (1 - beta2) - 1
        rho = length(beta2, t)
        u = like(params)
        for name, i in elements(params):
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            if rho >= at(threshold, t):
                r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
                sigma = math.sqrt(v[name][i] / (1 - beta2**t) + at(eps_root, t)) + at(eps, t)
                u[name][i] = r * ratio(m_hat[t - 1][name][i], sigma)
            else:
                u[name][i] = m_hat[t - 1][name][i]
        updates.append(u)
    return updates
