"""The registry's compositions and rules of a user's own, written out."""

import math
from functools import partial
from typing import Any

from tests.registry.adam import adamw
from tests.registry.base import ELEMENTS, Row, Speed
from tests.registry.clip import clip_by_global_norm
from tests.registry.numbers import Store, Tree, elements, like, ratio
from tests.registry.scale import scale
from tests.registry.trace import trace


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


def shrink(library: Any) -> Any:
    """Return a direction as a user would write one."""
    rule = library.Rule("shrink", lambda g, slots, p, k: (k.step_size * g, {}), hyper={"step_size": 0.5})
    return library.leafwise(rule)


def magnitude(library: Any) -> Any:
    """Return a scale as a user would write one."""
    return library.divide_by(library.Rule("magnitude", lambda g, slots, p, k: (abs(g) + k.eps, {}), hyper={"eps": 1.0}))


def pair(library: Any) -> Any:
    """Return a direction and a scale in one rule as a user would write them."""
    update = lambda g, slots, p, k: ((g, abs(g) + k.eps), {})  # noqa: E731
    return library.quotient(library.Rule("pair", update, hyper={"eps": 1.0}))


def clip_then_adamw(library: Any) -> Any:
    """Return the usual chain."""
    return library.chain(library.clip_by_global_norm(1.0), library.adamw(0.1, weight_decay=0.01))


def sum_then_rate(library: Any) -> Any:
    """Return a chain whose members have labels."""
    return library.named_chain(("sum", library.trace(0.9)), ("rate", library.scale(-0.1)))


ROWS = [
    Row(
        "chain",
        maker=clip_then_adamw,
        reference=clipped_adamw,
        kind="combinator",
        laws=(ELEMENTS,),  # it clips by the norm of all leaves
        optax=True,
        speed=Speed(96 * 1024, 11 / 7, fused=8 / 7),  # a clip reads g once more
    ),
    Row("named_chain", maker=sum_then_rate, reference=summed_and_scaled, kind="combinator", optax=True),
    Row("leafwise", maker=shrink, reference=partial(scale, step_size=0.5), kind="combinator"),
    Row("divide_by", maker=magnitude, reference=over_magnitude, kind="combinator"),
    Row("quotient", maker=pair, reference=over_magnitude, kind="combinator"),
    Row(
        "ratio",
        maker=lambda library: library.ratio(library.trace(0.9), library.scale_by_stddev(0.9)),
        reference=trace_over_stddev,
        kind="combinator",
    ),
]
CASES = [
    Row(
        "ratio",
        "no eps",
        maker=lambda library: library.ratio(library.trace(0.9), library.scale_by_adagrad(0.0, 0.0)),
        kind="combinator",
        power=0,
    ),
]
