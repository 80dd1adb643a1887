"""Adaptive gradient clipping: bound the gradient of each output unit by a share of the norm of its weights."""

import functools
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.compat import manual_axes
from gradtx._core.arrays.norm import AxisName, power_of_two, quick_if_exact, refuse_shards, split_over
from gradtx._core.arrays.numerics import accumulator, real
from gradtx._core.arrays.tree import float_leaves
from gradtx._core.contract.errors import message
from gradtx.rules import (
    Hyper,
    LeafError,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    abs_sq,
    divide,
    factory,
    leafwise,
    root,
)

Axis = int | tuple[int, ...] | None
DIMENSIONS = {2: 1, 3: 1, 4: 3, 5: 4}  # number of dimensions of an array: how many of the first belong to one unit


def unit_axes(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return the dimensions over which the norm of a unit is taken.

    Raises:
        LeafError: the shape has no such dimensions.
    """
    if axis is None:
        if sum(n != 1 for n in shape) <= 1:
            return tuple(range(len(shape)))
        if len(shape) not in DIMENSIONS:
            raise LeafError(0, f"has shape {shape}", "at most 5 dimensions", "say which are a unit's by axis=(0, 1)")
        return tuple(range(DIMENSIONS[len(shape)]))
    given = axis if isinstance(axis, tuple) else (axis,)
    axes = {a % len(shape) for a in given if -len(shape) <= a < len(shape)}
    if len(axes) < len(given):
        raise LeafError(0, f"has shape {shape}", f"distinct dimensions {given}", "give an axis that each leaf has")
    return tuple(sorted(axes))


def unit_norms(x: jax.Array, axis: Axis, axis_name: AxisName = None) -> jax.Array:
    """Return the norm of each unit, in the accumulator's dtype and the shape of `x` with 1 where it was summed."""
    axes, over = unit_axes(x.shape, axis), split_over(x, axis_name)
    x = lax.convert_element_type(x, accumulator(x.dtype))
    largest = jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0.0)
    unit, shrink = power_of_two(lax.pmax(largest, over) if over else largest)
    small = x * lax.convert_element_type(shrink, x.dtype)
    if x.size == largest.size:  # as in `shrunk_square`
        small = lax.optimization_barrier(small)
    squares = jnp.sum(abs_sq(small), axis=axes, keepdims=True)
    return unit * root(lax.psum(squares, over) if over else squares)


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


def bounded(norm: jax.Array, weights: jax.Array, clipping: jax.Array, eps: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return what each unit is multiplied by, NaN where its norm is not finite, and the bound of its norm."""
    bound = clipping * jnp.maximum(weights, eps)
    factor = jnp.where(norm <= bound, jnp.ones_like(norm), divide(bound, norm))
    return jnp.where(jnp.isfinite(norm), factor, jnp.nan), bound


def unitwise_norm(x: jax.Array, axis: Axis = None) -> jax.Array:
    """Measure the Euclidean norm of each unit of an array.

    The norm is taken over `axis`, which by default are the dimensions of the inputs of an output unit: all of a scalar
    or a vector (dimensions of 1 aside), the first of 2 or 3, the first three of 4 (kernels of 2-dimensional
    convolutions, height, width, inputs, outputs), the first four of 5.

    Units: those of x.
    Differs from: optax's, which sums in the dtype of x.

    Args:
        x: an array.
        axis: the dimension, or dimensions, that belong to one unit; None takes the default.

    Returns:
        An array of the shape of x, each number the norm of the unit it is in; real, float32 or wider.

    Raises:
        TypeError: x is not of a floating or complex dtype, or axis is no whole number.
        ValueError: x has more than 5 dimensions and axis is None, or has not those of axis.

    Cost: an array as large as x, unless what reads it is compiled with it; two passes.

    References:
        Brock et al. 2021, section 4.1, https://arxiv.org/abs/2102.06171

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> [f"{norm:.4g}" for norm in gradtx.unitwise_norm(jnp.array([[3e19, 0.0], [4e19, 2.0]]))[0]]
        ['5e+19', '2']
    """
    check_axis("unitwise_norm", axis)
    (array,), _, _ = float_leaves("unitwise_norm", x, root="x")
    try:
        return jnp.broadcast_to(unit_norms(array, axis), array.shape)
    except LeafError as error:
        raise error.at("unitwise_norm", "x") from None


def unitwise_clip(g_norm: Any, max_norm: Any, grad: Any, div_eps: Any = 1e-6) -> jax.Array:
    """Scale each unit of a gradient down where its norm is too large.

    u = g where g_norm < max_norm, elsewhere u = g max_norm / max(g_norm, div_eps).

    Units: those of g.
    Equivalent to: optax's `unitwise_clip`.

    Args:
        g_norm: the norm of the unit of each number, as of `unitwise_norm`.
        max_norm: the largest norm that passes, of the same shape.
        grad: the gradient, of the same shape.
        div_eps: the least norm to divide by, >= 0.

    Returns:
        An array of the shape and dtype of grad.

    Raises:
        TypeError: grad is not of a floating or complex dtype.
        ValueError: the shapes differ.

    Cost: one pass.

    References:
        Brock et al. 2021, equation 3, https://arxiv.org/abs/2102.06171

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> g = jnp.array([3.0, 4.0])
        >>> gradtx.unitwise_clip(gradtx.unitwise_norm(g), jnp.full(2, 2.5), g).tolist()
        [1.5, 2.0]
    """
    (g,), _, _ = float_leaves("unitwise_clip", grad, root="grad")
    wide = accumulator(g.dtype)
    norm, bound = (jnp.asarray(x, real(wide)) for x in (g_norm, max_norm))
    for name, x in (("g_norm", norm), ("max_norm", bound)):
        if x.shape != g.shape:
            fix = "broadcast it as unitwise_norm does"
            raise ValueError(message("unitwise_clip", name, f"has shape {x.shape}", f"{g.shape} as grad", fix))
    factor = divide(bound, jnp.maximum(norm, jnp.asarray(div_eps, norm.dtype)))
    clipped = lax.convert_element_type(g, wide) * lax.convert_element_type(factor, wide)
    return jnp.where(norm < bound, g, lax.convert_element_type(clipped, g.dtype))


def check_axis(name: str, axis: Any) -> None:
    """Raise unless `axis` is a whole number, a tuple of them or None."""
    given = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    if not all(isinstance(a, int) and not isinstance(a, bool) for a in given):
        raise TypeError(message(name, f"axis = {axis!r}", "is no dimension", "a whole number or some", "give axis=0"))


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

    Cost: no array; two passes to measure each of g and p, and one to multiply.

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

    def exact(g: jax.Array, p: jax.Array, clipping: jax.Array, eps: jax.Array) -> jax.Array:
        norm, weights = (unit_norms(x, axis, axis_name) for x in (g, p))
        return bounded(norm, weights, clipping, eps)[0]

    quick = functools.partial(unit_factors, axis)

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        clipping, eps = (jnp.asarray(x, g.real.dtype) for x in (k.clipping, k.eps))
        factor = quick_if_exact(quick, exact, g, p, clipping, eps) if not axis_name else exact(g, p, clipping, eps)
        return g * factor, slots

    hyper, ranges = {"clipping": clipping, "eps": eps}, {"clipping": Range("[0, inf]")}
    rule = Rule(
        "adaptive_grad_clip",
        update,
        hyper=hyper,
        ranges=ranges,
        needs_params=True,
        check=check,
        elementwise=False,
        role="limit",
    )
    return leafwise(rule)
