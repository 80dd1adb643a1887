"""Keys of random numbers in a transform's state, and noise that is sharded as the leaf it is added to."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.compat import explicit_sharding, manual_axes
from gradtx._core.contract.errors import describe, message

TAKES_SHARDING = "out_sharding" in inspect.signature(jax.random.normal).parameters


def key_of(transform: str, key: Any, seed: Any) -> jax.Array:
    """Return a typed key: of an integer, of a typed key, or of the raw numbers of one.

    Raises:
        ValueError: neither a key nor a seed is given, or both, or more than one key.
        TypeError: it is none of these.
    """
    fix = "give an integer, or jax.random.key(0)"
    if (key is None) == (seed is None):
        got = "is missing" if key is None else "is given beside seed"
        raise ValueError(message(transform, "key", got, "one key", fix))
    name, key = ("key", key) if seed is None else ("seed", seed)
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        return jax.random.key(int(key))
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jnp.issubdtype(dtype, jax.dtypes.prng_key) or jnp.issubdtype(dtype, jnp.integer)):
        raise TypeError(message(transform, name, f"is {describe(key)}", "an integer or a key", fix))
    if jnp.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ():
        typed: jax.Array = key
        return typed
    if jnp.issubdtype(dtype, jnp.integer) and key.shape == ():
        return jax.random.key(key)
    if dtype == np.uint32 and key.shape == jax.random.key_data(jax.random.key(0)).shape:
        return jax.random.wrap_key_data(jnp.asarray(key))
    raise ValueError(message(transform, name, f"is {describe(key)}", "one key", fix))


def normal_like(key: jax.Array, x: jax.Array) -> jax.Array:
    """Return standard normal numbers in the shape, the dtype and the sharding of `x`.

    Where the shards of `x` differ inside `shard_map`, each draws numbers of its own.
    """
    for axis in sorted(manual_axes(x)):
        key = jax.random.fold_in(key, lax.axis_index(axis))
    explicit, sharding = explicit_sharding(x)
    if explicit and TAKES_SHARDING:
        return jax.random.normal(key, x.shape, x.dtype, out_sharding=sharding)
    return jax.random.normal(key, x.shape, x.dtype)
