"""The Euclidean norm of a whole tree, in float32 or wider: for a clip in one pass, and for a person to read."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import INT32_MAX, abs_sq, accumulator, real, root, wider
from gradtx._core.arrays.tree import float_leaves

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
    return jnp.sum(abs_sq(times(g, shrink)))


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


def shrunk_norm(
    leaves: list[jax.Array], bound: jax.Array, square_of: Callable[..., jax.Array] = shrunk_square
) -> jax.Array:
    """Return the norm over `bound` from sums that neither overflow nor vanish: one pass where a scalar is free."""
    shrunk: jax.Array = root(total([square_of(g, SHRINK / bound) for g in leaves], bound.dtype))
    return shrunk * (1.0 / SHRINK)


def plain_norm(leaves: list[jax.Array], bound: jax.Array) -> jax.Array:
    """Return the norm over `bound` from plain sums of squares, and from shrunk ones where those leave float32's range.

    For XLA:CPU and one device: its library for sums squares in one pass, but writes a scalar out, as large as a leaf.
    """
    leaves = merge_small(leaves)
    squared = total([square(g) for g in leaves], bound.dtype)
    exact = (squared > EXACT) & (squared < jnp.inf)
    again = functools.partial(shrunk_norm, square_of=shrunk_square_by_blocks)
    norm: jax.Array = lax.cond(exact, lambda leaves, bound: root(squared) / bound, again, leaves, bound)
    return norm


def norm_over(leaves: list[jax.Array], bound: jax.Array) -> jax.Array:
    """Return the global norm of the leaves over `bound`, in float32 or wider; NaN where the bound is not positive."""
    dtype = functools.reduce(wider, (real(accumulator(g.dtype)) for g in leaves), jnp.float32)
    bound = lax.convert_element_type(jnp.where(bound > 0, bound, jnp.nan), dtype)
    if jax.device_count() > 1 or not jax.sharding.get_abstract_mesh().empty:
        return shrunk_norm(leaves, bound)  # joining and slicing leaves would gather what is sharded
    norm: jax.Array = lax.platform_dependent(leaves, bound, cpu=plain_norm, default=shrunk_norm)
    return norm


def global_norm(updates: Any) -> jax.Array:
    """Measure the Euclidean norm of a whole tree.

    n = sqrt(sum over all leaves of |x|^2), accumulated in float32 or wider and divided by the largest entry first, so
    that it is finite wherever it fits its dtype.

    Units: those of the leaves.
    Differs from: optax's, which sums in the leaves' dtype.

    Args:
        updates: tree of arrays; None leaves count nothing.

    Returns:
        A float32 scalar, float64 where a leaf is; NaN or infinity where the tree holds one.

    Raises:
        TypeError: a leaf is not of a floating or complex dtype.

    Cost: no array; two passes.

    References:
        Pascanu, Mikolov & Bengio 2013, Algorithm 1, https://arxiv.org/abs/1211.5063

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> f"{gradtx.global_norm({'a': jnp.array([3e30, 0.0]), 'b': jnp.array(4e30)}):.4g}"
        '5e+30'
    """
    leaves = [x for x in float_leaves("global_norm", updates, root="updates")[0] if x is not None and x.size]
    dtype = functools.reduce(wider, (real(accumulator(x.dtype)) for x in leaves), jnp.float32)
    largest = functools.reduce(jnp.maximum, (jnp.max(jnp.abs(x)).astype(dtype) for x in leaves), jnp.zeros((), dtype))
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, jnp.ones((), dtype))
    wide = [lax.convert_element_type(x, wider(x.dtype, dtype)) for x in leaves]
    squares = [jnp.sum(abs_sq(x / lax.convert_element_type(unit, x.dtype))).astype(dtype) for x in wide]
    return unit * jnp.sqrt(sum(squares, jnp.zeros((), dtype)))
