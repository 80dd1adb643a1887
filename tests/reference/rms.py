"""RMSProp: Tieleman & Hinton 2012; about the mean: Graves 2013, equations 38 to 45."""

import math

from tests.reference.tree import Hyper, Tree, at, elements, like, ratio


def scale_by_rms(
    grads: list[Tree],
    params: Tree,
    *,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
    first_gradient: bool = False,
) -> list[Tree]:
    """nu_t = a nu_{t-1} + (1-a) g_t^2; u_t = g_t / sqrt(nu_t).

    nu_0 = initial_scale, or with `first_gradient` sigma_0 = |g_0| at the first step, as the lecture's slide 2.2b.
    """
    nu = like(params, initial_scale)
    updates = []
    for t, g in enumerate(grads, start=1):
        a, e = at(decay, t), at(eps, t)
        u = like(params)
        for name, i in elements(params):
            square = g[name][i] ** 2
            if first_gradient and t == 1:
                nu[name][i] = square
            else:
                nu[name][i] = a * nu[name][i] + (1 - a) * square
            mean = nu[name][i] / (1 - a**t) if bias_correction else nu[name][i]
            sigma = math.sqrt(mean + e) if eps_in_sqrt else math.sqrt(mean) + e
            u[name][i] = ratio(g[name][i], sigma)
        updates.append(u)
    return updates


def scale_by_stddev(
    grads: list[Tree],
    params: Tree,
    *,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> list[Tree]:
    """n_t = a n_{t-1} + (1-a) g_t^2; m_t = a m_{t-1} + (1-a) g_t; u_t = g_t / sqrt(n_t - m_t^2 + eps)."""
    n, m = like(params, initial_scale), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        a, e = at(decay, t), at(eps, t)
        weights = 1 - a**t if bias_correction else 1.0
        u = like(params)
        for name, i in elements(params):
            n[name][i] = a * n[name][i] + (1 - a) * g[name][i] ** 2
            m[name][i] = a * m[name][i] + (1 - a) * g[name][i]
            variance = max(n[name][i] / weights - (m[name][i] / weights) ** 2, 0.0)
            sigma = math.sqrt(variance + e) if eps_in_sqrt else math.sqrt(variance) + e
            u[name][i] = ratio(g[name][i], sigma)
        updates.append(u)
    return updates
