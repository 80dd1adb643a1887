"""Adagrad with a diagonal matrix: Duchi, Hazan & Singer 2011, Figure 1; the mean form is the lecture's slide 2.1."""

import math

from tests.reference.tree import Hyper, Tree, at, elements, like, ratio


def scale_by_adagrad(
    grads: list[Tree],
    params: Tree,
    *,
    initial_accumulator_value: float = 0.1,
    eps: Hyper = 1e-7,
    mean: bool = False,
) -> list[Tree]:
    """s_t = s_{t-1} + g_t^2; u_t = g_t / sqrt(s_t + eps), or g_t / sqrt((s_t + eps) / t)."""
    s = like(params, initial_accumulator_value)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            s[name][i] += g[name][i] ** 2
            total = s[name][i] + at(eps, t)
            u[name][i] = ratio(g[name][i], math.sqrt(total / t if mean else total))
        updates.append(u)
    return updates
