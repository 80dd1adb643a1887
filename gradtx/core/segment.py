"""A run of rules, one after another, as one compiled function per distinct leaf shape.

A transform alone is a run of one; `chain` makes one run of all neighbours that are leafwise. Two functions are
compiled: the clock (scalars of the step, counts) once for the tree, and the kernel (all rules on one leaf) once per
distinct leaf shape, however many leaves have it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.core.hyperparams import Event
from gradtx.core.numerics import increment, real, wider
from gradtx.core.rule import LeafState, Rule, Slots
from gradtx.core.tree import align, check_like, check_slots, float_leaves, resolve_mask, shape_of

if TYPE_CHECKING:
    from gradtx.core.leafwise import Leafwise


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Static:
    """A Python number in `k`: part of the structure, so that it stays a constant inside the kernel."""

    value: Any


def freeze(k: Any) -> Any:
    """Wrap the Python values of `k`, keep its arrays."""
    if isinstance(k, Mapping):
        return {name: freeze(value) for name, value in k.items()}
    return k if isinstance(k, jax.Array) else Static(k)


def thaw(k: Any, dtype: Any) -> Any:
    """Return frozen `k` as a namespace, its scalars in `dtype`."""
    if isinstance(k, Mapping):
        return SimpleNamespace(**{name: thaw(value, dtype) for name, value in k.items()})
    if isinstance(k, Static):
        return k.value
    return lax.convert_element_type(k, dtype) if jnp.issubdtype(k.dtype, jnp.floating) else k


def apply(rule: Rule, g: jax.Array, slots: Slots, p: jax.Array | None, k: Any) -> tuple[jax.Array, Slots]:
    """Run a rule on one leaf: all arrays in one accumulator dtype, slots back in the dtypes they are stored in."""
    dtype = wider(g.dtype, g.dtype)
    for x in [*slots.values(), *([] if p is None else [p])]:
        dtype = wider(dtype, x.dtype)

    def cast(x: jax.Array) -> jax.Array:
        return lax.convert_element_type(x, dtype if jnp.iscomplexobj(x) else real(dtype))

    wide = {key: cast(slot) for key, slot in slots.items()}
    value, new = rule.update(cast(g), wide, None if p is None else cast(p), thaw(k, real(dtype)))
    return value, {key: lax.convert_element_type(new[key], slots[key].dtype) for key in slots}


class Segment:
    """The update of a run of leafwise transforms."""

    def __init__(self, members: Sequence["Leafwise"]) -> None:
        """Compile nothing yet; the functions made here keep their traces for the life of the transform."""
        self.members = members
        self.needs_params = any(member.rule.needs_params for member in members)
        self.events = {
            member.rule.hyper[member.rule.event].argument: member.name
            for member in members
            if member.rule.event and isinstance(member.rule.hyper[member.rule.event], Event)
        }

        def clock(counts: list[Any], events: list[Any], extra: Mapping[str, Any]) -> tuple[Any, ...]:
            ks = []
            for i, (member, count) in enumerate(zip(members, counts, strict=True)):
                hyper = member.rule.hyper.get(member.rule.event or "")
                if isinstance(hyper, Event):
                    now = (events[i] < 0) & hyper.happened(jnp.asarray(extra[hyper.argument]))
                    events[i] = jnp.where(now, count, events[i])
                ks.append(freeze(member.rule.at(count, events[i])))
            return [increment(count) for count in counts], events, ks

        def kernel(g: Any, slots: list[Slots], p: Any, ks: list[Any], active: Static) -> tuple[Any, list[Slots]]:
            out = []
            for member, old, k, on in zip(members, slots, ks, active.value, strict=True):
                new = old
                if on:
                    with jax.named_scope(member.name):
                        g, new = apply(member.rule, g, old, p if member.rule.needs_params else None, k)
                out.append(new)
            return g, out

        kernel.__name__ = "_".join(member.name for member in members)
        self.clock, self.kernel = jax.jit(clock), jax.jit(kernel)

    def update(
        self, grads: Any, states: Sequence[Any], params: Any, extra: Mapping[str, Any]
    ) -> tuple[Any, list[LeafState]]:
        """Return the updates and the next states; see `Transform`.

        Raises:
            ValueError: trees, shapes or states that do not match, params or an extra argument missing.
            TypeError: a gradient that is not of a floating or complex dtype.
        """
        name = self.members[0].name
        if self.needs_params and params is None:
            name = next(member.name for member in self.members if member.rule.needs_params)
        leaves, treedef, p_leaves = float_leaves(name, grads, params, needs_params=self.needs_params)
        slots = [self.slot_leaves(m, s, grads, leaves, treedef) for m, s in zip(self.members, states, strict=True)]
        tree, root = (grads, "grads") if params is None else (params, "params")
        masks = [resolve_mask(m.name, m.mask, tree, root) if m.mask is not None else None for m in self.members]
        measured = self.measurements(extra)
        counts, events, ks = self.clock([s.count for s in states], [s.event for s in states], measured)
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
