"""The edge of stability of a chain: how far its effective rate times the curvature may go before it diverges.

A direction that is linear in the gradient is a filter of first order; the edge follows from how the filter answers a
gradient that flips its sign at each step. It is measured on the rule itself, so a user's direction has one too.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gradtx._core.arguments.reading import read as read_hyper
from gradtx._core.arrays.numerics import INT32_MAX, scalar_dtype
from gradtx._core.engine.kernel import freeze, thaw
from gradtx._core.engine.lift import Leafwise
from gradtx.diagnosis.record.rates import has_role, is_factor, links

PROBES = ((0.0, 0.0), (-0.7, 1.9), (1.3, 0.4))  # (slot, gradient) at which a filter must answer linearly
ROUNDING = 1e-4


class Response(NamedTuple):
    """A direction as a filter: s' = a s + b g, u = c s + d g."""

    a: float
    b: float
    c: float
    d: float

    @property
    def remembers(self) -> bool:
        """Return True if past gradients are in u."""
        return self.b * self.c != 0.0


def stability_edge(tx: Any, state: Any) -> float | None:
    """Return the largest effective rate times curvature at which the chain is stable on a quadratic.

    With x_{t+1} = x_t - rate u_t and a linear direction s' = A s + B g, u = C s + D g on the gradient g = c x, the
    characteristic polynomial is (z - 1)(z - A) + a (D z - A D + B C), a = rate c. Its roots stay inside the unit
    circle while a < 2 / M(-1), M(-1) = D - B C / (1 + A) being the gain for a gradient that flips at each step, and
    while a (B C - A D) < 1 - A. So: 2 for plain descent, 2 (1 + b) for `trace(b)`, (2 + 2b) / (1 + 2b) with nesterov,
    (2 + 2b) / (1 - b) for `ema(b)` (38 at 0.9). Sigma is taken as constant, bias corrections as 1.

    Units: dimensionless.

    Args:
        tx: the transform.
        state: its state, concrete.

    Returns:
        The edge, or None if a direction is not linear or has more than one slot, or if two have memory.

    References:
        Cohen et al. 2021, https://arxiv.org/abs/2103.00065; Cohen et al. 2022, https://arxiv.org/abs/2207.14484

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> from gradtx.diagnosis.probing.edge import stability_edge
        >>> tx = gradtx.adam(1e-3)
        >>> stability_edge(tx, tx.init(jnp.zeros(2)))
        38.0
    """
    found = response_of(tx, state)
    if found is None:
        return None
    a, b, c, d = found
    flip, turn = d - b * c / (1.0 + a), b * c - a * d
    edges = ([2.0 / flip] if flip > 0 else []) + ([(1.0 - a) / turn] if turn > 0 else [])
    return float(f"{min(edges):.6g}") if edges else None


def growth(tx: Any, state: Any, curvature: float) -> float:
    """Return by how much a step multiplies a displacement where the effective rate times the curvature is negative.

    The largest root of the polynomial at `stability_edge`; of a chain whose direction is not known, 1 - curvature, what
    plain descent does.

    Units: dimensionless.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> from gradtx.diagnosis.probing.edge import growth
        >>> [round(growth(tx, tx.init(jnp.zeros(2)), -0.01), 4) for tx in (gradtx.sgd(1.0), gradtx.sgd(1.0, 0.9))]
        [1.01, 1.0647]
    """
    a, b, c, d = response_of(tx, state) or Response(0.0, 0.0, 0.0, 1.0)
    roots = np.roots([1.0, curvature * d - 1.0 - a, a + curvature * (b * c - a * d)])
    return float(np.max(roots.real))


def response_of(tx: Any, state: Any) -> Response | None:
    """Return the direction of a chain as one filter, None if it is not linear or has more than one memory."""
    gain = 1.0
    memory: Response | None = None
    chain = list(links(tx, state))
    if not chain:
        return None
    for link, link_state in chain:
        body: Any = getattr(link, "body", None)
        if is_factor(body) or has_role(link, "identity", "limit"):
            continue
        readable = isinstance(body, Leafwise) and link_state is not None and body.rule.elementwise
        response = linear_response(body, link_state) if readable else None
        if response is None or (response.remembers and memory is not None):
            return None
        if response.remembers:
            memory = response
        else:
            gain *= response.d
    a, b, c, d = memory or Response(0.0, 0.0, 0.0, 1.0)
    return Response(a, b, gain * c, gain * d)


def linear_response(body: Leafwise, state: Any) -> Response | None:
    """Return the direction of a leafwise transform as a filter, None if it is not linear in one slot.

    The direction is m, where the update is m / sigma. Hyperparameters are those of the next update; what a rule
    computes from the count is taken late, where it no longer changes.
    """
    rule, dtype, late = body.direction or body.rule, scalar_dtype(), jnp.asarray(INT32_MAX, jnp.int32)
    if rule.whole_tree is not None or not rule.elementwise:
        return None
    hyper = {name: read_hyper(h, state.count, state.event) for name, h in rule.hyper.items()}
    k = thaw(freeze(rule.at(late, state.event, hyper)), dtype)
    zero = jnp.zeros((), dtype)

    def update(g: float, slots: dict[str, float]) -> tuple[Any, Any]:
        held = {name: jnp.asarray(value, dtype) for name, value in slots.items()}
        found: tuple[Any, Any] = rule.update(jnp.asarray(g, dtype), held, zero, k)
        return found

    ones = dict.fromkeys(rule.slots, 1.0)
    base = float(update(0.7, ones)[0])
    own = [name for name in rule.slots if float(update(0.7, {**ones, name: 3.0})[0]) != base]  # those that m reads
    if len(own) > 1:
        return None

    def respond(s: float, g: float) -> tuple[float, float]:
        m, new = update(g, {**ones, **dict.fromkeys(own, s)})
        return float(new[own[0]]) if own else 0.0, float(m)

    (a, c), (b, d) = respond(1.0, 0.0), respond(0.0, 1.0)
    c = c if own else 0.0
    for s, g in PROBES:
        if not np.allclose(respond(s, g), (a * s + b * g, c * s + d * g), ROUNDING, ROUNDING):
            return None
    return Response(a, b, c, d)
