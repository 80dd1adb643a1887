"""The registry's compositions and rules of a user's own, written out."""

import math

from tests.reference.adam import adamw
from tests.reference.clip import clip_by_global_norm
from tests.reference.momentum import trace
from tests.reference.multiply import scale
from tests.reference.tree import Store, Tree, elements, like, ratio


def clipped_adamw(grads: list[Tree], params: Tree, *, store: Store = float) -> list[Tree]:
    """Clip to norm 1, then AdamW."""
    clipped = clip_by_global_norm(grads, params, max_norm=1.0)
    return adamw(clipped, params, learning_rate=0.1, weight_decay=0.01, store=store)


def summed_and_scaled(grads: list[Tree], params: Tree) -> list[Tree]:
    """Sum with decay, then multiply by -0.1."""
    return scale(trace(grads, params, decay=0.9), params, step_size=-0.1)


def over_magnitude(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return g / (|g| + 1)."""
    updates = []
    for g in grads:
        u = like(params)
        for name, i in elements(params):
            u[name][i] = g[name][i] / (abs(g[name][i]) + 1.0)
        updates.append(u)
    return updates


def trace_over_stddev(grads: list[Tree], params: Tree, *, decay: float = 0.9, eps: float = 1e-8) -> list[Tree]:
    """Divide a decaying sum by the moving standard deviation of the same gradients."""
    total, m, n = like(params), like(params), like(params)
    updates = []
    for g in grads:
        u = like(params)
        for name, i in elements(params):
            g_t = g[name][i]
            total[name][i] = decay * total[name][i] + g_t
            m[name][i] = decay * m[name][i] + (1 - decay) * g_t
            n[name][i] = decay * n[name][i] + (1 - decay) * g_t**2
            variance = max(n[name][i] - m[name][i] ** 2, 0.0)
            u[name][i] = ratio(total[name][i], math.sqrt(variance + eps))
        updates.append(u)
    return updates
