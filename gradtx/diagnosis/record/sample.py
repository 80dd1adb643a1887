"""A fixed sample of the coordinates, from which inner products between steps are estimated.

Products of one step with the next need both vectors; keeping a whole gradient would add an array as large as the
model to the state. A sample of about 16,384 coordinates, scaled so that its inner products estimate the whole ones, is
exact for small models and costs next to nothing for large ones.

The sample of a leaf is a slice with a stride of its own in each dimension. A strided view of the flat array would be
simpler, but XLA gathers a sharded array whole before it flattens it; a slice is taken on each device, and only the
sample moves.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

SAMPLE = 16_384
WHOLE = 256  # a leaf this small is kept whole
DEVICES = 64  # a length divisible by up to so many is preferred: XLA then shards the sample as it shards the leaf


def strides(shape: tuple[int, ...], total: int, copies: int = 1) -> tuple[int, ...]:
    """Return the stride of each dimension of a leaf.

    Args:
        shape: of the leaf, or of this device's part of it.
        total: parameters of the model.
        copies: parts that the leaf is split into, 1 where `shape` is the whole.
    """
    size = math.prod(shape)
    return split(shape, 1.0 if size * copies <= WHOLE else max(total / SAMPLE, 1.0))


@functools.lru_cache(maxsize=4096)
def split(shape: tuple[int, ...], step: float) -> tuple[int, ...]:
    """Return strides whose product is near `step`, which leave dimensions of nearly equal length.

    Equal lengths keep many rows and many columns, so that a dead row or column shows in the sample as it does in the
    whole. Strides divide their dimension where a divisor is near.
    """
    if step <= 1.0:
        return (1,) * len(shape)
    longest = level(sorted(shape), math.prod(shape) / step)
    out, error = [1] * len(shape), 1.0
    for i in sorted(range(len(shape)), key=lambda i: shape[i]):
        wanted = max(shape[i] / longest, 1.0)
        if wanted > 1.0:
            out[i] = nearest(shape[i], min(max(wanted * error, 1.0), shape[i]))
            error *= wanted / out[i]
    return tuple(out)


def level(lengths: list[int], target: float) -> float:
    """Return the length to which to cut the longer of these lengths (ascending), so that their product is `target`."""
    target = max(target, 1.0)
    for i, length in enumerate(lengths):
        even = float(target ** (1 / (len(lengths) - i)))
        if even <= length:
            return max(even, 1.0)
        target /= length
    return float(lengths[-1])


def nearest(length: int, wanted: float) -> int:
    """Return a stride near `wanted`: a divisor where there is one, best one that leaves a length with factors of 2."""
    near = [s for s in range(math.ceil(wanted / 1.5), min(math.floor(wanted * 2), length) + 1) if length % s == 0]
    if not near:
        return max(round(wanted), 1)
    return min(near, key=lambda s: (-math.gcd(length // s, DEVICES), abs(math.log(s / wanted))))


def take(x: jax.Array, total: int, copies: int = 1) -> jax.Array:
    """Return the sampled coordinates of one array, flat; arrays of one shape give the same coordinates."""
    steps = strides(x.shape, total, copies)
    lengths = [-(-n // s) for n, s in zip(x.shape, steps, strict=True)]
    if is_explicit(x) and not divides(x, lengths):  # such a slice would have no sharding of its own
        x = replicated(x)
    if max(steps, default=1) > 1:
        first = [min(s // 2, n - 1 - (count - 1) * s) for n, s, count in zip(x.shape, steps, lengths, strict=True)]
        x = lax.slice(x, first, [a + (c - 1) * s + 1 for a, c, s in zip(first, lengths, steps, strict=True)], steps)
    return (replicated(x) if is_explicit(x) else x).reshape(-1)


def is_explicit(x: jax.Array) -> bool:
    """Return True if an array's type says how it is sharded (an explicit mesh)."""
    sharding = getattr(jax.typeof(x), "sharding", None)
    return sharding is not None and any(axis is not None for axis in sharding.spec)


def divides(x: jax.Array, lengths: list[int]) -> bool:
    """Return True if lengths divide into as many parts as the dimensions of an explicitly sharded array."""
    sharding = jax.typeof(x).sharding
    names = [() if axis is None else axis if isinstance(axis, tuple) else (axis,) for axis in sharding.spec]
    parts = [math.prod(sharding.mesh.shape[name] for name in axes) for axes in names]
    return all(length % part == 0 for length, part in zip(lengths, parts, strict=False))


def replicated(x: jax.Array) -> jax.Array:
    """Return an explicitly sharded array whole on each device."""
    sharding = jax.sharding.NamedSharding(jax.typeof(x).sharding.mesh, jax.sharding.PartitionSpec())
    whole: jax.Array = jax.sharding.reshard(x, sharding)
    return whole


def size(leaves: list[Any], copies: list[int], total: int) -> int:
    """Return how many coordinates of these leaves are sampled."""
    found = 0
    for x, parts in zip(leaves, copies, strict=True):
        shape = (2, *jnp.shape(x)) if jnp.iscomplexobj(x) else jnp.shape(x)
        steps = strides(shape, total, parts)
        found += parts * math.prod(-(-n // s) for n, s in zip(shape, steps, strict=True))
    return found


def magnitude(x: jax.Array) -> jax.Array:
    """Return a real array with the inner products of a complex one: real parts, then imaginary parts."""
    return jnp.stack([x.real, x.imag]) if jnp.iscomplexobj(x) else x
