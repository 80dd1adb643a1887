"""Accumulate gradients of micro-batches: one update for several of them, in the memory of one."""

from collections.abc import Callable
from typing import Any

import optax

from gradtx._core.arguments.whole import whole
from gradtx._core.arrays.axes import AxisName
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.accumulating import Accumulating
from gradtx._core.engine.around import member
from gradtx.rules import Transform, factory


@factory
def accumulate(
    tx: optax.GradientTransformation, k: int | Callable[[Any], Any], *, mean: bool = True, axis_name: AxisName = None
) -> Transform:
    """Update once for k micro-batches, by the mean of their gradients.

    with g_1 ... g_k the gradients since the last update: u_t = 0 until k have come, then v((g_1 + ... + g_k) / k), v
    the update of `tx`; or of the sum of them. `tx` runs in that step alone, so that its schedules and its counts see
    updates, not micro-steps; the sums are in float32 or wider, and begin anew.

    A micro-batch whose gradient is not finite is left out without a trace: it is in no mean, and another one has to
    come in its place. Where all are, no update is made; `state.left_out` counts them.

    Put it around the whole optimizer, whose updates go to `apply_updates` in every micro-step.

    Units: those of v.
    Equivalent to: one update with the mean over a batch k times as large, where the loss is a mean.

    Args:
        tx: the optimizer, gradtx's or optax's.
        k: micro-batches to an update, a whole number >= 1, or a function of the number of updates made that returns
            one.
        mean: whether `tx` gets the mean of the gradients or, with False, their sum.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`, so that all shards leave
            out the same micro-batches. None is no axis.

    State:
        `AccumulateState`: inner; sums, like the params, float32 or wider, which hold the last update until the next sum
        begins; micro_step, updates and left_out, int32.

    Raises:
        TypeError: tx is no transform, or k no whole number.
        ValueError: k < 1; at update, gradients unlike the params, a state of another transform, or a leaf that varies
            over a manual axis that axis_name does not name.

    Cost: 1 array per parameter; in a step without an update two passes over the gradient, one over the sums and one
    over the parameters.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.accumulate(gradtx.sgd(0.5), 2), jnp.array(1.0)
        >>> state = tx.init(p)
        >>> for g in (2.0, jnp.nan, 4.0):
        ...     u, state = tx.update(jnp.array(g), state, p)
        ...     print(u.item())
        0.0
        0.0
        -1.5
    """
    inner = member("accumulate", "tx", tx)
    every = k if callable(k) else whole("accumulate", "k", k)
    settings = {"tx": inner, "k": every, "mean": mean}
    settings |= {} if axis_name is None else {"axis_name": axis_name}
    body = Accumulating(inner, "accumulate", None, every, "k", mean, axis_name=axis_name)
    return Transform.of(body, Info(settings, wrapped("accumulate", settings)))
