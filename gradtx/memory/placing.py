"""Where arrays lie on a mesh, from shapes alone: the specs of parameters, checked, and those of a state."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec, SingleDeviceSharding

from gradtx._core.arguments.reading import CONCRETE
from gradtx._core.arrays.masks import at_each_leaf
from gradtx._core.arrays.tree import flatten
from gradtx._core.contract.errors import describe, message, paths
from gradtx.memory.state_specs import specs_of_state

FIX = "give specs the keys of the params, a PartitionSpec for each"


class Bytes(NamedTuple):
    """How much memory arrays take.

    Attributes:
        per_device: bytes on each device.
        in_all: bytes of one copy of the arrays, wherever its parts lie.
    """

    per_device: int
    in_all: int

    def __add__(self, other: Any) -> "Bytes":  # bytes are summed, not put end to end
        """Return the bytes of both."""
        return Bytes(self.per_device + other.per_device, self.in_all + other.in_all)


class Placement(NamedTuple):
    """The parameters' shapes, and how a mesh holds them.

    Attributes:
        params: a tree of `jax.ShapeDtypeStruct`, each with its sharding over `mesh` where there is one.
        mesh: an abstract mesh whose axes are all explicit, None where there is one device.
        given: the mesh as it was given, or that of the params' shardings.
    """

    params: Any
    mesh: AbstractMesh | None
    given: Any

    def state(self, init: Any) -> Any:
        """Return the shapes of the state that `init` makes, each with its sharding; nothing is computed.

        Raises:
            ValueError: `init` needs the values of the parameters.
        """
        try:
            if self.mesh is None:
                return jax.eval_shape(init, self.params)
            shapes, mesh = jax.tree.map(without_sharding, self.params), self.mesh
            specs = specs_of_state(init, shapes, jax.tree.map(spec_of, self.params), mesh)
            try:
                with jax.sharding.use_abstract_mesh(mesh):
                    state = jax.eval_shape(init, self.params)
            except Exception:  # an init that is not written for explicit meshes; what else it raises, it raises again
                state = jax.eval_shape(init, shapes)
            return jax.tree.map(lambda x, spec: with_sharding(x, NamedSharding(mesh, spec)), state, specs)
        except CONCRETE as error:
            got, expected = f"raises {type(error).__name__}", "an init that needs shapes alone"
            fix = "gradtx.check says where; values may not decide what a state holds"
            raise ValueError(message("describe", "tx.init", got, expected, fix)) from error


def without_sharding(x: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of an array alone."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def with_sharding(x: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of an array with a sharding."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def bytes_of(x: Any) -> Bytes:
    """Return the memory of one array; without a sharding over a mesh every device holds all of it."""
    whole, each = math.prod(x.shape), x.shape
    if isinstance(x.sharding, NamedSharding):
        each = x.sharding.shard_shape(x.shape)
    return Bytes(math.prod(each) * x.dtype.itemsize, whole * x.dtype.itemsize)


def spec_of(x: Any) -> PartitionSpec | None:
    """Return how an array is divided, None where there is no mesh."""
    return x.sharding.spec if isinstance(x.sharding, NamedSharding) else None


def place(name: str, params: Any, specs: Any, mesh: Any) -> Placement:
    """Return the shapes of parameters on a mesh.

    Args:
        name: of the caller, in errors.
        params: arrays, or shapes and dtypes.
        specs: the PartitionSpec of each leaf, like the params or a prefix of them; None takes their own shardings.
        mesh: a mesh, concrete or abstract; None takes that of the shardings, or the one that `jax.set_mesh` set.

    Raises:
        ValueError: specs without a mesh; a spec that names an axis that the mesh lacks or names it twice, has more
            entries than the array dimensions, or divides a dimension into parts that are not equal.
        TypeError: a leaf that is no array; a spec that is none.
    """
    leaves, treedef = flatten(params)
    names = paths("params", params)
    shapes = [x if x is None else shape_struct(name, path, x) for x, path in zip(leaves, names, strict=True)]
    own = [getattr(x, "sharding", None) for x in leaves]
    found = {path: x.mesh for x, path in zip(own, names, strict=True) if isinstance(x, NamedSharding)}
    given = mesh if mesh is not None else next(iter(found.values()), None)
    if given is None and specs is not None:
        given = jax.sharding.get_abstract_mesh()
    if given is None or given.empty:
        check_one_device(name, specs, own, names)
        return Placement(treedef.unflatten(shapes), None, None)
    sizes = dict(given.shape)
    if specs is None:
        wanted = [x.spec if isinstance(x, NamedSharding) else None for x in own]
    else:
        wanted = [x for x, _, _ in at_each_leaf(name, "specs", specs, params, "params", FIX)[1]]
    abstract = AbstractMesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Explicit,) * len(sizes))
    placed: list[Any] = []
    for x, spec, path in zip(shapes, wanted, names, strict=True):
        if x is not None:
            check_spec(name, path, x.shape, spec, sizes)
            full = (*(spec or ()), *(None,) * (len(x.shape) - len(spec or ())))
            x = with_sharding(x, NamedSharding(abstract, PartitionSpec(*full)))
        placed.append(x)
    return Placement(treedef.unflatten(placed), abstract, given)


def shape_struct(name: str, path: str, x: Any) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of a leaf."""
    if isinstance(x, (bool, int, float, complex, np.ndarray, np.generic)):
        x = jax.eval_shape(lambda: jnp.asarray(x))
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        fix = "give arrays, or jax.eval_shape of the function that makes them"
        raise TypeError(message(name, path, f"is {describe(x)}", "an array, or its shape and dtype", fix))
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def check_one_device(name: str, specs: Any, shardings: list[Any], names: list[str]) -> None:
    """Raise ValueError where parameters are said to be divided, and no mesh says over what."""
    if specs is not None and any(spec is not None and tuple(spec) for spec in jax.tree.leaves(specs)):
        fix = "pass mesh=, a jax.sharding.Mesh or AbstractMesh"
        raise ValueError(message(name, "mesh", "is None", "the mesh of specs", fix))
    for sharding, path in zip(shardings, names, strict=True):
        if sharding is not None and not isinstance(sharding, SingleDeviceSharding):
            got = f"has a {type(sharding).__name__}"
            raise ValueError(message(name, path, got, "a NamedSharding", "pass specs= and mesh="))


