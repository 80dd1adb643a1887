"""ZeRO-1: each device keeps and computes its share of the state and of the update."""

import dataclasses
from typing import Any

import jax
import optax
from jax import lax
from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from gradtx._core.arrays.meshes import axis_kinds, check_axis, find_mesh, placed, sharding_of, with_axis
from gradtx._core.arrays.tree import flatten, is_traced, leaf_error
from gradtx._core.contract.errors import describe, message, structure
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx._core.engine.placed import taken_apart
from gradtx.memory.specs import is_array, own_specs
from gradtx.memory.state_specs import specs_of_state
from gradtx.rules import Transform, factory

FIX = "pass mesh=, or put the params on one by jax.device_put, or call it under jax.set_mesh"


@dataclasses.dataclass(frozen=True, eq=False)
class ShardState:
    """A transform whose state is split over one mesh axis more than the params: the body of `shard_state`.

    Attributes:
        inner: the transform inside, which takes extra arguments.
        axis: the axis of the mesh.
        mesh: the mesh, None to find it.
        specs: the specs of the params, None to find them.
        name: name in errors.
        info: how the transform was made.
        role: what it does to an update; see `Body`.
    """

    inner: Any
    axis: str
    mesh: Any
    specs: Any
    name: str = "shard_state"
    info: Info | None = None
    role: str = "container"

    def shards(self, tree: Any, root: str, mesh: Any) -> list[Any]:
        """Return the spec of each leaf's shard: the leaf's own with the axis added; None where it is no array."""
        own = own_specs(self.name, self.specs, tree, root, self.axis, mesh)
        leaves, sizes = flatten(tree)[0], dict(mesh.shape)
        pairs = zip(leaves, own, strict=True)
        return [None if s is None else with_axis(x.shape, s, self.axis, sizes) for x, s in pairs]

    def find_mesh(self, leaves: list[Any]) -> Any:
        """Return the mesh.

        Raises:
            ValueError: there is none, it lacks the axis, or shard_map is over that axis.
        """
        mesh = find_mesh(self.name, self.mesh, leaves, FIX)
        check_axis(self.name, "axis", self.axis, mesh)
        return mesh

    def init(self, params: Any) -> Any:
        """Return the state of the one inside, in shards."""
        leaves, treedef = flatten(params)
        mesh = self.find_mesh(leaves)
        if mesh.shape[self.axis] == 1:  # nothing to split: all stays where it is
            return self.inner.init(params)
        shards = self.shards(params, "params", mesh)
        params = treedef.unflatten(split(leaves, shards, mesh))
        state = known_devices(self.inner.init(params), params)
        return split_tree(state, specs_of_state(self.inner.init, params, treedef.unflatten(shards), mesh), mesh)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of the one inside and its next state, both in shards."""
        leaves, treedef = flatten(updates)
        given = updates if params is None else params
        beside, form = flatten(given)
        mesh = self.find_mesh([*beside, *leaves, *jax.tree.leaves(state)])
        if mesh.shape[self.axis] == 1:
            out: tuple[Any, Any] = self.inner.update(updates, state, params, **extra)
            return out
        shards = self.shards(given, "grads" if params is None else "params", mesh)
        self.check_devices(given, beside, mesh)
        alike = form == treedef  # not so where the params come in a pair, as those of lookahead
        own = shards if alike else self.shards(updates, "grads", mesh)
        params = None if params is None else form.unflatten(split(beside, shards, mesh))
        updates = treedef.unflatten(split(leaves, own, mesh))
        new, after = self.inner.update(updates, state, params, **extra)
        made, treedef = flatten(new)
        if len(made) == len(own):
            new = treedef.unflatten(split(made, own, mesh))
        return new, self.stays(after, state, updates if params is None else params, form.unflatten(shards), mesh)

    def check_devices(self, params: Any, leaves: list[Any], mesh: Any) -> None:
        """Raise ValueError if a parameter outside jit is not on the mesh: its update would be on other devices."""
        for i, x in enumerate(leaves):
            known = isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer) and isinstance(mesh, Mesh)
            if known and x.sharding.device_set != set(mesh.devices.flat):
                got = f"lies on {len(x.sharding.device_set)} devices that are not those of the mesh"
                fix = "put the params there by jax.device_put(params, NamedSharding(mesh, P())), or jit the step"
                raise ValueError(leaf_error(self.name, "params", params, i, got, "the devices of the mesh", fix))

    def stays(self, new: Any, old: Any, params: Any, shards: Any, mesh: Any) -> Any:
        """Return the new state in the shards of the old one: as `init` makes them where jit does not tell."""
        if structure(new) != structure(old):
            return new
        if is_traced((new, old)) and "Auto" in axis_kinds(mesh).values():
            specs = specs_of_state(self.inner.init, params, shards, mesh)
            return split_tree(new, specs, mesh) if structure(specs) == structure(new) else new

        def one(x: Any, before: Any) -> Any:
            sharding = sharding_of(before)
            return x if sharding is None else placed(x, PartitionSpec(*sharding.spec), mesh)

        return jax.tree.map(one, new, old)

    def parts(self, state: Any) -> list[Part]:
        """Return the inner one."""
        return [Part(None, self.inner, state)]

    def renamed(self, name: str) -> "ShardState":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the form of the inner one's states."""
        body = getattr(self.inner, "body", None)
        return body is not None and bool(body.fits(state))


