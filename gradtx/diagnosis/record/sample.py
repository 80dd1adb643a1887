"""A fixed sample of the coordinates, from which inner products between steps are estimated.

Products of one step with the next need both vectors; keeping a whole gradient would add an array as large as the
model to the state. A strided sample of at most about 16,384 coordinates, scaled so that its inner products estimate
the whole ones, is exact for small models and costs next to nothing for large ones.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

SAMPLE = 16_384
WHOLE = 256  # a leaf this small is kept whole


def stride(shape: tuple[int, ...], total: int) -> int:
    """Return the stride for a leaf in a model of `total` parameters, coprime to its rows: it meets every column."""
    step = 1 if math.prod(shape) <= WHOLE else -(-total // SAMPLE)
    while step > 1 and shape and math.gcd(step, shape[-1]) > 1:
        step += 1
    return step


def take(x: jax.Array, total: int) -> jax.Array:
    """Return the sampled coordinates of one array, flat; arrays of one shape give the same coordinates."""
    if is_explicit(x):  # a strided view of a sharded array has no sharding of its own
        mesh = jax.typeof(x).sharding.mesh
        x = jax.sharding.reshard(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    return x.reshape(-1)[:: stride(x.shape, total)] if x.ndim else x.reshape(1)


def is_explicit(x: jax.Array) -> bool:
    """Say whether an array's type says how it is sharded (an explicit mesh)."""
    sharding = getattr(jax.typeof(x), "sharding", None)
    return sharding is not None and any(axis is not None for axis in sharding.spec)


def size(tree: Any, total: int) -> int:
    """Return how many coordinates of a tree are sampled."""
    shapes = [(2, *jnp.shape(x)) if jnp.iscomplexobj(x) else jnp.shape(x) for x in jax.tree.leaves(tree)]
    return sum(-(-math.prod(shape) // stride(shape, total)) for shape in shapes)


def vector(tree: Any, total: int, length: int) -> jax.Array:
    """Return the sample of a tree as one float32 vector whose inner products estimate those of the whole.

    Leaves that are None are left out, and zeros at the end make up the length.
    """
    parts = []
    for x in jax.tree.leaves(tree):
        part = lax.convert_element_type(take(magnitude(x), total), jnp.float32)
        parts.append(part * math.sqrt(x.size / part.size) if part.size else part)
    found = jnp.concatenate(parts) if parts else jnp.zeros(0, jnp.float32)
    return jnp.pad(found, (0, max(length - found.size, 0)))


def magnitude(x: jax.Array) -> jax.Array:
    """Return a real array with the inner products of a complex one: real parts, then imaginary parts."""
    return jnp.stack([x.real, x.imag]) if jnp.iscomplexobj(x) else x
