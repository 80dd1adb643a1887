"""DoWG: DoG whose squared gradients are weighted by the squared distance, so that late ones count more."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import moved, square
from gradtx._core.contract.errors import message
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Finite,
    LearningRate,
    Positive,
    Rule,
    Slots,
    Transform,
    Tree,
    chain,
    divide,
    factory,
    held,
    identity,
    leafwise,
    own_copy,
    root,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_dowg(
    init_estim_sq_dist: Positive | None = None, eps: Positive = 1e-4, *, axis_name: AxisName = None
) -> Transform:
    """Scale by the largest squared distance over the root of the sum of squared gradients weighted by it.

    d_t = max(d_{t-1}, |p_t - p_1|^2), d_0 = init_estim_sq_dist; v_t = v_{t-1} + d_t |g_t|^2, v_0 = 0;
    u_t = g_t d_t / (sqrt(v_t) + eps). The norms are over all leaves.

    Units: those of p (invariant to g -> c g but for eps); eps has the units of p g.
    Equivalent to: optax's `scale_by_dowg`; the paper has no eps, and d_0 is the square of its r_eps.

    Args:
        init_estim_sq_dist: the first squared distance, > 0; None is eps, which is then no schedule.
        eps: added outside the root, > 0.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norms are those of
            all shards together. None is no axis.

    State:
        params0: like params, float32 or wider.
        estim_sq_dist, weighted_sq_norm_grads: scalars of the whole tree, d and v.

    Raises:
        ValueError: init_estim_sq_dist <= 0 or eps <= 0; at update, params missing, or a leaf that varies over a
            manual axis which axis_name does not name.
        TypeError: what the state starts with is a schedule.

    Cost: 1 array per parameter; two passes, since the norms need all leaves before any of them moves.

    References:
        Khaled, Mishchenko & Jin 2023, Algorithm 1, https://arxiv.org/abs/2305.16284

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_dowg(0.25, eps=1e-8)
        >>> state = tx.init(jnp.zeros(2))
        >>> u, state = tx.update(jnp.array([3.0, 4.0]), state, jnp.zeros(2))
        >>> u, state = tx.update(jnp.array([0.0, 12.0]), state, jnp.array([0.0, -2.0]))
        >>> round(float(u[1]), 4)  # 12 times 4 / sqrt(0.25 5^2 + 4 12^2)
        1.9892
    """
    argument, first = ("eps", eps) if init_estim_sq_dist is None else ("init_estim_sq_dist", init_estim_sq_dist)
    if callable(first):
        fix = "give init_estim_sq_dist a number, the state starts with it"
        raise TypeError(message("scale_by_dowg", argument, "is a schedule", "a number > 0", fix))

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        distance = square(moved(tree.slots["params0"], tree.params), axis_name)
        largest = jnp.maximum(tree.memory["estim_sq_dist"], held(distance))
        weighted = held(tree.memory["weighted_sq_norm_grads"] + largest * square(tree.grads, axis_name))
        rate = divide(largest, root(weighted) + k.eps)
        return {"rate": rate}, {"estim_sq_dist": largest, "weighted_sq_norm_grads": weighted}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return k.rate * g, slots

    rule = Rule(
        "scale_by_dowg",
        update,
        lambda p: {"params0": own_copy(p)},
        ("params0",),
        {"eps": eps},
        needs_params=True,
        whole_tree=whole_tree,
        memory={"estim_sq_dist": read(first, 0), "weighted_sq_norm_grads": 0.0},
    )
    return leafwise(rule)


@factory
def dowg(
    learning_rate: LearningRate = 1.0,
    init_estim_sq_dist: Positive | None = None,
    eps: Positive = 1e-4,
    weight_decay: Finite | None = None,
    mask: Any = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend at the squared distance moved so far over the root of the sum of gradients weighted by it.

    h_t = g_t + weight_decay p_t; u_t = -eta_t h_t d_t / (sqrt(v_t) + eps), with d_t = max(d_{t-1}, |p_t - p_1|^2),
    d_0 = init_estim_sq_dist and v_t = v_{t-1} + d_t |h_t|^2, v_0 = 0, over all leaves.

    Units: eta is dimensionless; eps has the units of p g, weight_decay those of g over those of p.
    Equivalent to: optax's `dowg`.

    Args:
        learning_rate: eta, >= 0, relative to the rate that is learned; number, array, schedule or event schedule.
        init_estim_sq_dist: the first squared distance, > 0; None is eps, which is then no schedule.
        eps: added outside the root, > 0.
        weight_decay: L2 regularisation, finite; None is none.
        {mask}
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        a tuple: of the decay, of `scale_by_dowg` (params0, like params; estim_sq_dist, weighted_sq_norm_grads) and of
        the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit; at update, params missing, or a leaf
            that varies over a manual axis which axis_name does not name.
        TypeError: what the state starts with is a schedule.

    Cost: 1 array per parameter; two passes.

    References:
        Khaled, Mishchenko & Jin 2023, Algorithm 1, https://arxiv.org/abs/2305.16284

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.dowg(), jnp.array([1.0, 2.0, 3.0])
        >>> state = tx.init(params)
        >>> for _ in range(5):
        ...     updates, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, updates)
        >>> round(float(jnp.sum(params**2)), 4)
        13.2688
    """
    decay = identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
    return chain(
        decay, scale_by_dowg(init_estim_sq_dist, eps, axis_name=axis_name), scale_by_learning_rate(learning_rate)
    )
