"""Norms of output units, and a bound to them: what adaptive gradient clipping is made of."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, split_over
from gradtx._core.arrays.norm import power_of_two
from gradtx._core.arrays.numerics import accumulator, real
from gradtx._core.arrays.tree import float_leaves
from gradtx._core.contract.errors import message
from gradtx.rules import (
    LeafError,
    abs_sq,
    divide,
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
        >>> norms = gradtx.unitwise_norm(jnp.array([[3e19, 0.0], [4e19, 2.0]]))
        >>> [f"{norm:.4g}" for norm in norms[0]]
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
        g_norm: the norm of the unit that each number is in, as `unitwise_norm` gives it.
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
