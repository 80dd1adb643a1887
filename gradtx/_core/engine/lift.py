"""Lift a rule for one array to whole trees, and run a row of lifted rules as one compiled function.

`Leafwise` is the body of a lifted transform. It owns what rules must not repeat: flattening, None leaves, the one
count, dtypes, masks and errors with paths. `Segment` is the update of a row of them. Two functions are compiled: the
clock (scalars of the step, counts) once for the tree, and the kernel (all rules on one leaf) once per distinct leaf
shape, however many leaves have it. Outside jit both are put into one program, so that an update is one dispatch and not
one for each leaf.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.numerics import scalar_dtype
from gradtx._core.arrays.tree import (
    align,
    check_dimensions,
    check_like,
    check_slots,
    few_arrays,
    flatten,
    float_leaves,
    has_gradient,
    is_traced,
    param_leaves,
    promoted,
    resolve_mask,
    shape_of,
)
from gradtx._core.contract.errors import LeafError, paths
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Info, Part
from gradtx._core.engine.clock import Clock
from gradtx._core.engine.kernel import Plan, Static, make_kernel
from gradtx._core.engine.rule import Rule


@dataclasses.dataclass(frozen=True, eq=False)
class Leafwise:
    """A rule lifted to trees: the body of a `Transform`.

    Attributes:
        name: name in errors.
        rule: its value is the update.
        direction: the rule whose value is m; `rule` itself where the update is m.
        sigma: the rule whose value is sigma, None where the update is not divided by one.
        mask: leaves the rule applies to, the others pass unchanged and have no slots; None is all of them.
        info: how the transform was made.
    """

    name: str
    rule: Rule
    direction: Rule | None = None
    sigma: Rule | None = None
    mask: Any = None
    info: Info | None = None

    @property
    def role(self) -> str:
        """What it does to an update."""
        return "scale" if self.sigma is not None else self.rule.role

    def renamed(self, name: str) -> "Leafwise":
        """Return the same body under another name, which errors and profiles show."""
        return dataclasses.replace(self, name=name, rule=dataclasses.replace(self.rule, name=name))

    def where(self, mask: Any) -> "Leafwise":
        """Return the same body for the leaves at which a mask is True."""
        return dataclasses.replace(self, mask=mask)

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: it holds no transform."""
        del state
        return []

    def fits(self, state: Any) -> bool:
        """Return True if `state` has this rule's slots and memory."""
        names = (set(self.rule.slots), set(self.rule.memory))
        return type(state) is LeafState and (set(state.slots), set(state.memory)) == names

    def init(self, params: Any) -> LeafState:
        """Return a zero count and the rule's slots, sharded like the params."""
        leaves, treedef = flatten(params)
        active = resolve_mask(self.name, self.mask, params, "params")
        arrays = param_leaves(self.name, params, leaves, active)
        for i, p in enumerate(arrays):
            if p is not None:
                self.check_leaf("params", params, i, p)
        slots = [None if p is None else self.rule.start(p) for p in arrays]
        trees = {key: treedef.unflatten([s and s[key] for s in slots]) for key in self.rule.slots}
        event = None if self.rule.event is None else jnp.full((), -1, jnp.int32)
        memory = {key: jnp.full((), value, scalar_dtype()) for key, value in self.rule.memory.items()}
        return LeafState(jnp.zeros((), jnp.int32), trees, event, memory)

    def check_leaf(self, root: str, tree: Any, index: int, x: jax.Array) -> None:
        """Raise unless the rule takes this leaf of a tree."""
        check_dimensions(self.name, root, tree, index, x.shape, self.rule.ndims)
        try:
            self.rule.check(x)
        except LeafError as error:
            raise error.at(self.name, paths(root, tree)[index]) from None

    def update(self, updates: Any, state: LeafState, params: Any = None, **extra: Any) -> tuple[Any, LeafState]:
        """Return the updates and the next state."""
        updates, (state,) = self.segment.update(updates, [state], params, extra)
        return updates, state

    @functools.cached_property
    def segment(self) -> "Segment":
        """The compiled form, made once per transform so that its traces are kept."""
        return Segment([self])

    @functools.cached_property
    def _shapes(self) -> dict[tuple[int, ...], dict[str, tuple[int, ...]]]:
        return {}

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each slot for a parameter of this shape."""
        if shape not in self._shapes:
            slots = jax.eval_shape(self.rule.start, jax.ShapeDtypeStruct(shape, jnp.float32))
            self._shapes[shape] = {key: slot.shape for key, slot in slots.items()}
        return self._shapes[shape]


class Segment:
    """The update of a row of leafwise transforms."""

    def __init__(self, members: Sequence[Leafwise]) -> None:
        """Compile nothing yet; the functions made here keep their traces for the life of the transform."""
        self.members = members
        self.looks_at_all = members[0].rule.whole_tree is not None  # no other member may: see `Chain.runs`
        self.needs_params = any(member.rule.needs_params for member in members)
        self.has_mask = any(member.mask is not None for member in members)
        self.no_masks = (None,) * len(members)
        self.clock = Clock([(member.name, member.rule) for member in members])
        self.at_once = jax.jit(lambda *args: self.leaf_by_leaf(*args), static_argnums=5)
        self.plain = self.clock.tick, make_kernel([member.rule for member in members])
        self.compiled = self.compile()

    def compile(self) -> tuple[Any, Any]:
        """Return the clock and the kernel to be compiled, which know of no trace yet."""
        clock, kernel = self.plain
        fresh = functools.wraps(kernel)(lambda *args: kernel(*args))  # jit keeps the traces of a function it has seen
        return jax.jit(lambda *args: clock(*args)), jax.jit(fresh)

    def update(
        self, grads: Any, states: Sequence[Any], params: Any, extra: Mapping[str, Any], dtypes: Sequence[Any] = ()
    ) -> tuple[Any, list[LeafState]]:
        """Return the updates and the next states; see `Transform`.

        Args:
            grads: the gradients, or the updates of what ran before.
            states: the state of each member.
            params: the parameters, or None.
            extra: extra arguments of `update`.
            dtypes: the dtype of each update; those of gradient and parameter where it is empty.

        Raises:
            ValueError: trees, shapes or states that do not match, params or an extra argument missing.
            TypeError: a gradient that is not of a floating or complex dtype.
        """
        measured = self.clock.measurements(extra)
        given = self.clock.given(states)
        masks = self.masks(grads, params) if self.has_mask else self.no_masks
        arguments = (grads, list(states), params, measured, given)
        static = (masks, tuple(dtypes))
        if not self.clock.is_ours:  # a user's functions may read what has changed since they were traced
            return self.leaf_by_leaf(*arguments, static, self.compile() if is_traced(arguments) else self.plain)
        if few_arrays(arguments):
            try:
                out: tuple[Any, list[LeafState]] = self.at_once(*arguments, static)
                return out
            except (TypeError, ValueError):  # leaves on several devices, or a mistake, which the other way names best
                pass
        return self.leaf_by_leaf(*arguments, static)

    def masks(self, grads: Any, params: Any) -> tuple[Any, ...]:
        """Return for each member one bool per leaf, None where it has no mask."""
        tree, root = (grads, "grads") if params is None else (params, "params")
        return tuple(
            tuple(resolve_mask(m.name, m.mask, tree, root)) if m.mask is not None else None for m in self.members
        )

    def leaf_by_leaf(
        self,
        grads: Any,
        states: Sequence[Any],
        params: Any,
        measured: Mapping[str, Any],
        given: Any,
        static: Any,
        functions: Any = None,
    ) -> tuple[Any, list[LeafState]]:
        """Return what `update` does, by one call of the kernel for each leaf."""
        masks, dtypes = static
        clock, kernel = functions or self.compiled
        name = self.members[0].name
        if self.needs_params and params is None:
            name = next(member.name for member in self.members if member.rule.needs_params)
        leaves, treedef, p_leaves = float_leaves(name, grads, params, needs_params=self.needs_params)
        slots = [
            self.slot_leaves(member, state, grads, leaves, treedef, mask)
            for member, state, mask in zip(self.members, states, masks, strict=True)
        ]
        seen = self.seen(leaves, p_leaves, slots[0], masks[0]) if self.looks_at_all else None
        held = [[getattr(state, field) for state in states] for field in ("count", "event", "memory")]
        try:
            counts, events, memories, ks = clock(*held, given, measured, seen)
        except LeafError as error:
            places = self.places(leaves, masks[0])
            raise error.at(self.members[0].name, paths("grads", grads)[places[error.index]]) from None
        out, new_slots = list(leaves), [{key: list(xs) for key, xs in member.items()} for member in slots]
        for i, g in enumerate(leaves):
            if not has_gradient(g):
                continue
            active = tuple(mask is None or mask[i] for mask in masks)
            dtype = dtypes[i] if dtypes else promoted(g, p_leaves[i])
            old = [{key: xs[i] for key, xs in member.items()} for member in slots]
            p = p_leaves[i] if self.needs_params else None
            out[i], new = kernel(g, old, p, ks, Static(Plan(active, dtype)))
            for kept, leaf in zip(new_slots, new, strict=True):
                for key, slot in leaf.items():
                    kept[key][i] = slot
        trees = [{key: treedef.unflatten(xs) for key, xs in member.items()} for member in new_slots]
        states = [LeafState(*parts) for parts in zip(counts, trees, events, memories, strict=True)]
        return treedef.unflatten(out), states

    def seen(self, leaves: list[Any], p_leaves: list[Any], slots: Any, mask: Any) -> dict[str, Any]:
        """Return the leaves that the first rule's `whole_tree` sees: with a gradient, and where its mask is True."""
        rule, places = self.members[0].rule, self.places(leaves, mask)
        return {
            "grads": [leaves[i] for i in places],
            "params": [p_leaves[i] for i in places] if rule.needs_params else [],
            "slots": {key: [xs[i] for i in places] for key, xs in slots.items()},
        }

    @staticmethod
    def places(leaves: list[Any], mask: Any) -> list[int]:
        """Return the indices of the leaves with a gradient where a mask is True."""
        return [i for i, g in enumerate(leaves) if has_gradient(g) and (mask is None or mask[i])]

    def slot_leaves(
        self, member: Leafwise, state: Any, grads: Any, leaves: list[Any], treedef: Any, mask: Any
    ) -> dict[str, list[Any]]:
        """Return each slot's arrays at the leaves of the gradients, checked against what the rule's init makes."""
        rule = member.rule
        check_slots(member.name, state, LeafState, rule.slots)
        for i, g in enumerate(leaves):
            if has_gradient(g) and (mask is None or mask[i]):
                member.check_leaf("grads", grads, i, g)
        slots = {}
        for key in rule.slots:
            root = f"state.slots['{key}']"
            slots[key] = align(member.name, "grads", grads, treedef, root, state.slots[key])
            for i, (g, slot) in enumerate(zip(leaves, slots[key], strict=True)):
                if not has_gradient(g) or (mask is not None and not mask[i]) or shape_of(slot) == g.shape:
                    continue
                if shape_of(slot) != member.slot_shapes(g.shape)[key]:
                    check_like(member.name, "grads", grads, i, tuple(g.shape), root, slot)
        return slots
