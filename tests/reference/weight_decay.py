"""Add a share of the parameter: the decoupled decay of Loshchilov & Hutter 2019, line 12 of Algorithm 2."""

from tests.reference.tree import Hyper, Store, Tree, at, copy, elements, like


def add_decayed_weights(
    grads: list[Tree], params: Tree, *, weight_decay: Hyper = 0.0, store: Store = float
) -> list[Tree]:
    """u_t = g_t + weight_decay p_t; `store` rounds the parameter after each step."""
    p = copy(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            u[name][i] = g[name][i] + at(weight_decay, t) * p[name][i]
            p[name][i] = store(p[name][i] + u[name][i])
        updates.append(u)
    return updates
