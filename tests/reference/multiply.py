"""Gradient descent's parts: pass on, multiply by a factor, a schedule or minus the rate. Robbins & Monro 1951."""

from tests.reference.tree import Hyper, Tree, at, elements, like


def identity(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return u = g."""
    del params
    return [{name: g.copy() for name, g in step.items()} for step in grads]


def scale(grads: list[Tree], params: Tree, *, step_size: Hyper) -> list[Tree]:
    """u_t = step_size_t g_t."""
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            u[name][i] = at(step_size, t) * g[name][i]
        updates.append(u)
    return updates


def scale_by_learning_rate(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, flip_sign: bool = True
) -> list[Tree]:
    """u_t = -eta_t g_t, or +eta_t g_t."""
    sign = -1.0 if flip_sign else 1.0
    return scale(grads, params, step_size=lambda count: sign * at(learning_rate, count + 1))
