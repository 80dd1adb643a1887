"""The Euclidean norm of a whole tree, in float32 or wider: for a clip in one pass, and for a person to read."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, check_axes, split_over, summed_over
from gradtx._core.arrays.numerics import INT32_MAX, abs_sq, accumulator, real, root, wider
from gradtx._core.arrays.tree import float_leaves, has_gradient
from gradtx._core.arrays.turns import on_one_device
from gradtx._core.contract.errors import LeafError, paths

SHRINK = 2.0**-40  # squares of gradients from 1e-7 to 1e31 times the bound stay inside float32; a power of two is exact
EXACT = 2.0**-60  # a plain sum of squares above it has lost no digit to squares too small for float32
BLOCK = 1024
SMALL = 64 * BLOCK


@jax.jit
def times(g: jax.Array, factor: jax.Array) -> jax.Array:
    """Return g factor in the accumulator's dtype; multiplying by one scalar fuses into whatever reads it."""
    wide = lax.convert_element_type(g, accumulator(g.dtype))
    return wide * lax.convert_element_type(factor, wide.dtype)


@jax.jit
def square(g: jax.Array) -> jax.Array:
    """Return the sum of |g|^2 in the accumulator's dtype; one function, traced once per leaf shape."""
    # without the barrier XLA:CPU keeps a widened copy of g for the pass that follows
    return jnp.sum(abs_sq(lax.convert_element_type(lax.optimization_barrier(g), accumulator(g.dtype))))


@jax.jit
def shrunk_square(g: jax.Array, shrink: jax.Array) -> jax.Array:
    """Return the sum of |g shrink|^2 in the accumulator's dtype."""
    small = times(g, shrink)
    if g.size == 1:  # XLA makes g^2 shrink^2 of a product of two scalars, whose first factor overflows
        small = lax.optimization_barrier(small)
    return jnp.sum(abs_sq(small))


