"""Fromage: steps that are a share of each array, made shorter so that no array grows by them alone."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.axes import AxisName, refuse_shards
from gradtx.limits.trust_ratio import as_large_as
from gradtx.rules import LearningRate, NonNegative, Range, Rule, Slots, Transform, factory, leafwise


@factory
def fromage(learning_rate: LearningRate, min_norm: NonNegative = 1e-6, *, axis_name: AxisName = None) -> Transform:
    """Descend by steps that are a share eta of each array.

    p_{t+1} = (p_t - eta_t g_t n(p_t) / n(g_t)) / sqrt(1 + eta_t^2) for each array, with n(x) = max(|x|, min_norm); that
    is, u_t = -eta_t c_t g_t n(p_t) / n(g_t) - (1 - c_t) p_t, with c_t = 1 / sqrt(1 + eta_t^2). At min_norm = 0 the
    quotient is 1 where one of the norms is 0.

    Units: eta is dimensionless, the share of its size that an array moves; min_norm has the units of p and of g.
    Equivalent to: optax's `fromage`.
    Differs from: the paper, which has no min_norm.

    Args:
        {learning_rate}
        min_norm: >= 0, the least size that p and g count with, so that a parameter of zeros can move.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        no slots; the count, and the count of the event.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf varies over a manual axis that axis_name does not name;
            at update, params missing.

    Cost: no array; one pass, and two to sum |p|^2 and |g|^2.

    References:
        Bernstein et al. 2020, Algorithm 1, https://arxiv.org/abs/2002.03432

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.fromage(0.75)
        >>> params = jnp.array([5.0, 0.0])
        >>> updates, _ = tx.update(jnp.array([0.0, 2.0]), tx.init(params), params)
        >>> [round(p, 4) for p in gradtx.apply_updates(params, updates).tolist()]
        [4.0, -3.0]
    """

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del count
        eta = k.learning_rate
        root = jnp.sqrt(1.0 + eta * eta)
        # 1 - 1 / root without the difference, which would lose all digits of a small eta
        return {"step": eta / root, "shrink": eta * eta / (root * (1.0 + root))}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return -k.step * as_large_as(p, g, k.min_norm, axis_name=axis_name) - k.shrink * p, slots

    rule = Rule(
        "fromage",
        update,
        hyper={"learning_rate": learning_rate, "min_norm": min_norm},
        ranges={"learning_rate": Range("[0, inf)", event=True)},
        scalars=scalars,
        needs_params=True,
        event="learning_rate",
        check=refuse_shards(axis_name),
        elementwise=False,
    )
    return leafwise(rule)