def known_devices(state: Any, params: Any) -> Any:
    """Return a state of which jit knows on which devices it is made: on those of the params.

    An init that reads the shapes of the params alone leaves jit without any array on the mesh, and XLA would then make
    every slot whole, on one device.
    """
    leaves, treedef = taken_apart(state, None)
    traced = [x for x in jax.tree.leaves(params) if isinstance(x, jax.core.Tracer)]
    if leaves and traced:
        leaves[0] = lax.optimization_barrier((leaves[0], traced[0]))[0]
    return treedef.unflatten(leaves)


def split(leaves: list[Any], specs: list[Any], mesh: Any) -> list[Any]:
    """Return leaves split by their specs; one whose spec is None, or that is no array, as it is."""
    pairs = zip(leaves, specs, strict=True)
    return [placed(x, spec, mesh) if spec is not None and is_array(x) else x for x, spec in pairs]


def split_tree(tree: Any, specs: Any, mesh: Any) -> Any:
    """Return a tree of arrays split by a tree of specs like it."""
    return jax.tree.map(lambda x, spec: placed(x, spec, mesh) if is_array(x) else x, tree, specs)


@factory
def shard_state(
    tx: optax.GradientTransformation, axis: str = "data", *, mesh: Any = None, specs: Any = None
) -> Transform:
    """Split the state and the update over the devices of a mesh axis that all hold the same params (ZeRO-1).

    u_t is that of `tx`, of which each device computes 1 / n, n the size of the axis, from 1 / n of the gradient and of
    the params. Each leaf is split along its first dimension that n divides; one that has none stays whole. The updates
    stay in shards: `apply_updates` adds them there and then gathers the NEW params, in their own dtype. Put it round
    the whole optimizer. The params may be split over other axes too (FSDP): shards are then split once more.

    Under jit with an automatic mesh XLA is to be told where the new params lie: `out_shardings` of the step, for the
    state those of `state_specs`. Else the params stay in shards after the first step, and the step compiles twice.

    Units: those of the update of tx.
    Equivalent to: stage 1 of the paper, with the optimizer's whole arithmetic on the shard.

    Args:
        tx: the optimizer, gradtx's or optax's.
        axis: the axis of the mesh, one over which the params are replicated.
        mesh: the mesh, Auto or Explicit; None takes that of `jax.set_mesh`, or that on which the params lie.
        specs: how the params are split: a tree of PartitionSpecs like them, a prefix of it (`P()`: all are replicated),
            or a function of them that returns one. None takes what the arrays tell, or the types of an Explicit mesh;
            under jit with an automatic mesh that has further axes it is needed.

    State:
        that of tx, in the same structure, so that a checkpoint of either is one of the other.

    Raises:
        TypeError: tx is no transform; axis is no string; mesh is no mesh; a leaf of specs is no spec.
        ValueError: the mesh lacks the axis; at init or update, there is no mesh, a spec does not divide its parameter,
            specs is needed, or it runs inside `shard_map` over the axis.

    Cost: 1 / n of the state and of the update's work; a reduce-scatter of the gradients in place of the all-reduce, and
        an all-gather of the new params.

    References:
        Rajbhandari et al. 2019, https://arxiv.org/abs/1910.02054

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> mesh = jax.sharding.AbstractMesh((8,), ("data",))
        >>> params = {
        ...     "w": jax.ShapeDtypeStruct((8, 2), jnp.float32),
        ...     "b": jax.ShapeDtypeStruct((), jnp.float32),
        ... }
        >>> specs = gradtx.state_specs(gradtx.shard_state(gradtx.adam(0.1)), params, mesh=mesh)
        >>> [tuple(spec) for spec in jax.tree.leaves(gradtx.tree.get(specs, "mu"))]
        [(), ('data', None)]
    """
    name = "shard_state"
    inside = member(name, "tx", tx)
    if not isinstance(axis, str):
        raise TypeError(message(name, "axis", f"is {describe(axis)}", "the name of a mesh axis", "give one axis"))
    if mesh is not None and not isinstance(mesh, (Mesh, AbstractMesh)):
        fix = "make one with jax.make_mesh"
        raise TypeError(message(name, "mesh", f"is {describe(mesh)}", "a jax.sharding.Mesh", fix))
    if mesh is not None:
        check_axis(name, "axis", axis, mesh)
    settings = {"tx": inside, "axis": axis, "mesh": mesh, "specs": specs}
    return Transform.of(ShardState(inside, axis, mesh, specs), Info(settings, wrapped(name, settings)))
