"""What a transform will keep for each parameter, in how many bytes on each device: from shapes alone."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import PartitionSpec
from jax.typing import DTypeLike

from gradtx._core.arrays.tree import is_trainable
from gradtx._core.contract.errors import none_is_leaf
from gradtx._core.contract.writing import shown
from gradtx._core.engine.around import member
from gradtx.memory.compiled import Sent, compile_update
from gradtx.memory.groups import Setting, Treatment, decay_of, links_of, product, rate_of, title, treatments, unseen
from gradtx.memory.owners import NONE, by_parameter
from gradtx.memory.placing import Bytes, bytes_of, place, spec_of, stays_whole, without_sharding
from gradtx.memory.printed import text_of
from gradtx.memory.trial import given


@dataclasses.dataclass(frozen=True)
class LeafPlan:
    """One parameter of a plan.

    Attributes:
        path: keys on the way to it, joined by slashes.
        shape: its shape.
        dtype: its dtype.
        spec: how it is divided, None where there is no mesh.
        params: its bytes.
        grads: those of its gradient.
        state: those of all that is kept for it.
        slots: slot name with dtype to its bytes.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    spec: PartitionSpec | None
    params: Bytes
    grads: Bytes
    state: Bytes
    slots: dict[str, Bytes]

    @property
    def total(self) -> Bytes:
        """The bytes of parameter, gradient and state."""
        return self.params + self.grads + self.state


