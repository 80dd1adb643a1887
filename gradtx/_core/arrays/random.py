"""Keys of random numbers in a transform's state, and noise that is sharded as the leaf it is added to."""

import functools
import inspect
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.compat import explicit_sharding, manual_axes
from gradtx._core.arrays.turns import LEAST, shares_loops
from gradtx._core.contract.errors import describe, message

THREEFRY = "threefry2x32"
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
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


def is_plain_threefry(key: jax.Array, x: jax.Array) -> bool:
    """Return True if `threefry_normal` draws what jax would for this key and array, and where it is worth compiling.

    It takes longer to compile than jax's loop, and XLA would take minutes where it joins the loops of several leaves.
    """
    fits = x.dtype == jnp.float32 and LEAST <= x.size <= np.iinfo(np.uint32).max and not shares_loops()
    return fits and str(jax.random.key_impl(key)) == THREEFRY and bool(jax.config.jax_threefry_partitionable)


def threefry(key: jax.Array, low: jax.Array) -> jax.Array:
    """Return 32 random bits for each number: the two words of Threefry's 20 rounds on (0, low), combined."""
    first, second = key[0], key[1]
    schedule = (first, second, first ^ second ^ np.uint32(0x1BD11BDA))
    x, y = jnp.broadcast_to(schedule[0], low.shape), low + schedule[1]
    for i in range(5):
        for rotation in ROTATIONS[i % 2]:
            x = x + y
            y = x ^ (y << np.uint32(rotation) | y >> np.uint32(32 - rotation))
        x, y = x + schedule[(i + 1) % 3], y + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x ^ y


def threefry_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return the float32 numbers of `jax.random.normal`, to the bit, as one elementwise expression.

    For XLA:CPU, where jax makes a loop of Threefry's rounds, which stores 10 arrays as large as the leaf. Here nothing
    is stored, and the noise is drawn in the loop that adds it.
    """
    bits = threefry(key, lax.iota(np.uint32, math.prod(shape)).reshape(shape))
    # 23 bits as the fraction of a number in [1, 2), then to (-1, 1)
    ratio = lax.bitcast_convert_type(bits >> np.uint32(9) | np.uint32(0x3F800000), np.float32) - np.float32(1.0)
    least = np.nextafter(np.float32(-1.0), np.float32(0.0))
    uniform = lax.max(jnp.full_like(ratio, least), ratio * (np.float32(1.0) - least) + least)
    return np.float32(math.sqrt(2.0)) * lax.erf_inv(uniform)


def normal_like(key: jax.Array, x: jax.Array) -> jax.Array:
    """Return standard normal numbers in the shape, the dtype and the sharding of `x`.

    Where the shards of `x` differ inside `shard_map`, each draws numbers of its own.
    """
    for axis in sorted(manual_axes(x)):
        key = jax.random.fold_in(key, lax.axis_index(axis))
    explicit, sharding = explicit_sharding(x)
    if explicit and TAKES_SHARDING:
        return jax.random.normal(key, x.shape, x.dtype, out_sharding=sharding)
    if manual_axes(x) or not is_plain_threefry(key, x):
        return jax.random.normal(key, x.shape, x.dtype)
    drawn: jax.Array = lax.platform_dependent(
        jax.random.key_data(key),
        cpu=functools.partial(threefry_normal, shape=x.shape),
        default=lambda data: jax.random.normal(jax.random.wrap_key_data(data, impl=THREEFRY), x.shape, x.dtype),
    )
    return drawn
