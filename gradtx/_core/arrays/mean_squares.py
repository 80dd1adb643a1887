"""Means of squares along two axes of one array: the rows and columns of a factored sigma, in any range of float32."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.norm import SMALL
from gradtx._core.arrays.numerics import abs_sq, held


def mean(x: jax.Array, axis: int, *, keepdims: bool = False) -> jax.Array:
    """Return the mean along an axis, 0 of nothing; divided before it is summed, since a sum of squares may overflow."""
    return jnp.sum(x * (1.0 / max(x.shape[axis], 1)), axis, keepdims=keepdims)


def held_means(x: jax.Array, axes: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Return the means of |x|^2 along two axes, each square held before it is summed."""
    squared = held(abs_sq(x))
    return mean(squared, axes[0]), mean(squared, axes[1])


def held_means_by_slices(x: jax.Array, axes: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Return what `held_means` does from one slice after another, so that no array as large as the leaf is stored."""
    lead, other = sorted(axes)
    share = 1.0 / x.shape[lead]

    def add(i: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        squared = held(abs_sq(lax.dynamic_index_in_dim(x, i, lead, keepdims=False)))
        own = mean(squared, other - 1)
        return lax.dynamic_update_index_in_dim(sums[0], own, i, lead), sums[1] + share * squared

    start = [jnp.sum(jnp.zeros_like(x.real), axis) for axis in (other, lead)]
    along_other, along_lead = lax.fori_loop(0, x.shape[lead], add, tuple(start))
    return (along_lead, along_other) if axes[0] == lead else (along_other, along_lead)


def plain_means(x: jax.Array, axes: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Return what `held_means` does from plain sums of squares, and by slices where those would overflow.

    For XLA:CPU, which sums squares without storing them, but stores what is more than a square.
    """
    # apart from the other, or XLA would store the squares for both
    sums = jnp.sum(abs_sq(x), axes[0]), jnp.sum(abs_sq(lax.optimization_barrier(x)), axes[1])
    most = functools.reduce(jnp.maximum, map(jnp.max, sums))
    first, second = (1.0 / x.shape[axis] for axis in axes)
    fits = most < float(jnp.finfo(most.dtype).max) / 4
    by_slices = functools.partial(held_means_by_slices, axes=axes)
    means: tuple[jax.Array, jax.Array] = lax.cond(fits, lambda _: (sums[0] * first, sums[1] * second), by_slices, x)
    return means


def mean_squares(x: jax.Array, axes: tuple[int, int]) -> tuple[jax.Array, jax.Array]:
    """Return the means of |x|^2 along two axes."""
    cpu, default = (functools.partial(form, axes=axes) for form in (plain_means, held_means))
    if x.size <= SMALL:  # what a branch costs is more than the squares of so few, stored
        return held_means(x, axes)
    means: tuple[jax.Array, jax.Array] = lax.platform_dependent(x, cpu=cpu, default=default)
    return means
