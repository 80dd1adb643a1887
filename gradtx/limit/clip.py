"""Bound the whole gradient: scale it down where its global norm is too large."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.core.hyperparams import Hyper, number_or_array
from gradtx.core.numerics import abs_sq, accumulator, increment, real, scalar_dtype, wider
from gradtx.core.rule import LeafState
from gradtx.core.transform import Transform, factory
from gradtx.core.tree import check_slots, float_leaves

SHRINK = 2.0**-40  # squares of gradients from 1e-7 to 1e31 times max_norm stay inside float32; a power of two is exact


@jax.jit
def shrunk_square(g: jax.Array, shrink: jax.Array) -> jax.Array:
    """Return the sum of |g shrink|^2 in the accumulator's dtype; one function, traced once per leaf shape."""
    wide = lax.convert_element_type(g, accumulator(g.dtype))
    return jnp.sum(abs_sq(wide * lax.convert_element_type(shrink, real(wide.dtype))))


@jax.jit
def times(g: jax.Array, factor: jax.Array) -> jax.Array:
    """Return g factor in the accumulator's dtype; multiplying by one scalar fuses into whatever reads it."""
    wide = lax.convert_element_type(g, accumulator(g.dtype))
    return wide * lax.convert_element_type(factor, real(wide.dtype))


@factory
def clip_by_global_norm(max_norm: Hyper) -> Transform:
    """Scale all gradients down together where their global norm exceeds a bound.

    n_t = sqrt(sum over all leaves of |g_t|^2); u_t = g_t min(1, max_norm / n_t).

    n_t is accumulated in float32 or wider in one pass, as sum |g 2^-40 / max_norm|^2: it neither overflows nor
    vanishes for gradients from 1e-7 to 1e31 times max_norm. A gradient with a NaN or an infinity makes every update
    NaN: such a step is never applied in part.

    Units: those of g; max_norm has the units of g.
    Differs from: optax's, whose norm is taken in the gradients' dtype, and which turns one infinity into zeros beside
    a NaN.

    Args:
        max_norm: > 0, the largest norm that passes; infinity never clips.

    State:
        no slots; the count alone.

    Raises:
        ValueError: max_norm <= 0 or NaN.

    Cost: no array; one pass to sum, and one multiplication fused into the next transform.

    References:
        Pascanu, Mikolov & Bengio 2013, Algorithm 1, https://arxiv.org/abs/1211.5063

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.clip_by_global_norm(1.0)
        >>> grads = {"a": jnp.array(3e19), "b": jnp.array(4e19)}
        >>> updates, _ = tx.update(grads, tx.init(grads))
        >>> round(updates["a"].item(), 4), round(updates["b"].item(), 4)
        (0.6, 0.8)
    """

    @jax.jit
    def clock(count: jax.Array) -> tuple[jax.Array, jax.Array]:
        bound = jnp.asarray(number_or_array(max_norm, count, where="clip_by_global_norm: max_norm"), scalar_dtype())
        return SHRINK / bound, increment(count)

    @jax.jit
    def clip_factor(squares: list[jax.Array]) -> jax.Array:
        dtype = functools.reduce(wider, (s.dtype for s in squares), jnp.float32)
        norm = jnp.sqrt(sum((lax.convert_element_type(s, dtype) for s in squares), jnp.zeros((), dtype)))
        return jnp.where(jnp.isfinite(norm), SHRINK / jnp.maximum(norm, SHRINK), jnp.nan)

    def init(params: Any) -> LeafState:
        float_leaves("clip_by_global_norm", params, root="params")
        return LeafState(jnp.zeros((), jnp.int32), {})

    def update(grads: Any, state: LeafState, params: Any = None, **extra: Any) -> tuple[Any, LeafState]:
        del extra
        leaves, treedef, _ = float_leaves("clip_by_global_norm", grads, params)
        check_slots("clip_by_global_norm", state, LeafState, [])
        shrink, count = clock(state.count)
        factor = clip_factor([shrunk_square(g, shrink) for g in leaves if g is not None])
        clipped = [g if g is None else times(g, factor) for g in leaves]
        return treedef.unflatten(clipped), LeafState(count, {})

    return Transform(init, update, "clip_by_global_norm")


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
    squares = [jnp.sum(abs_sq(lax.convert_element_type(x, wider(x.dtype, dtype)) / unit)).astype(dtype) for x in leaves]
    return unit * jnp.sqrt(sum(squares, jnp.zeros((), dtype)))
