"""Adaptive gradient clipping: bound the gradient of each output unit by a share of the norm of its weights."""

import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, refuse_shards
from gradtx._core.arrays.compat import manual_axes
from gradtx._core.arrays.norm import SMALL, quick_if_exact
from gradtx._core.arrays.numerics import accumulator, scalar_dtype, wider
from gradtx._core.arrays.turns import on_one_device
from gradtx.limits.unit_norms import Axis, bounded, check_axis, unit_axes, unit_norms
from gradtx.rules import (
    Hyper,
    LeafError,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    abs_sq,
    factory,
    leafwise,
    root,
)


def unit_factors(axis: Axis, g: jax.Array, p: jax.Array, clipping: jax.Array, eps: jax.Array) -> Any:
    """Return what plain sums of squares scale each unit by, and whether none that counts left its range.

    Of a norm below `least` digits may be lost, which counts only where it could exceed its bound, or be one.
    """
    axes = unit_axes(g.shape, axis)
    squares = [jnp.sum(abs_sq(x), axis=axes, keepdims=True) for x in (g, p)]
    norm, weights = (root(x) for x in squares)
    factor, bound = bounded(norm, weights, clipping, eps)
    info = jnp.finfo(norm.dtype)
    least = float(info.tiny / info.eps * max(g.size // max(norm.size, 1), 1)) ** 0.5
    large = jnp.max(jnp.maximum(*squares), initial=0.0) < jnp.inf
    small = jnp.maximum(jnp.min(weights, initial=jnp.inf), eps) > least
    return factor, large & small & (jnp.min(jnp.maximum(norm, bound), initial=jnp.inf) > least)


def exact_factors(
    axis: Axis, axis_name: AxisName, g: jax.Array, p: jax.Array, clipping: jax.Array, eps: jax.Array
) -> jax.Array:
    """Return what each unit is scaled by, from sums that neither overflow nor vanish."""
    norm, weights = (unit_norms(x, axis, axis_name) for x in (g, p))
    return bounded(norm, weights, clipping, eps)[0]


def factors(
    axis: Axis,
    axis_name: AxisName,
    alone: bool,
    gs: list[jax.Array],
    ps: list[jax.Array],
    clipping: jax.Array,
    eps: jax.Array,
) -> list[jax.Array]:
    """Return what each unit of leaves of one shape is scaled by; of small ones on one device, all at once.

    A small leaf takes two passes, since XLA:CPU runs the loops around a branch one after another; but not where it is
    alone.
    """
    dtype = wider(accumulator(gs[0].dtype), accumulator(ps[0].dtype))
    gs, ps = ([lax.convert_element_type(x, wider(x.dtype, dtype)) for x in xs] for xs in (gs, ps))
    bound = [lax.convert_element_type(x, jnp.finfo(dtype).dtype) for x in (clipping, eps)]
    exact = functools.partial(exact_factors, axis, axis_name)
    if len(gs) > 1:
        return list(jax.vmap(exact, (0, 0, None, None))(jnp.stack(gs), jnp.stack(ps), *bound))
    quick = functools.partial(unit_factors, axis)
    branches = axis_name is None and (alone or gs[0].size > SMALL)
    return [quick_if_exact(quick, exact, gs[0], ps[0], *bound) if branches else exact(gs[0], ps[0], *bound)]


@factory
def adaptive_grad_clip(
    clipping: Annotated[Hyper, Range("[0, inf]")],
    eps: NonNegative = 1e-3,
    axis: Axis = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Scale the gradient of each unit down where it exceeds a share of the norm of the unit's weights.

    with |x| the norm of a unit, see `unitwise_norm`, and b_t = clipping max(|p_t|, eps): u_t = g_t min(1, b_t / |g_t|)
    for each unit.

    The norms are summed in float32 or wider and neither overflow nor vanish. A unit with a NaN or an infinity becomes
    NaN as a whole: it is never applied in part.

    Units: those of g, whose numbers are compared with those of p; eps has the units of p.
    Equivalent to: the paper's equation 3.
    Differs from: optax's, which sums in the dtypes of g and p, and whose clipped units are shorter where |g_t| < 1e-6.

    Args:
        clipping: >= 0, the share that passes, 0.01 to 0.16 in the paper; infinity never clips.
        eps: >= 0, the least norm that weights count with, so that weights of 0 can move.
        axis: the dimension, or dimensions, that belong to one unit, in every leaf; None is the default of
            `unitwise_norm`.
        axis_name: the mesh axis, or axes, over which units are split inside `shard_map`; () where each shard holds
            whole units. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf that has no such units, or that varies over a manual
            axis that axis_name does not name; at update, params missing.
        TypeError: axis is no whole number.

    Cost: no array; two passes to measure each of g and p, and one to multiply. On one device leaves of one
        shape with up to 65,536 numbers are copied and measured together.

    References:
        Brock et al. 2021, equation 3, https://arxiv.org/abs/2102.06171

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.adaptive_grad_clip(0.1)
        >>> params = jnp.array([[6.0, 1.0], [8.0, 0.0]])
        >>> updates, _ = tx.update(jnp.array([[3.0, 0.05], [4.0, 0.0]]), tx.init(params), params)
        >>> [[round(u, 4) for u in row] for row in updates.tolist()]
        [[0.6, 0.05], [0.8, 0.0]]
    """
    check_axis("adaptive_grad_clip", axis)
    refuse = refuse_shards(axis_name)

    def check(x: jax.Array) -> None:
        refuse(x)
        unit_axes(x.shape, axis)
        if axis is None and x.ndim > 1 and 1 in x.shape and manual_axes(x):
            got, fix = f"has shape {x.shape} on each shard", "say which dimensions are a unit's by axis=0"
            raise LeafError(0, got, "no dimension of 1, which the whole leaf may not have", fix)

    # traced once for leaves of one shape
    of_alike = jax.jit(functools.partial(factors, axis, axis_name), static_argnums=0)

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        alike: dict[Any, list[int]] = {}
        for i, (g, p) in enumerate(zip(tree.grads, tree.params, strict=True)):
            joins = g.size <= SMALL and axis_name is None and on_one_device()
            alike.setdefault((g.shape, g.dtype, p.dtype) if joins else i, []).append(i)
        bound = [jnp.asarray(x, scalar_dtype()) for x in (k.clipping, k.eps)]
        found: dict[int, jax.Array] = {}
        for places in alike.values():
            own = ([xs[i] for i in places] for xs in (tree.grads, tree.params))
            found |= zip(places, of_alike(len(tree.grads) == 1, *own, *bound), strict=True)
        return {"factor": [found[i] for i in range(len(tree.grads))]}, {}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * k.factor, slots

    hyper, ranges = {"clipping": clipping, "eps": eps}, {"clipping": Range("[0, inf]")}
    rule = Rule(
        "adaptive_grad_clip",
        update,
        hyper=hyper,
        ranges=ranges,
        needs_params=True,
        whole_tree=whole_tree,
        check=check,
        role="limit",
    )
    return leafwise(rule)
