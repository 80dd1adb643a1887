"""A run of rules, one after another, as one compiled function per distinct leaf shape.

A transform alone is a run of one; `chain` makes one run of all neighbours that are leafwise. Two functions are
compiled: the clock (scalars of the step, counts) once for the tree, and the kernel (all rules on one leaf) once per
distinct leaf shape, however many leaves have it. Outside jit both are put into one program, so that an update is one
dispatch and not one for each leaf.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.hyperparams import Event
from gradtx._core.arrays.numerics import increment
from gradtx._core.arrays.tree import align, check_like, check_slots, float_leaves, resolve_mask, shape_of
from gradtx._core.engine.kernel import Static, freeze, make_kernel
from gradtx._core.engine.rule import LeafState

if TYPE_CHECKING:
    from gradtx._core.engine.leafwise import Leafwise


MOST_AT_ONCE = 256  # arrays; outside jit more are updated leaf by leaf, since compiling takes longer with each


def few_arrays(tree: Any) -> bool:
    """Say whether a tree holds arrays alone, no tracers, and few enough to compile the update of all in one program."""
    leaves = jax.tree.leaves(tree)
    kinds = set(map(type, leaves))
    numbers = all(issubclass(kind, jax.Array) and not issubclass(kind, jax.core.Tracer) for kind in kinds)
    return numbers and len(leaves) <= MOST_AT_ONCE


class Segment:
    """The update of a run of leafwise transforms."""

    def __init__(self, members: Sequence["Leafwise"]) -> None:
        """Compile nothing yet; the functions made here keep their traces for the life of the transform."""
        self.members = members
        self.looks_at_all = members[0].rule.global_scalars is not None  # no other member may: see `Chain.runs`
        self.has_mask = any(member.mask is not None for member in members)
        self.needs_params = any(member.rule.needs_params for member in members)
        self.events = {
            member.rule.hyper[member.rule.event].argument: member.name
            for member in members
            if member.rule.event and isinstance(member.rule.hyper[member.rule.event], Event)
        }

        def clock(counts: list[Any], events: list[Any], extra: Mapping[str, Any], leaves: list[Any]) -> tuple[Any, ...]:
            ks: list[Any] = []
            for i, (member, count) in enumerate(zip(members, counts, strict=True)):
                hyper = member.rule.hyper.get(member.rule.event or "")
                if isinstance(hyper, Event):
                    now = (events[i] < 0) & hyper.happened(jnp.asarray(extra[hyper.argument]))
                    events[i] = jnp.where(now, count, events[i])
                k = member.rule.at(count, events[i])
                if member.rule.global_scalars is not None:
                    k |= member.rule.global_scalars(SimpleNamespace(**k), leaves)
                ks.append(freeze(k))
            return [increment(count) for count in counts], events, ks

        self.clock, self.at_once = jax.jit(clock), jax.jit(self.leaf_by_leaf)
        self.kernel = jax.jit(make_kernel([member.rule for member in members]))

    def update(
        self, grads: Any, states: Sequence[Any], params: Any, extra: Mapping[str, Any]
    ) -> tuple[Any, list[LeafState]]:
        """Return the updates and the next states; see `Transform`.

        Raises:
            ValueError: trees, shapes or states that do not match, params or an extra argument missing.
            TypeError: a gradient that is not of a floating or complex dtype.
        """
        measured = self.measurements(extra)
        arguments = (grads, list(states), params, measured)
        if not self.has_mask and few_arrays(arguments):  # a mask may read numbers, or change between steps
            try:
                out: tuple[Any, list[LeafState]] = self.at_once(*arguments)
                return out
            except (TypeError, ValueError):  # leaves on several devices, or a mistake, which the other way names best
                pass
        return self.leaf_by_leaf(*arguments)

    def leaf_by_leaf(
        self, grads: Any, states: Sequence[Any], params: Any, measured: Mapping[str, Any]
    ) -> tuple[Any, list[LeafState]]:
        """Return what `update` does, by one call of the kernel for each leaf."""
        name = self.members[0].name
        if self.needs_params and params is None:
            name = next(member.name for member in self.members if member.rule.needs_params)
        leaves, treedef, p_leaves = float_leaves(name, grads, params, needs_params=self.needs_params)
        slots = [self.slot_leaves(m, s, grads, leaves, treedef) for m, s in zip(self.members, states, strict=True)]
        tree, root = (grads, "grads") if params is None else (params, "params")
        masks = [resolve_mask(m.name, m.mask, tree, root) if m.mask is not None else None for m in self.members]
        seen = [g for g in leaves if g is not None] if self.looks_at_all else []
        counts, events, ks = self.clock([s.count for s in states], [s.event for s in states], measured, seen)
        out, new_slots = list(leaves), [{key: list(xs) for key, xs in member.items()} for member in slots]
        for i, g in enumerate(leaves):
            if g is None:
                continue
            active = Static(tuple(mask is None or bool(mask[i]) for mask in masks))
            old = [{key: xs[i] for key, xs in member.items()} for member in slots]
            out[i], new = self.kernel(g, old, p_leaves[i] if self.needs_params else None, ks, active)
            for kept, leaf in zip(new_slots, new, strict=True):
                for key, slot in leaf.items():
                    kept[key][i] = slot
        trees = [{key: treedef.unflatten(xs) for key, xs in member.items()} for member in new_slots]
        return treedef.unflatten(out), [LeafState(*parts) for parts in zip(counts, trees, events, strict=True)]

    def slot_leaves(self, member: "Leafwise", state: Any, grads: Any, leaves: list[Any], treedef: Any) -> Any:
        """Return each slot's arrays at the leaves of the gradients, checked against what the rule's init makes."""
        expected = list(member.slot_shapes(()))
        check_slots(member.name, state, LeafState, expected)
        slots = {}
        for key in expected:
            root = f"state.slots['{key}']"
            slots[key] = align(member.name, "grads", grads, treedef, root, state.slots[key])
            for i, (g, slot) in enumerate(zip(leaves, slots[key], strict=True)):
                if g is not None and shape_of(slot) != member.slot_shapes(g.shape)[key]:
                    check_like(member.name, "grads", grads, i, tuple(g.shape), root, slot)
        return slots

    def measurements(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Return the extra arguments that event schedules wait for."""
        for argument, name in self.events.items():
            if argument not in extra:
                call = f"update(grads, state, params, {argument}=...)"
                raise ValueError(f"{name}: extra argument {argument} is missing, expected a number; call {call}")
        return {argument: extra[argument] for argument in self.events}
