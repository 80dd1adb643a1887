"""Stacks of matrices, such as those of all layers, put so that each device holds whole matrices while it works on them.

An array that is split over its rows or columns goes to a split over its layers by an all-to-all, and back by another.
Left to itself XLA gathers the matrices, or multiplies parts and sums, for each product anew.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from gradtx._core.arrays.compat import explicit_sharding, select_by
from gradtx._core.arrays.matrices import Axes, Layout, is_alone
from gradtx._core.arrays.meshes import axis_kinds, context_mesh, full, named, placed, sharding_of
from gradtx._core.arrays.tree import flatten, shape_of
from gradtx._core.contract.errors import LeafError, describe, message, paths

Names = tuple[str, ...]


def layer_axes(transform: str, layers: Any) -> Names:
    """Return the mesh axes that `layers` names; () for None.

    Raises:
        TypeError: it is no name, and no tuple of names.
        ValueError: it names an axis twice.
    """
    names = named(layers) if layers is None or isinstance(layers, (str, tuple)) else (layers,)
    if not all(isinstance(name, str) for name in names):
        fix = 'write layers="fsdp", or layers=("data", "fsdp")'
        raise TypeError(message(transform, "layers", f"is {describe(layers)}", "the name of a mesh axis or some", fix))
    if len(names) > len(set(names)):
        raise ValueError(message(transform, "layers", f"= {layers!r}", "each axis once", "name it once"))
    return names


def mesh_of(x: Any) -> Any:
    """Return the mesh that an array is computed on: that of the context, else its own; None where there is none."""
    sharding = sharding_of(x)
    return context_mesh() or (sharding and sharding.mesh)


def has_layers(axes: Axes | None) -> bool:
    """Return True if a leaf of these axes is a stack of matrices."""
    return axes is not None and bool(axes.batch) and not is_alone(axes)


def parts_of(names: Names, sizes: Mapping[str, int]) -> int:
    """Return over how many devices these axes split an array."""
    return math.prod(sizes[name] for name in names)


def with_stacks(layout: Layout, transform: str, names: Names) -> Layout:
    """Return the layout, which raises where layers are to be split and there is no stack of them."""
    if not names:
        return layout

    def checked(tree: Any, root: str) -> list[Axes | None]:
        known = layout(tree, root)
        single = [i for i, axes in enumerate(known) if axes is not None and not is_alone(axes)]
        if single and not any(map(has_layers, known)):
            i = single[0]
            shape = shape_of(flatten(tree)[0][i])
            got, fix = f"has shape {shape} and no axis of layers", "leave layers out, or stack the layers"
            raise ValueError(message(transform, paths(root, tree)[i], got, "a stack of matrices", fix))
        return known

    return checked


def check_layers(names: Names, check: Callable[..., None], *, even: bool) -> Callable[..., None]:
    """Return the `check` of a rule that works on whole matrices; where no mesh is known yet it takes everything.

    Args:
        names: the axes over which the layers are split.
        check: what else is checked.
        even: whether their number must divide that of the layers.
    """

    def checked(x: jax.Array, axes: Axes | None = None) -> None:
        check(x, axes)
        mesh = mesh_of(x)
        if not names or mesh is None or axes is None or not has_layers(axes):
            return
        kinds = axis_kinds(mesh)
        for name in names:
            if name not in kinds:
                got = f"is to be split over {name!r}, which is no axis of the mesh {tuple(kinds)}"
                raise LeafError(0, got, "one of them", "name another axis in layers")
            if kinds[name] == "Manual":
                got = f"is to be split over {name!r}, the axis of the shard_map around it"
                raise LeafError(0, got, "one over which XLA splits arrays", "update outside shard_map")
        count, parts = x.shape[axes.batch[0]], parts_of(names, mesh.shape)
        if even and count % parts:
            got, fix = f"has {count} layers, to be split over {parts} devices", "pad the stack, or name other axes"
            raise LeafError(0, got, f"a multiple of {parts}", fix)

    return checked


def check_mesh(names: Names, axes: Axes, *arrays: jax.Array) -> None:
    """Raise LeafError if the layers of an array that lies on no mesh are to be split."""
    if names and has_layers(axes) and all(mesh_of(x) is None for x in arrays):
        fix = "call it under jax.set_mesh, or put the params on one by jax.device_put, or leave layers out"
        raise LeafError(0, f"is to be split over {', '.join(map(repr, names))}, but it lies on no mesh", "a mesh", fix)


def to_layers(x: jax.Array, names: Names, axis: int) -> jax.Array:
    """Return an array split along one axis over these axes of the mesh, and whole along all others.

    A number of layers that they do not divide is filled up with matrices of zeros.
    """
    mesh = mesh_of(x)
    if mesh is None or not isinstance(x, jax.core.Tracer):
        return x if mesh is None else placed(x, spec_of(x, names, axis), mesh)
    missing = -x.shape[axis] % parts_of(names, mesh.shape)
    explicit, own = explicit_sharding(x)
    if explicit and missing and named(own.spec[axis]):
        parts = full(own.spec, x.ndim)
        x = placed(x, PartitionSpec(*parts[:axis], None, *parts[axis + 1 :]), mesh)
    if missing:
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, missing if i == axis else 0, 0) for i in range(x.ndim)])
    # XLA computes what is to be split in that split: it would move each array that this one is computed of. Of a choice
    # between two copies it moves the result alone.
    moved: jax.Array = placed(x if explicit else select_by(x, x), spec_of(x, names, axis), mesh)
    return moved


def from_layers(x: jax.Array, like: jax.Array, names: Names, axis: int) -> jax.Array:
    """Return an array that was split over its layers as another lies that has no layers more.

    Where types do not tell how that one lies, what XLA adds this one to decides.
    """
    mesh = mesh_of(like)
    explicit, own = explicit_sharding(like)
    x = placed(x, PartitionSpec(*full(own.spec, x.ndim)) if explicit else spec_of(x, names, axis), mesh)
    x = x if explicit else apart(x)
    return x if x.shape == like.shape else lax.slice_in_dim(x, 0, like.shape[axis], axis=axis)


def apart(x: jax.Array) -> jax.Array:
    """Return an array whose split, that of layers, does not decide how what it is added to is split.

    With an automatic mesh XLA hands a split on through elementwise operations, both ways. It would then move the
    parameter, add the update where the layers are, and move the sum back. A sum over one array alone stops it on a CPU,
    but is simplified away first elsewhere; there one of two copies in one array stops it.
    """
    twice = lax.optimization_barrier(jnp.stack([x, x]))
    same: jax.Array = jnp.sum(lax.slice_in_dim(twice, 0, 1), 0)
    return same


def on_each_device(f: Callable[[jax.Array], Any], x: jax.Array, names: Names = ()) -> Any:
    """Return what a function makes of a stack of matrices, stacks of anything: each device of the matrices it holds.

    XLA gathers what it factorises on some platforms, though each matrix is on its own, and some factorisations of jax
    take no array whose type says that it is split.

    Args:
        f: a function of one stack.
        x: the stack.
        names: the axes of the mesh over which it is split along its first axis, () where its type alone tells.
    """
    mesh = mesh_of(x)
    explicit, own = explicit_sharding(x)
    spec = own.spec if explicit else spec_of(x, names, 0) if names and mesh is not None else ()
    if not any(map(named, spec)) or any(map(named, spec[-2:])) or not isinstance(x, jax.core.Tracer):
        return f(x)
    where = own.mesh if explicit else mesh
    # jax's own eigenvalues for a TPU loop over what it takes to be the same on all devices; nothing here is
    return jax.shard_map(f, mesh=where, in_specs=spec, out_specs=PartitionSpec(*spec[:-2]), check_vma=False)(x)


def spec_of(x: jax.Array, names: Names, axis: int) -> PartitionSpec:
    """Return the spec that splits an array along one axis alone."""
    return PartitionSpec(*[(names if len(names) > 1 else names[0]) if i == axis else None for i in range(x.ndim)])
