"""Scale the whole gradient down where its norm is too large: Pascanu, Mikolov & Bengio 2013, Algorithm 1."""

import math

from tests.reference.tree import Hyper, Tree, at, elements, like


def clip_by_global_norm(grads: list[Tree], params: Tree, *, max_norm: Hyper) -> list[Tree]:
    """If the norm of g over all leaves is at least max_norm, u = g max_norm / norm, else u = g."""
    updates = []
    for t, g in enumerate(grads, start=1):
        norm = math.sqrt(math.fsum(g[name][i] ** 2 for name, i in elements(params)))
        bound = at(max_norm, t)
        u = like(params)
        for name, i in elements(params):
            u[name][i] = bound / norm * g[name][i] if norm >= bound else g[name][i]
        updates.append(u)
    return updates
