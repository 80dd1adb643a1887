"""Clip the gradient of each example before they are summed, as differentially private training does."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.ranges import check_value
from gradtx._core.arrays.axes import AxisName, split_over
from gradtx._core.arrays.norm import scaled_norm
from gradtx._core.arrays.numerics import accumulator
from gradtx._core.arrays.tree import float_leaves, has_gradient
from gradtx._core.contract.errors import message, paths
from gradtx.rules import Range, divide

Found = tuple[list[Any], Any, list[int]]


def leaves_of_examples(name: str, grads: Any) -> Found:
    """Return the leaves of a tree, its structure, and the places of the leaves that have a gradient.

    Raises:
        TypeError: a leaf is not of a floating or complex dtype.
        ValueError: a leaf has not the leading dimension of the first one; the error names its path.
    """
    leaves, treedef, _ = float_leaves(name, grads)
    places = [i for i, g in enumerate(leaves) if has_gradient(g)]
    for i in places:
        first = leaves[places[0]].shape[:1]
        if leaves[i].ndim == 0 or leaves[i].shape[:1] != first:
            got, expected = f"has shape {leaves[i].shape}", "the number of examples as first dimension of every leaf"
            fix = "give what jax.vmap(jax.grad(loss), (None, 0)) gives for a batch"
            raise ValueError(message(name, paths("grads", grads)[i], got, expected, fix))
    return leaves, treedef, places


def clipped_sum(leaves: list[jax.Array], bound: Any, axis_name: AxisName) -> tuple[list[jax.Array], jax.Array]:
    """Return the sum over the examples of each leaf, and the number of examples that were clipped."""
    norms = jax.vmap(lambda one: scaled_norm(one, axis_name))(leaves)
    bound = jnp.asarray(bound, norms.dtype)
    factors = jnp.where(jnp.isfinite(norms), divide(jnp.minimum(norms, bound), norms), jnp.nan)

    def weighted(g: jax.Array) -> jax.Array:
        wide = accumulator(g.dtype)
        factor, x = (lax.convert_element_type(y, wide) for y in (factors, g))
        return lax.convert_element_type(jnp.tensordot(factor, x, 1, precision=lax.Precision.HIGHEST), g.dtype)

    return [weighted(g) for g in leaves], jnp.sum(norms > bound, dtype=jnp.int32)


def per_example_global_norm_clip(grads: Any, l2_norm_clip: Any, *, axis_name: AxisName = None) -> tuple[Any, jax.Array]:
    """Scale the gradient of each example down where its global norm exceeds a bound, and sum them.

    s = sum over i of g_i min(1, l2_norm_clip / |g_i|), with g_i the gradient of example i and |g_i| its norm over all
    leaves. Norms and sums are taken in float32 or wider, and rounded once. An example with a NaN or an infinity makes
    every sum NaN: it is never applied in part.

    Units: those of g.
    Differs from: optax's, which sums in the dtype of the gradients, and where only the numbers beside an infinity
    become NaN.

    Args:
        grads: tree of gradients, the first dimension of each leaf that of the examples; None leaves count nothing.
        l2_norm_clip: >= 0, the largest norm that passes; infinity never clips.
        axis_name: the mesh axis, or axes, over which the PARAMETERS are split inside `shard_map`: a norm is that of all
            shards together. The sums are those of the examples of each shard; sum them over the axis of the examples.

    Returns:
        The sums, a tree like the gradients without their first dimension, and the number of examples that were clipped,
        int32.

    Raises:
        ValueError: l2_norm_clip < 0 or NaN; a leaf without the leading dimension of the others.
        TypeError: a leaf is not of a floating or complex dtype, or l2_norm_clip is no number.

    Cost: no array as large as grads; two passes to measure, and one to sum.

    References:
        Abadi et al. 2016, Algorithm 1, https://arxiv.org/abs/1607.00133

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> grads = jnp.array([[0.0, 0, 0], [0, 3, 4], [4, 0, 3], [0.3, 0.4, 0]])
        >>> total, clipped = gradtx.per_example_global_norm_clip(grads, 1.0)
        >>> [round(x, 4) for x in total.tolist()], int(clipped)
        ([1.1, 1.0, 1.4], 2)
    """
    name = "per_example_global_norm_clip"
    check_value(name, "l2_norm_clip", l2_norm_clip, Range("[0, inf]"))
    leaves, treedef, places = leaves_of_examples(name, grads)
    if not places:
        return grads, jnp.zeros((), jnp.int32)
    sums, clipped = clipped_sum([leaves[i] for i in places], l2_norm_clip, axis_name)
    for i, total in zip(places, sums, strict=True):
        leaves[i] = total
    return treedef.unflatten(leaves), clipped


def per_example_layer_norm_clip(
    grads: Any, global_l2_norm_clip: Any, uniform: bool = True, *, axis_name: AxisName = None
) -> tuple[Any, Any]:
    """Scale each leaf of the gradient of each example down where its norm exceeds a bound, and sum them.

    s = sum over i of g_i min(1, c / |g_i|), with g_i the gradient of example i at a leaf; c = global_l2_norm_clip
    sqrt(1 / number of leaves), or without `uniform` global_l2_norm_clip sqrt(size of the leaf / size of the tree). The
    norm over all leaves is then at most global_l2_norm_clip. Norms and sums are taken as in
    `per_example_global_norm_clip`.

    Units: those of g.
    Differs from: optax's, which sums in the dtype of the gradients.

    Args:
        grads: tree of gradients, the first dimension of each leaf that of the examples; None leaves count nothing.
        global_l2_norm_clip: >= 0, the bound of the norm over all leaves; infinity never clips.
        uniform: whether every leaf has the same bound; otherwise a leaf has a larger one where it is larger.
        axis_name: the mesh axis, or axes, over which the parameters are split inside `shard_map`; None is no axis.

    Returns:
        The sums, a tree like the gradients without their first dimension, and a tree of the numbers of examples that
        were clipped at each leaf, int32.

    Raises:
        ValueError: global_l2_norm_clip < 0 or NaN; a leaf without the leading dimension of the others.
        TypeError: a leaf is not of a floating or complex dtype, or global_l2_norm_clip is no number.

    Cost: no array as large as grads; two passes to measure, and one to sum.

    References:
        McMahan et al. 2018, section 3, https://arxiv.org/abs/1710.06963

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> grads = {"w": jnp.array([[3.0, 4.0], [0.0, 1.0]]), "b": jnp.array([2.0, -8.0])}
        >>> total, clipped = gradtx.per_example_layer_norm_clip(grads, 2.0 * 2**0.5)
        >>> [round(x, 4) for x in total["w"].tolist()], round(total["b"].item(), 4)
        ([1.2, 2.6], 0.0)
        >>> clipped["w"].item(), clipped["b"].item()
        (1, 1)
    """
    name = "per_example_layer_norm_clip"
    check_value(name, "global_l2_norm_clip", global_l2_norm_clip, Range("[0, inf]"))
    leaves, treedef, places = leaves_of_examples(name, grads)
    sizes = {i: math.prod(leaves[i].shape[1:]) * parts(leaves[i], axis_name) for i in places}
    numbers = list(leaves)
    for i, size in sizes.items():
        share = 1.0 / len(sizes) if uniform else size / max(sum(sizes.values()), 1)
        (leaves[i],), numbers[i] = clipped_sum([leaves[i]], global_l2_norm_clip * math.sqrt(share), axis_name)
    return treedef.unflatten(leaves), treedef.unflatten(numbers)


def parts(x: jax.Array, axis_name: AxisName) -> int:
    """Return into how many shards a leaf is split over the named axes."""
    return math.prod(lax.axis_size(axis) for axis in split_over(x, axis_name))