@jax.jit
def shrunk_square_by_blocks(g: jax.Array, shrink: jax.Array) -> jax.Array:
    """Return the sum of |g shrink|^2 in blocks, since XLA:CPU's sum writes the scalar out, as large as a leaf."""
    wide = accumulator(g.dtype) == g.dtype  # XLA:CPU widens half precision whole before it takes a slice
    if not (wide and SMALL < g.size < INT32_MAX):
        whole: jax.Array = shrunk_square(g, shrink)
        return whole
    flat = g.reshape(-1)

    def add(i: jax.Array, sums: jax.Array) -> jax.Array:
        i = lax.convert_element_type(i, jnp.int32)
        start = jnp.minimum(i * BLOCK, flat.size - BLOCK)
        new = start + jnp.arange(BLOCK, dtype=jnp.int32) >= i * BLOCK  # the last block overlaps the one before
        return sums + jnp.where(new, abs_sq(times(lax.dynamic_slice(flat, (start,), (BLOCK,)), shrink)), 0.0)

    return jnp.sum(lax.fori_loop(0, -(-flat.size // BLOCK), add, jnp.zeros(BLOCK, real(g.dtype))))


def merge_small(leaves: list[jax.Array]) -> list[jax.Array]:
    """Return the leaves, the small ones of each dtype as one array: a sum for each would cost more than the copy."""
    small: dict[Any, list[jax.Array]] = {}
    for g in leaves:
        if g.size <= SMALL:
            small.setdefault(g.dtype, []).append(g.reshape(-1))
    return [g for g in leaves if g.size > SMALL] + [jnp.concatenate(parts) for parts in small.values()]


def total(squares: list[jax.Array], dtype: Any) -> jax.Array:
    """Return the sum of the leaves' sums of squares."""
    return sum((lax.convert_element_type(s, dtype) for s in squares), jnp.zeros((), dtype))


def is_one_small(leaves: list[jax.Array]) -> bool:
    """Return True of one small leaf alone, for which a branch would cost more than a pass over it."""
    return len(leaves) == 1 and leaves[0].size <= SMALL


def is_exact(squared: jax.Array) -> jax.Array:
    """Return True if no square that counts in this sum of squares has overflowed or vanished."""
    return (squared > EXACT) & (squared < jnp.inf)


def shrunk_norm(
    leaves: list[jax.Array],
    bound: jax.Array,
    square_of: Callable[..., jax.Array] = shrunk_square,
    axis_name: AxisName = None,
) -> jax.Array:
    """Return the norm over `bound` from sums that neither overflow nor vanish: one pass where a scalar is free."""
    squares = summed_over([square_of(g, SHRINK / bound) for g in leaves], leaves, axis_name)
    shrunk: jax.Array = root(total(squares, bound.dtype))
    return shrunk * (1.0 / SHRINK)


def plain_norm(leaves: list[jax.Array], bound: jax.Array) -> jax.Array:
    """Return the norm over `bound` from plain sums of squares, and from shrunk ones where those leave float32's range.

    For XLA:CPU and one device: its library for sums squares in one pass, but writes a scalar out, as large as a leaf.
    """
    leaves = merge_small(leaves)
    squared = total([square(g) for g in leaves], bound.dtype)
    exact = is_exact(squared)
    again = functools.partial(shrunk_norm, square_of=shrunk_square_by_blocks)
    norm: jax.Array = lax.cond(exact, lambda leaves, bound: root(squared) / bound, again, leaves, bound)
    return norm


def quick_if_exact(quick: Callable[..., Any], exact: Callable[..., Any], *arrays: jax.Array) -> Any:
    """Return `exact(*arrays)`; on one CPU device what `quick(*arrays)` found, if it says that this is the same.

    Args:
        quick: returns a value and whether it is the one of `exact`.
        exact: what takes a pass more, or writes an array, to keep sums within their range.
        arrays: what both read.
    """

    def on_cpu(*arrays: jax.Array) -> Any:
        value, same = quick(*arrays)
        return lax.cond(same, lambda *arrays: value, exact, *arrays)

    return lax.platform_dependent(*arrays, cpu=on_cpu, default=exact) if on_one_device() else exact(*arrays)


def norm_over(leaves: list[jax.Array], bound: jax.Array, axis_name: AxisName = None) -> jax.Array:
    """Return the global norm of the leaves over `bound`, in float32 or wider; NaN where the bound is not positive."""
    dtype = functools.reduce(wider, (real(accumulator(g.dtype)) for g in leaves), jnp.float32)
    bound = lax.convert_element_type(jnp.where(bound > 0, bound, jnp.nan), dtype)
    if axis_name is not None:
        return shrunk_norm(leaves, bound, axis_name=axis_name)
    if not on_one_device() or is_one_small(leaves):
        return shrunk_norm(leaves, bound)  # joining and slicing leaves would gather what is sharded
    norm: jax.Array = lax.platform_dependent(leaves, bound, cpu=plain_norm, default=shrunk_norm)
    return norm


def power_of_two(largest: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return a power of two near each number >= 0, and its inverse, both of them normal numbers and constants.

    From the bits of its exponent, since XLA:CPU takes a loop of its own for a division.
    """
    dtype = largest.dtype
    integer = {4: jnp.int32, 8: jnp.int64}[dtype.itemsize]
    most = 2.0 ** (jnp.finfo(dtype).maxexp - 2)
    one, infinity = (lax.bitcast_convert_type(jnp.asarray(x, dtype), integer) for x in (1.0, jnp.inf))
    near = lax.clamp(jnp.asarray(1 / most, dtype), lax.stop_gradient(largest), jnp.asarray(most, dtype))
    exponent = lax.bitcast_convert_type(near, integer) & infinity
    unit, inverse = (lax.bitcast_convert_type(bits, dtype) for bits in (exponent, one + one - exponent))
    return unit, inverse


def scaled_norm(leaves: list[jax.Array], axis_name: AxisName = None) -> jax.Array:
    """Return the global norm of the leaves, each over a power of two near the largest entry of all: two passes."""
    dtype = functools.reduce(wider, (real(accumulator(x.dtype)) for x in leaves), jnp.float32)
    largest = functools.reduce(
        jnp.maximum, (jnp.max(jnp.abs(x), initial=0.0).astype(dtype) for x in leaves), jnp.zeros((), dtype)
    )
    over = tuple(sorted({axis for x in leaves for axis in split_over(x, axis_name)}))
    largest = lax.pmax(largest, over) if over else largest
    unit, shrink = power_of_two(largest)
    wide = [lax.convert_element_type(x, wider(x.dtype, dtype)) for x in leaves]
    squares = summed_over([shrunk_square(x, shrink) for x in wide], leaves, axis_name)
    scaled: jax.Array = root(total(squares, dtype))
    return unit * scaled


def norm_of(leaves: list[jax.Array], axis_name: AxisName = None) -> jax.Array:
    """Return the global norm of the leaves in float32 or wider, finite wherever it fits; its derivative is 0 at 0.

    One pass, and two more where the squares leave the range of their dtype.
    """
    if axis_name is None and on_one_device():
        leaves = merge_small(leaves)
    dtype = functools.reduce(wider, (real(accumulator(x.dtype)) for x in leaves), jnp.float32)
    squared = total(summed_over([square(x) for x in leaves], leaves, axis_name), dtype)
    plain, scaled = lambda leaves: root(squared), lambda leaves: scaled_norm(leaves, axis_name)
    norm: jax.Array = lax.cond(is_exact(squared), plain, scaled, leaves)
    return norm


def norm_of_leaf(x: jax.Array, axis_name: AxisName = None) -> jax.Array:
    """Return what `norm_of` does of one leaf among many.

    Two passes over few numbers on one device: XLA:CPU runs the loops of many leaves side by side, but those around a
    branch one after another.
    """
    small = axis_name is None and on_one_device() and is_one_small([x])
    return scaled_norm([x]) if small else norm_of([x], axis_name)


def global_norm(updates: Any, *, axis_name: AxisName = None) -> jax.Array:
    """Measure the Euclidean norm of a whole tree.

    n = sqrt(sum over all leaves of |x|^2), accumulated in float32 or wider over a power of two near the largest entry,
    so that it is finite wherever it fits its dtype.

    Units: those of the leaves.
    Differs from: optax's, which sums in the leaves' dtype.

    Args:
        updates: tree of arrays; None leaves count nothing.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    Returns:
        A float32 scalar, float64 where a leaf is; NaN or infinity where the tree holds one.

    Raises:
        TypeError: a leaf is not of a floating or complex dtype.
        ValueError: a leaf varies over a manual axis that axis_name does not name.

    Cost: no array; two passes.

    References:
        Pascanu, Mikolov & Bengio 2013, Algorithm 1, https://arxiv.org/abs/1211.5063

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> f"{gradtx.global_norm({'a': jnp.array([3e30, 0.0]), 'b': jnp.array(4e30)}):.4g}"
        '5e+30'
    """
    found = [(i, x) for i, x in enumerate(float_leaves("global_norm", updates, root="updates")[0]) if has_gradient(x)]
    try:
        check_axes([x for _, x in found], axis_name)
    except LeafError as error:
        raise error.at("global_norm", paths("updates", updates)[found[error.index][0]]) from None
    return scaled_norm([x for _, x in found], axis_name)
