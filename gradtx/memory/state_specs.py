"""Specs of a state: how each of its leaves is split over a mesh, found from shapes alone."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from gradtx._core.arrays.meshes import find_mesh, full, named, sharding_of
from gradtx._core.arrays.tree import flatten
from gradtx._core.engine.around import member
from gradtx._core.engine.placed import taken_apart, tree_map_params
from gradtx.memory.specs import is_array, own_specs

FIX = "pass mesh=, or params that lie on one, or call it under jax.set_mesh"


def state_specs(tx: optax.GradientTransformation, params: Any, specs: Any = None, *, mesh: Any = None) -> Any:
    """Return the PartitionSpec of each leaf of a state, for `out_shardings` and for restoring a checkpoint.

    From shapes alone: no array is made and no device is asked. `init` is traced once with types that hold how each
    parameter is split, so that a slot of another shape, such as the mean of the rows, gets the axes of the dimensions
    that it keeps. A slot of a parameter's own shape that `init` makes of the bare shape gets its parameter's spec.

    Args:
        tx: the optimizer, gradtx's or optax's; round `shard_state` it has the specs of the shards.
        params: tree of arrays, or of `jax.ShapeDtypeStruct`.
        specs: tree of specs like the params, a prefix of it, or a function of the params that returns one; None takes
            those of the params' shardings, and a parameter without one as replicated.
        mesh: a `Mesh`, or an `AbstractMesh` of as many devices as there will be; None takes that of the params, or of
            `jax.set_mesh`.

    Returns:
        A tree like the state, one spec for each array, of as many entries as that has dimensions.

    Raises:
        ValueError: there is no mesh; a spec names an axis that it lacks, or does not divide its parameter.
        TypeError: tx is no transform; a leaf of specs is no spec.

    Examples:
        >>> import gradtx, jax
        >>> mesh = jax.sharding.AbstractMesh((8,), ("data",))
        >>> params = {
        ...     "w": jax.ShapeDtypeStruct((4096, 512), "float32"),
        ...     "b": jax.ShapeDtypeStruct((7,), "float32"),
        ... }
        >>> specs = gradtx.state_specs(gradtx.shard_state(gradtx.adam(1e-3)), params, mesh=mesh)
        >>> mu = gradtx.tree.get(specs, "mu")
        >>> tuple(mu["w"]), tuple(mu["b"])
        (('data', None), (None,))
    """
    name = "state_specs"
    tx = member(name, "tx", tx)
    leaves, treedef = flatten(params)
    mesh = find_mesh(name, mesh, leaves, FIX)
    own = own_specs(name, specs, params, "params", None, mesh)
    return specs_of_state(tx.init, treedef.unflatten(leaves), treedef.unflatten(own), mesh)


def specs_of_state(init: Callable[[Any], Any], params: Any, specs: Any, mesh: Any) -> Any:
    """Return the spec of each leaf of the state that `init` makes of params of these specs."""
    sizes, axes = tuple(mesh.shape.values()), tuple(mesh.shape)
    abstract = AbstractMesh(sizes, axes, axis_types=(AxisType.Explicit,) * len(axes))
    leaves, treedef = flatten(params)
    own = treedef.flatten_up_to(specs)
    shapes = treedef.unflatten([as_shape(x) for x in leaves])
    typed = [as_shape(x, None if s is None else NamedSharding(abstract, s)) for x, s in zip(leaves, own, strict=True)]
    try:
        with jax.sharding.use_abstract_mesh(abstract):
            state = jax.eval_shape(init, treedef.unflatten(typed))
    except Exception:  # what jax will not compute where types hold shardings, it computes where they do not
        state = jax.eval_shape(init, shapes)
    found = jax.tree.map(spec_of, state)
    try:
        like = tree_map_params(
            init, lambda _, spec, shape: spec, state, specs, shapes, transform_non_params=lambda _: None
        )
    except ValueError:  # a state of which it cannot be told what belongs to which parameter
        return found
    made, form = taken_apart(found, None)
    beside = form.flatten_up_to(like)
    return form.unflatten([s if any(map(named, s)) or p is None else p for s, p in zip(made, beside, strict=True)])


def as_shape(x: Any, sharding: Any = None) -> Any:
    """Return the shape and dtype of an array, with a sharding; None as it is, and a number as one of no dimension."""
    if x is None:
        return None
    if not is_array(x):
        return jax.ShapeDtypeStruct((), jax.dtypes.canonicalize_dtype(jnp.result_type(x)))
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def spec_of(x: Any) -> PartitionSpec:
    """Return the spec of a shape, of full length."""
    sharding = sharding_of(x)
    return PartitionSpec(*full(() if sharding is None else sharding.spec, len(x.shape)))
