"""Add the updates to the parameters."""

from typing import Any

import jax
from jax import lax

from gradtx._core.arrays.compat import explicit_sharding
from gradtx._core.arrays.numerics import accumulator, wider
from gradtx._core.arrays.tree import float_leaves, has_gradient


def add(p: jax.Array, u: jax.Array) -> jax.Array:
    """Return p + u, added in the wider dtype and rounded once to p's."""
    if p.dtype == u.dtype == accumulator(p.dtype):
        return lax.add(p, u)  # one equation, which is traced sooner than a call
    rounded: jax.Array = add_and_round(p, u)
    return rounded


@jax.jit
def add_and_round(p: jax.Array, u: jax.Array) -> jax.Array:
    """Return p + u in p's dtype; one function, traced once per leaf shape."""
    dtype = wider(p.dtype, u.dtype)
    total = lax.convert_element_type(p, dtype) + lax.convert_element_type(u, dtype)
    return lax.convert_element_type(total, p.dtype)


def apply_updates(params: Any, updates: Any) -> Any:
    """Add updates to parameters, rounding once.

    theta_{t+1} = theta_t + u_t, added in the wider of the two dtypes (float32 at least) and rounded once to the
    parameter's dtype. A parameter whose update is None, or the float0
    that jax gives as the gradient of an integer, stays as it is; each new parameter lies where its parameter
    lay (under jit with an automatic mesh XLA decides; say `out_shardings`).

    Args:
        params: tree of arrays.
        updates: tree of the same structure and shapes; None where a leaf has no update.

    Returns:
        The new params, of the params' structure, shapes and dtypes.

    Raises:
        ValueError: the trees or shapes differ; the error names the path.
        TypeError: an update or its parameter is not of a floating or complex dtype.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> new = gradtx.apply_updates({"w": jnp.ones(2, jnp.bfloat16)}, {"w": jnp.full(2, 0.5)})
        >>> new["w"].dtype.name, new["w"].tolist()
        ('bfloat16', [1.5, 1.5])
    """
    leaves, treedef, p_leaves = float_leaves("apply_updates", updates, params, needs_params=True, root="updates")
    new = [placed_as(p, add(p, u)) if has_gradient(u) else p for p, u in zip(p_leaves, leaves, strict=True)]
    return treedef.unflatten(new)


def placed_as(p: jax.Array, new: jax.Array) -> jax.Array:
    """Return the new parameter where the old one lies: an update that lies elsewhere must not move it.

    Under jit an explicit mesh says where; an automatic one leaves it to XLA (`out_shardings` tells it).
    """
    placed: jax.Array = new
    if isinstance(new, jax.core.Tracer):
        is_explicit, where = explicit_sharding(p)
        if is_explicit and jax.typeof(new).sharding != where:
            placed = jax.sharding.reshard(new, where)
    elif isinstance(p, jax.Array) and new.sharding != p.sharding:
        placed = jax.device_put(new, p.sharding)
    return placed
