"""Meshes of devices: which one is meant, how an array is split over it, and how to split it otherwise.

A spec is always of full length here, one entry for each dimension: None, the name of an axis, or a tuple of names. jax
takes `P("data")` and `P("data", None)` for two shardings, and would compile a step once for each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax import lax
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from gradtx._core.arrays.compat import mesh_of_context
from gradtx._core.contract.errors import message


def axis_kinds(mesh: Any) -> dict[str, str]:
    """Return for each axis of a mesh whether it is "Auto", "Explicit" or "Manual"."""
    return {name: str(kind).rpartition(".")[2] for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True)}


def sharding_of(x: Any) -> NamedSharding | None:
    """Return how an array, or the shape of one, lies on a mesh: by its type under jit; None where it lies on none."""
    sharding = jax.typeof(x).sharding if isinstance(x, jax.core.Tracer) else getattr(x, "sharding", None)
    return sharding if isinstance(sharding, NamedSharding) and sharding.mesh.axis_names else None


def context_mesh() -> Any:
    """Return the mesh of `jax.set_mesh`, or the one that shard_map is in; None where there is none."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if mesh.axis_names else None


def find_mesh(transform: str, given: Any, leaves: Sequence[Any], fix: str) -> Any:
    """Return the mesh that is meant: the one of the context, the one that is given, or that of the arrays.

    What is given says the axes; the context, or the type of an array under jit, says whether they are Explicit.

    Raises:
        ValueError: there is none.
    """
    found = [sharding.mesh for sharding in map(sharding_of, leaves) if sharding is not None]
    known = [mesh for mesh in (context_mesh(), *found[:1]) if mesh is not None]
    same = [mesh for mesh in known if given is None or dict(mesh.shape) == dict(given.shape)]
    if same or given is not None:
        return same[0] if same else given
    raise ValueError(message(transform, "mesh", "is None, and the arrays lie on none", "a mesh of devices", fix))


def check_axis(transform: str, argument: str, axis: Any, mesh: Any) -> None:
    """Raise ValueError unless a mesh has this axis, and is not inside `shard_map` over it."""
    kinds = axis_kinds(mesh)
    if axis not in kinds:
        got = f"= {axis!r} is no axis of the mesh {tuple(kinds)}"
        raise ValueError(message(transform, argument, got, "one of them", f"name one, or make a mesh with {axis!r}"))
    if kinds[axis] == "Manual":
        got = f"= {axis!r} is an axis of the shard_map around it"
        fix = "put it outside shard_map, which may compute the gradients alone"
        raise ValueError(message(transform, argument, got, "one over which XLA splits arrays", fix))


def named(part: Any) -> tuple[str, ...]:
    """Return the axes of one entry of a spec."""
    return () if part is None else (part,) if isinstance(part, str) else tuple(part)


def full(spec: Any, ndim: int) -> tuple[Any, ...]:
    """Return the entries of a spec, one for each dimension."""
    parts = tuple(spec)
    return parts + (None,) * (ndim - len(parts))


def parts_in(part: Any, sizes: Mapping[str, int]) -> int:
    """Return into how many parts one entry of a spec splits its dimension."""
    count = 1
    for axis in named(part):
        count *= sizes[axis]
    return count


def with_axis(shape: Sequence[int], spec: PartitionSpec, axis: str, sizes: Mapping[str, int]) -> PartitionSpec:
    """Return a spec that splits an array over one axis more: along its first dimension whose parts the axis divides.

    It is returned as it is where the axis is in it already, or divides none.
    """
    parts = full(spec, len(shape))
    if axis not in [name for part in parts for name in named(part)]:
        for i, (size, part) in enumerate(zip(shape, parts, strict=True)):
            if size and size % (parts_in(part, sizes) * sizes[axis]) == 0:
                new = (*named(part), axis)
                return PartitionSpec(*parts[:i], new if len(new) > 1 else axis, *parts[i + 1 :])
    return PartitionSpec(*parts)


def only(spec: PartitionSpec, axes: set[str]) -> PartitionSpec:
    """Return a spec with these axes alone."""
    kept = [tuple(axis for axis in named(part) if axis in axes) for part in spec]
    return PartitionSpec(*((part if len(part) > 1 else part[0]) if part else None for part in kept))


def placed(x: Any, spec: PartitionSpec, mesh: Any) -> Any:
    """Return an array split by a spec, of full length, over a mesh: at once outside jit, as XLA is told to inside."""
    if not isinstance(x, jax.core.Tracer):
        devices = mesh_of_context() if isinstance(mesh, AbstractMesh) else mesh
        if devices.empty:  # jax would end the process
            fix = "pass a Mesh, or call it under jax.set_mesh"
            raise ValueError(message("shard_state", "mesh", "has no devices", "those of the arrays it is given", fix))
        wanted = NamedSharding(devices, spec)
        return x if getattr(x, "sharding", None) == wanted else jax.device_put(x, wanted)
    kinds = axis_kinds(mesh)
    explicit, auto = ({axis for axis, kind in kinds.items() if kind == wanted} for wanted in ("Explicit", "Auto"))
    if explicit:
        own = sharding_of(x)
        wanted = NamedSharding(mesh, only(spec, explicit))
        x = x if own is not None and own.spec == wanted.spec else jax.sharding.reshard(x, wanted)
    return lax.with_sharding_constraint(x, NamedSharding(mesh, only(spec, auto))) if auto else x
