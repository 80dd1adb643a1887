"""Layer-wise DoG: a rate for each array, the distance it has moved over the norm of all its gradients."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, refuse_shards, summed_over
from gradtx._core.arrays.norm import norm_of_leaf
from gradtx.rules import (
    Finite,
    NonNegative,
    Positive,
    Rule,
    Slots,
    Transform,
    abs_sq,
    divide,
    factory,
    held,
    leafwise,
    one_number,
    root,
    zeros,
)


@factory
def scale_by_distance_over_gradients(
    reps_rel: Positive = 1e-6,
    eps: NonNegative = 1e-8,
    param_dtype: DTypeLike | None = jnp.float32,
    global_scale: Finite = 1.0,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Scale each array by how far it has moved over the root of the sum of its squared gradients.

    for each array d_t = max(d_{t-1}, |p_t - p_1|), d_0 = reps_rel (1 + |p_1|); s_t = s_{t-1} + |g_t|^2, s_0 = 0;
    u_t = global_scale g_t d_t / sqrt(s_t + eps), 0 where the root is 0. p_1 is the parameter at `init`.

    The root of s is what is kept: s itself would leave the range of float32 at gradients of 1e19. The authors recommend
    an average of the parameters beside it.

    Units: those of p (invariant to g -> c g when eps = 0); eps has the units of g^2.
    Equivalent to: optax's `scale_by_distance_over_gradients`, where a leaf has at least one dimension.

    Args:
        reps_rel: > 0, the first distance over 1 + |p_1|; 1e-4 is recommended with batch normalisation. The state starts
            with it: of a schedule, its value at count 0.
        eps: added inside the root, >= 0.
        param_dtype: dtype the first parameters are stored in; None is the parameter's, float32 or wider.
        global_scale: finite, multiplies every update; -1 descends.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: a norm is that of all
            shards together. None is no axis.

    State:
        init_params: p_1, like params, in param_dtype.
        max_dist, grad_norm: d and sqrt(s), a number for each array.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf varies over a manual axis that axis_name does not name;
            at update, params missing.

    Cost: 1 array per parameter; one pass, and two to sum |p - p_1|^2 and |g|^2.

    References:
        Ivgi, Hinder & Carmon 2023, equations 1 and 2 and section 3.3 (L-DoG), https://arxiv.org/abs/2302.12022

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_distance_over_gradients(reps_rel=0.1, eps=0.0, global_scale=-1.0)
        >>> params = jnp.array([3.0, 4.0])
        >>> state = tx.init(params)
        >>> updates, state = tx.update(jnp.array([0.0, 2e19]), state, params)
        >>> params = gradtx.apply_updates(params, updates)
        >>> updates, state = tx.update(jnp.array([2e19, 0.0]), state, params)
        >>> [round(u, 4) for u in updates.tolist()], round(state.max_dist.item(), 4)
        ([-0.4243, -0.0], 0.6)
    """

    def init(p: jax.Array) -> Slots:
        # a sum is an array of its own: the state may be donated beside the params
        empty = zeros(p, param_dtype)
        size = norm_of_leaf(p, axis_name)
        first = jnp.asarray(read(reps_rel, 0), size.dtype)
        return {
            "init_params": empty + lax.convert_element_type(p, empty.dtype),
            "max_dist": first * (1.0 + size),
            "grad_norm": one_number(p, by_device=axis_name == ()),
        }

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del count
        return {"least": root(jnp.asarray(k.eps))}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        # in one pass without an array between: what a plain sum of squares loses, the first distance exceeds
        (squared,) = summed_over([jnp.sum(abs_sq(p - slots["init_params"]))], [p], axis_name)
        moved = jnp.maximum(slots["max_dist"], root(squared))
        norm = held(jnp.hypot(slots["grad_norm"], norm_of_leaf(g, axis_name)))
        rate = k.global_scale * divide(moved, jnp.hypot(norm, k.least))
        return g * rate, {"init_params": slots["init_params"], "max_dist": moved, "grad_norm": norm}

    rule = Rule(
        "scale_by_distance_over_gradients",
        update,
        init,
        ("init_params", "max_dist", "grad_norm"),
        {"eps": eps, "global_scale": global_scale},
        scalars=scalars,
        needs_params=True,
        check=refuse_shards(axis_name),
        elementwise=False,
    )
    return leafwise(rule)
