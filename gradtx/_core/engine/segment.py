"""Run a row of lifted rules on a tree: the clock once, the kernels once for each leaf.

`Segment` is the update of neighbours in a chain. Two functions are compiled: the clock (scalars of the step, counts)
once for the tree, and the kernel (all rules on one leaf) once per distinct leaf shape, however many leaves have it.
Outside jit both are put into one program, so that an update is one dispatch and not one for each leaf.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax import lax

from gradtx._core.arrays.numerics import accumulator
from gradtx._core.arrays.tree import (
    align,
    check_like,
    check_slots,
    few_arrays,
    float_leaves,
    has_gradient,
    is_traced,
    promoted,
    shape_of,
    shapes_of,
)
from gradtx._core.arrays.turns import first_turn
from gradtx._core.contract.errors import LeafError, paths
from gradtx._core.contract.state import LeafState
from gradtx._core.engine.clock import Clock
from gradtx._core.engine.kernel import of_leaf
from gradtx._core.engine.stages import Stage, fresh, stages_of

if TYPE_CHECKING:
    from gradtx._core.engine.lift import Leafwise


class Segment:
    """The update of a row of leafwise transforms."""

    def __init__(self, members: Sequence["Leafwise"]) -> None:
        """Compile nothing yet; the functions made here keep their traces for the life of the transform."""
        self.members = members
        self.looks_at_all = members[0].rule.looks_at_all  # no other member may: see `Chain.runs`
        self.needs_params = any(member.rule.needs_params for member in members)
        self.chooses = any(m.mask is not None or m.rule.layout is not None or m.rule.where for m in members)
        self.all_leaves = (None,) * len(members), ((),) * len(members), (None,) * len(members)
        self.clock = Clock([(member.name, member.rule) for member in members])
        self.at_once = jax.jit(lambda *args: self.leaf_by_leaf(*args), static_argnums=5)
        self.plain = self.clock.tick, stages_of([member.rule for member in members])
        self.compiled = self.compile()

    def compile(self) -> tuple[Any, list[Stage]]:
        """Return the clock and the stages to be compiled, which know of no trace yet."""
        clock, stages = self.plain
        return jax.jit(fresh(clock)), [stage.compiled() for stage in stages]

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
        chosen = self.chosen(grads, params) if self.chooses else self.all_leaves
        arguments = (grads, list(states), params, self.clock.measurements(extra), self.clock.given(states))
        static = (*chosen, tuple(dtypes))
        if not self.clock.is_ours:  # a user's functions may read what has changed since they were traced
            return self.leaf_by_leaf(*arguments, static, self.compile() if is_traced(arguments) else self.plain)
        if few_arrays(arguments):
            try:
                out: tuple[Any, list[LeafState]] = self.at_once(*arguments, static)
                return out
            except (TypeError, ValueError):  # leaves on several devices, or a mistake, which the other way names best
                pass
        return self.leaf_by_leaf(*arguments, static)

    def chosen(self, grads: Any, params: Any) -> tuple[tuple[Any, ...], ...]:
        """Return for each member a bool per leaf, its flags, a layout per leaf; None where all leaves are alike."""
        given = (grads, "grads") if params is None else (params, "params")
        masks, flags, layouts = [], [], []
        for member in self.members:
            active, own = member.chosen(*given)
            masks.append(None if member.mask is None and member.rule.layout is None else tuple(active))
            flags.append(member.flags(*given))
            layouts.append(None if member.rule.layout is None else tuple(own))
        return tuple(masks), tuple(flags), tuple(layouts)

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
        """Return what `update` does, by one call of each stage's kernel for each leaf."""
        masks, flags, layouts, dtypes = static
        clock, stages = functions or self.compiled
        lacks = (member for member in self.members if member.rule.needs_params and params is None)
        name = next(lacks, self.members[0]).name
        leaves, treedef, p_leaves = float_leaves(name, grads, params, needs_params=self.needs_params)
        slots = [
            self.slot_leaves(member, state, grads, leaves, treedef, mask, own)
            for member, state, mask, own in zip(self.members, states, masks, layouts, strict=True)
        ]
        seen = self.seen(leaves, p_leaves, slots[0], masks[0]) if self.looks_at_all else None
        held = [[getattr(state, field) for state in states] for field in ("count", "event", "memory")]
        try:
            counts, events, memories, ks = clock(*held, given, measured, seen)
        except LeafError as error:
            raise error.at(name, paths("grads", grads)[self.places(leaves, masks[0])[error.index]]) from None
        out, new_slots = list(leaves), [{key: list(xs) for key, xs in member.items()} for member in slots]
        places, order = self.places(leaves, None), {i: n for n, i in enumerate(self.places(leaves, masks[0]))}
        final = [dtypes[i] if dtypes else promoted(leaves[i], p_leaves[i]) for i in places]
        if self.members[-1].rule.stores:  # the update leads to a parameter that is decided: it is not rounded again
            decided = set(self.places(leaves, masks[-1]))
            final = [accumulator(d) if i in decided else d for i, d in zip(places, final, strict=True)]
        for stage in stages:
            turn = first_turn()
            for i, dtype in zip(places, final, strict=True):
                own = [of_leaf(ks[0], order[i]) if i in order else {}, *ks[1:]]  # none is read where the mask says no
                arguments = (i, out[i], slots, new_slots, p_leaves[i], own, masks, flags, layouts, dtype)
                try:
                    out[i], turn = stage.on_leaf(*arguments, turn)
                except LeafError as error:
                    raise error.at(name, paths("params", grads)[i]) from None
            stage.join(out, layouts[stage.stop - 1], ks[stage.stop - 1], self.places(leaves, masks[stage.stop - 1]))
        if not stages[-1].is_last:
            for i, dtype in zip(places, final, strict=True):
                out[i] = lax.convert_element_type(lax.squeeze(out[i], (0,)), dtype)
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
        self, member: "Leafwise", state: Any, grads: Any, leaves: list[Any], treedef: Any, mask: Any, layouts: Any
    ) -> dict[str, list[Any]]:
        """Return each slot's arrays at the leaves of the gradients, checked against what the rule's init makes."""
        rule = member.rule
        check_slots(member.name, state, LeafState, rule.slots)
        for i, g in enumerate(leaves):
            if has_gradient(g) and (mask is None or mask[i]):
                member.check_leaf("grads", grads, i, g, layouts and layouts[i])
        slots = {}
        for key in rule.slots:
            root = f"state.slots['{key}']"
            slots[key] = align(member.name, "grads", grads, treedef, root, state.slots[key])
            for i, (g, slot) in enumerate(zip(leaves, slots[key], strict=True)):
                if not has_gradient(g) or (mask is not None and not mask[i]) or shape_of(slot) == g.shape:
                    continue
                if shapes_of(slot) != member.slot_shapes(g.shape, layouts and layouts[i])[key]:
                    check_like(member.name, "grads", grads, i, tuple(g.shape), root, slot)
        return slots
