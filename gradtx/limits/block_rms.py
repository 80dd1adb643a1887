"""The root mean square or norm of one array: bound an update's by it, or scale an update by its parameter's."""

import math
from types import SimpleNamespace
from typing import Annotated

import jax
import jax.numpy as jnp

from gradtx._core.arrays.axes import AxisName, refuse_shards, size_over
from gradtx._core.arrays.norm import norm_of_leaf
from gradtx.limits.clip import clip_factor
from gradtx.rules import Hyper, NonNegative, Range, Rule, Slots, Transform, factory, leafwise


def root_of_size(x: jax.Array, axis_name: AxisName) -> float:
    """Return the square root of the number of elements, which turns a norm into a root mean square; 1 for none."""
    return math.sqrt(max(size_over(x, axis_name), 1))


@factory
def clip_by_block_rms(threshold: Annotated[Hyper, Range("(0, inf]")], *, axis_name: AxisName = None) -> Transform:
    """Scale each array down where its root mean square exceeds a bound.

    RMS(g) = sqrt(mean |g|^2) over one array, a block; u_t = g_t / max(1, RMS(g_t) / threshold).

    RMS is computed as `clip_by_global_norm` does the norm: it neither overflows nor vanishes in float32. An array with
    a NaN or an infinity becomes NaN as a whole: it is never applied in part.

    Units: those of g; threshold has the units of g.
    Differs from: optax's, which squares in the gradients' dtype, and which turns one infinity into zeros beside a NaN.

    Args:
        threshold: > 0, the largest root mean square that passes; infinity never clips.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the mean is that over all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: threshold <= 0 or NaN; a leaf varies over a manual axis that axis_name does not name.

    Cost: no array; one pass to sum, and one multiplication.

    References:
        Shazeer & Stern 2018, section 6, https://arxiv.org/abs/1804.04235

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.clip_by_block_rms(1.0)
        >>> grads = {"a": jnp.array([3e19, 3e19]), "b": jnp.array([0.5, -0.5])}
        >>> updates, _ = tx.update(grads, tx.init(grads))
        >>> [round(x, 4) for x in updates["a"].tolist()], updates["b"].tolist()
        ([1.0, 1.0], [0.5, -0.5])
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        bound = jnp.asarray(k.threshold * root_of_size(g, axis_name), jnp.finfo(g.dtype).dtype)
        return g * clip_factor([g], bound, axis_name), slots

    rule = Rule(
        "clip_by_block_rms",
        update,
        hyper={"threshold": threshold},
        ranges={"threshold": Range("(0, inf]")},
        check=refuse_shards(axis_name),
        elementwise=False,
        role="limit",
    )
    return leafwise(rule)


@factory
def scale_by_param_block_rms(min_scale: NonNegative = 1e-3, *, axis_name: AxisName = None) -> Transform:
    """Multiply each array by the root mean square of its parameter, so that a step is relative to what it moves.

    RMS(p) = sqrt(mean |p|^2) over one array, a block; u_t = g_t max(RMS(p_{t-1}), min_scale).

    Units: those of g times those of p; min_scale has the units of p.
    Differs from: optax's, which squares in the parameter's dtype.

    Args:
        min_scale: >= 0, the smallest factor; at 0 a parameter of zeros never moves.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the mean is that over all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: min_scale < 0; a leaf varies over a manual axis that axis_name does not name; at update, params
            missing.

    Cost: no array; one pass to sum, and one multiplication.

    References:
        Shazeer & Stern 2018, section 8, https://arxiv.org/abs/1804.04235

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_param_block_rms()
        >>> params = jnp.array([3.0, 4.0, 0.0, 0.0])
        >>> tx.update(jnp.array([1.0, -2.0, 4.0, 0.0]), tx.init(params), params)[0].tolist()
        [2.5, -5.0, 10.0, 0.0]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        norm = norm_of_leaf(p, axis_name)
        rms = norm / jnp.asarray(root_of_size(p, axis_name), norm.dtype)
        return g * jnp.maximum(rms, k.min_scale), slots

    hyper, check = {"min_scale": min_scale}, refuse_shards(axis_name)
    rule = Rule("scale_by_param_block_rms", update, hyper=hyper, needs_params=True, check=check, elementwise=False)
    return leafwise(rule)


@factory
def scale_by_param_block_norm(min_scale: NonNegative = 1e-3, *, axis_name: AxisName = None) -> Transform:
    """Multiply each array by the norm of its parameter, so that a step is relative to what it moves.

    u_t = g_t max(|p_{t-1}|, min_scale), with |p| the Euclidean norm of one array, a block.

    Units: those of g times those of p; min_scale has the units of p.
    Differs from: optax's, which squares in the parameter's dtype.

    Args:
        min_scale: >= 0, the smallest factor; at 0 a parameter of zeros never moves.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: a norm is that of all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: min_scale < 0; a leaf varies over a manual axis that axis_name does not name; at update, params
            missing.

    Cost: no array; one pass to sum, and one multiplication.

    References:
        You et al. 2017, section 4, https://arxiv.org/abs/1708.03888

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_param_block_norm()
        >>> params = jnp.array([3.0, 4.0])
        >>> tx.update(jnp.array([1.0, -2.0]), tx.init(params), params)[0].tolist()
        [5.0, -10.0]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return g * jnp.maximum(norm_of_leaf(p, axis_name), k.min_scale), slots

    hyper, check = {"min_scale": min_scale}, refuse_shards(axis_name)
    rule = Rule("scale_by_param_block_norm", update, hyper=hyper, needs_params=True, check=check, elementwise=False)
    return leafwise(rule)
