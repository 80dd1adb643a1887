"""What differs between the versions of jax that are supported: the one place that asks which jax this is."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

shard_alike: Callable[..., Any] | None
try:
    from jax.experimental.shard_alike import shard_alike
except ImportError:  # jax 0.12 took it out
    shard_alike = None


def sharded_as(p: jax.Array, slot: jax.Array) -> jax.Array:
    """Return `slot`, an array shaped like the traced `p`, which XLA is to shard as it shards `p`.

    Eager `full_like` copies the sharding and an explicit mesh keeps it in the type. Under jit with an automatic mesh
    XLA must be told that the two belong together.
    """
    if shard_alike is not None:
        alike: jax.Array = shard_alike(p, slot)[1]
        return alike
    return select_by(p, slot)


def select_by(p: jax.Array, slot: jax.Array) -> jax.Array:
    """Return `slot` as a choice, by the elements of `p`, between two copies that XLA cannot know to be equal.

    An elementwise operation on both arrays makes XLA shard them alike; the choice is made once, in `init`.
    """
    return jnp.where(p == p, slot, lax.optimization_barrier(slot))


def varying(x: jax.Array) -> frozenset[str]:
    """Return the manual axes of `shard_map` that an array differs along, as its type says.

    The type says nothing under `shard_map(..., check_vma=False)` and under `pmap` and `vmap`.
    """
    kind = jax.typeof(x)
    manual = getattr(kind, "manual_axis_type", None)  # newer versions; the older ones have `vma`
    found: frozenset[str] = getattr(kind, "vma", frozenset()) if manual is None else manual.varying
    return found