@dataclasses.dataclass(frozen=True)
class Group:
    """Parameters that are treated alike.

    Attributes:
        title: their paths in a few words.
        leaves: their plans.
        transforms: what acts on them, in the order in which it runs.
        rate: the product of their rates, None where none is known.
        decay: weight decay, one for each transform that decays.
        frozen: whether they get an update of 0.
        trained: whether they have a gradient.
    """

    title: str
    leaves: tuple[LeafPlan, ...]
    transforms: tuple[str, ...]
    rate: Setting | None
    decay: tuple[Setting, ...]
    frozen: bool
    trained: bool


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `describe` finds; printing it shows it.

    Attributes:
        transform: the call that makes the transform.
        mesh: axis to size, empty on one device.
        params: bytes of the parameters.
        grads: bytes of their gradients.
        state: bytes of the state.
        rest: those of them that belong to no one parameter, such as counts and norms.
        groups: the parameters, those together that are treated alike.
        by_leaf: one plan for each parameter, in the order of the tree.
        unsharded: paths of the parameters that lie whole along some axis of the mesh since no free axis divides them.
        unseen: what is optax's and shows its state alone.
        arguments: bytes of the arguments of one update on each device, as the compiler counts them; None unless
            compiled.
        temporaries: bytes of temporary memory on each device; None unless compiled.
        collectives: kind to what one update sends; None unless compiled.
    """

    transform: str
    mesh: dict[str, int]
    params: Bytes
    grads: Bytes
    state: Bytes
    rest: Bytes
    groups: tuple[Group, ...]
    by_leaf: tuple[LeafPlan, ...]
    unsharded: tuple[str, ...]
    unseen: tuple[str, ...]
    arguments: int | None = None
    temporaries: int | None = None
    collectives: dict[str, Sent] | None = None

    @property
    def total(self) -> Bytes:
        """The bytes of parameters, gradients and state."""
        return self.params + self.grads + self.state

    def __repr__(self) -> str:
        """Return one line for the interpreter; the whole plan is what `print` shows."""
        return f"<Plan of {self.total.per_device:,} bytes on each device; print() shows it>"

    def __str__(self) -> str:
        """Return the whole plan as text."""
        return text_of(self)


def describe(
    tx: Any,
    params: Any,
    specs: Any = None,
    *,
    mesh: Any = None,
    grads_dtype: DTypeLike | None = None,
    compile: bool = False,
    extra: Mapping[str, Any] | Callable[[Any, Any], Mapping[str, Any]] | None = None,
) -> Plan:
    """Plan the memory of parameters, gradients and optimizer state on each device, from shapes alone.

    It says which transforms act on which parameters, with what rate and decay, which are frozen, what is kept for them
    in which dtype, and what lies where. Nothing is allocated; a model of 70 billion parameters takes seconds.
    Activations and batches are not in it.

    The state is placed as `tx.init` places it on an explicit mesh: a slot in its parameter's shape lies as the
    parameter does. Wrappers of gradtx's are seen through; of optax's transforms the state alone is known, and the plan
    names them.

    Args:
        tx: the transform, gradtx's or optax's.
        params: the parameters, or their shapes and dtypes.
        specs: a PartitionSpec for each leaf, a tree like the params or a prefix of them; None takes the params' own
            shardings.
        mesh: a `jax.sharding.Mesh` or `AbstractMesh`; None takes that of the shardings, or the one that is set. With
            neither there is one device.
        grads_dtype: dtype of the gradients; None is that of each parameter.
        compile: whether to compile one update with `apply_updates`, for its temporary memory and its collectives; the
            mesh must hold devices.
        extra: what the compiled update needs besides, such as `{"value": 1.0}`, or `(grads, params)` to that.

    Returns:
        A `Plan`, which prints; bytes are exact, those that the compiler counts for the arguments of the update.

    Raises:
        TypeError: tx is no transform; a leaf is no array, a spec no PartitionSpec, extra no mapping.
        ValueError: a spec names an axis that the mesh lacks, or does not divide its dimension evenly; specs without a
            mesh; compile for a mesh without devices; init needs more than shapes.

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> params = {
        ...     "w": jax.ShapeDtypeStruct((4096, 1024), "bfloat16"),
        ...     "b": jax.ShapeDtypeStruct((7,), "bfloat16"),
        ... }
        >>> specs = {"w": jax.sharding.PartitionSpec("data"), "b": None}
        >>> mesh = jax.sharding.AbstractMesh((8,), ("data",))
        >>> plan = gradtx.describe(gradtx.adamw(1e-3), params, specs, mesh=mesh)
        >>> plan.params.per_device, plan.state.per_device, plan.unsharded
        (1048590, 4194376, ('b',))
    """
    tx = member("describe", "tx", tx)
    placed = place("describe", params, specs, mesh)
    grads = jax.tree.map(
        lambda x: (
            jax.ShapeDtypeStruct(x.shape, grads_dtype, sharding=x.sharding)
            if grads_dtype is not None and is_trainable(x)
            else x
        ),
        placed.params,
    )
    state = placed.state(tx.init)
    names = paths_of(placed.params)
    kept, rest = by_parameter(tx, state, set(names))
    leaves = {
        name: leaf_plan(name, p, g, kept.get(name, {}))
        for name, p, g in zip(names, jax.tree.leaves(placed.params), jax.tree.leaves(grads), strict=True)
    }
    whole, sizes = jax.tree.leaves(placed.params), dict(placed.mesh.shape) if placed.mesh is not None else {}
    made = compile_update(tx, grads, state, placed.params, placed.given, given("describe", extra)) if compile else None
    return Plan(
        transform=shown(tx),
        mesh=sizes,
        params=total(leaf.params for leaf in leaves.values()),
        grads=total(leaf.grads for leaf in leaves.values()),
        state=total(map(bytes_of, jax.tree.leaves(state))),
        rest=rest,
        groups=groups_of(tx, state, placed.params, leaves),
        by_leaf=tuple(leaves.values()),
        unsharded=tuple(name for name, x in zip(names, whole, strict=True) if stays_whole(x, sizes)),
        unseen=tuple(unseen(tx, state)),
        **(made._asdict() if made is not None else {}),
    )


def total(found: Any) -> Bytes:
    """Return the sum of several sizes."""
    return sum(found, NONE)


def paths_of(params: Any) -> list[str]:
    """Return the path of each leaf that is not None, as `mlp/0/w`."""
    found = jax.tree_util.tree_flatten_with_path(params)[0]
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in found]


def leaf_plan(name: str, p: Any, g: Any, slots: dict[str, Bytes]) -> LeafPlan:
    """Return the plan of one parameter."""
    grads = bytes_of(g) if is_trainable(p) else NONE
    return LeafPlan(name, p.shape, str(p.dtype), spec_of(p), bytes_of(p), grads, total(slots.values()), slots)


def groups_of(tx: Any, state: Any, params: Any, leaves: dict[str, LeafPlan]) -> tuple[Group, ...]:
    """Return the parameters in groups of those on which the same transforms act."""
    links = links_of(tx, state)
    is_leaf = [x is not None for x in jax.tree.leaves(params, is_leaf=none_is_leaf)]
    shapes = jax.tree.map(without_sharding, params)  # a mask asks for shapes, and a view may not fit explicit meshes
    found = [x for x, is_one in zip(treatments(links, shapes), is_leaf, strict=True) if is_one]
    members: dict[Treatment | None, list[LeafPlan]] = {}
    for treatment, leaf in zip(found, leaves.values(), strict=True):
        members.setdefault(treatment, []).append(leaf)
    return tuple(group(links, treatment, tuple(own)) for treatment, own in members.items())


def group(links: list[Any], treatment: Treatment | None, leaves: tuple[LeafPlan, ...]) -> Group:
    """Return the group of some parameters."""
    acting = [] if treatment is None else [links[i].tx for i in treatment.links]
    decays = [decay for decay in map(decay_of, acting) if decay is not None]
    named = title([leaf.path for leaf in leaves])
    names = tuple(getattr(tx, "name", None) or shown(tx) for tx in acting)
    rate, frozen = product(list(map(rate_of, acting))), treatment is not None and treatment.frozen
    return Group(named, leaves, names, rate, tuple(decays), frozen, treatment is not None)
