"""What differs between the versions of jax that are supported: the one place that asks which jax this is."""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

try:
    shard_alike = importlib.import_module("jax.experimental.shard_alike").shard_alike
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


def manual_axes(x: jax.Array) -> set[str]:
    """Return the mesh axes over which the shards of `x` differ inside `shard_map`; empty where jax does not say."""
    kind = jax.typeof(x)
    found = getattr(kind, "vma", None)
    if found is None:
        found = getattr(getattr(kind, "manual_axis_type", None), "varying", None)
    return {str(axis) for axis in found or ()}


def mesh_of_context() -> Any:
    """Return the mesh of `jax.set_mesh` with its devices; one without any where it was not called."""
    get_mesh = getattr(jax.sharding, "get_mesh", None)
    return mesh_of_array() if get_mesh is None else get_mesh()  # jax 0.8 does not have it


def mesh_of_array() -> Any:
    """Return the same mesh, read from an array that jax puts there."""
    if jax.sharding.get_abstract_mesh().empty:
        return jax.sharding.Mesh(np.empty((), object), ())
    placed = jax.jit(lambda: jnp.zeros(()), out_shardings=jax.sharding.PartitionSpec())
    return placed().sharding.mesh


def explicit_sharding(x: jax.Array) -> tuple[bool, Any]:
    """Return whether the type of `x` says how it is sharded (an explicit mesh), and how."""
    sharding = getattr(jax.typeof(x), "sharding", None)
    types = getattr(getattr(sharding, "mesh", None), "axis_types", None) or ()
    return any(str(kind).endswith("Explicit") for kind in types), sharding


def apply_equation(equation: Any, values: list[Any]) -> list[Any]:
    """Return what one equation of a jaxpr gives for these values of its variables."""
    found = equation.primitive.get_bind_params(equation.params)
    functions, params = found if isinstance(found, tuple) else ((), found)  # jax before 0.10 gives both
    with equation.ctx.manager:
        out = equation.primitive.bind(*functions, *values, **params)
    return list(out) if equation.primitive.multiple_results else [out]


def jax_has_started() -> bool:
    """Return True if jax has chosen its devices, after which it reads no flags; False where it does not tell."""
    try:
        bridge = importlib.import_module("jax._src.xla_bridge")
    except ImportError:
        return False
    return bool(getattr(bridge, "backends_are_initialized", bool)())