def check_spec(name: str, path: str, shape: tuple[int, ...], spec: Any, sizes: Mapping[str, int]) -> None:
    """Raise unless a spec divides an array of this shape evenly over axes that the mesh has."""
    where = f"{path} of shape {tuple(shape)}"
    if spec is None:
        return
    if not isinstance(spec, PartitionSpec):
        raise TypeError(message(name, where, f"has the spec {describe(spec)}", "a PartitionSpec or None", FIX))
    if len(spec) > len(shape):
        got, expected = f"has the spec {spec}", f"at most {len(shape)} entries"
        raise ValueError(message(name, where, got, expected, "give one entry for each dimension"))
    used: list[str] = []
    for dimension, entry in enumerate(spec):
        axes = () if entry is None else entry if isinstance(entry, tuple) else (entry,)
        for axis in axes:
            if axis not in sizes:
                got, expected = f"has the spec {spec}", f"axes of the mesh {tuple(sizes)}"
                raise ValueError(message(name, where, got, expected, f"{axis!r} is none: correct it, or the mesh"))
            if axis in used:
                got, expected = f"has the spec {spec}", "each axis once"
                raise ValueError(message(name, where, got, expected, f"{axis!r} stands twice: take one away"))
            used.append(axis)
        parts = math.prod(sizes[axis] for axis in axes)
        if shape[dimension] % parts:
            got = f"has the spec {spec}, which divides dimension {dimension} by {parts}"
            fix = "put these axes on another dimension, or pad this one"
            raise ValueError(message(name, where, got, f"a multiple of {parts} there", fix))


def stays_whole(x: Any, sizes: Mapping[str, int]) -> bool:
    """Return True if some axis of the mesh is not used by an array, and none of these divides what it has left."""
    spec = spec_of(x)
    if spec is None:
        return False
    used = [axis for entry in spec if entry is not None for axis in (entry if isinstance(entry, tuple) else (entry,))]
    free = [size for axis, size in sizes.items() if axis not in used and size > 1]
    local = x.sharding.shard_shape(x.shape)
    return bool(free) and not any(n and n % size == 0 for n in local for size in free)
