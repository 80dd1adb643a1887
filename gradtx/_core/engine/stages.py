"""Cut a row of rules where one of them needs the values of all leaves together, such as one product of all matrices."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np

from gradtx._core.arrays.numerics import accumulator, scalar_dtype
from gradtx._core.arrays.turns import takes_turns
from gradtx._core.engine.kernel import Plan, Static, make_kernel, thaw
from gradtx._core.engine.rule import Rule


@dataclasses.dataclass(frozen=True)
class Stage:
    """Neighbours of a row that run as one function on each leaf, and what then happens to all leaves.

    Attributes:
        start, stop: the places of its rules in the row.
        is_last: whether its kernel gives the update itself.
        joins: whether the stage before and this one join the leaves.
        needs_params: whether one of its rules reads the parameters.
        waits: whether one of its rules may write an array as large as the leaf; see `turns.py`.
        needs_leaf: for each of its rules, whether it asks for the place of the leaf.
        kernel: runs them on one leaf.
        together: `(values, layouts, k) -> values` of its last rule, None where the leaves stay apart.
    """

    start: int
    stop: int
    is_last: bool
    joins: tuple[bool, bool]
    needs_params: bool
    waits: bool
    needs_leaf: tuple[bool, ...]
    kernel: Callable[..., Any]
    together: Callable[..., list[jax.Array]] | None

    def own(self, row: Sequence[Any]) -> list[Any]:
        """Return what belongs to its rules."""
        return list(row[self.start : self.stop])

    def on_leaf(
        self,
        i: int,
        g: jax.Array,
        slots: Sequence[Mapping[str, list[Any]]],
        new_slots: Sequence[Mapping[str, list[Any]]],
        p: Any,
        ks: Sequence[Any],
        masks: Sequence[Any],
        flags: Sequence[Any],
        layouts: Sequence[Any],
        dtype: Any,
        turn: Any,
    ) -> tuple[Any, Any]:
        """Return the value for leaf i of the tree and the next turn, and put its slots of after into `new_slots`."""
        active = tuple(mask is None or mask[i] for mask in self.own(masks))
        known = tuple(layout and layout[i] for layout in self.own(layouts))
        here = tuple(tuple((key, bools[i]) for key, bools in member) for member in self.own(flags))
        plan = Static(Plan(active, here, dtype if self.is_last else accumulator(dtype), known, self.joins))
        old = [{key: xs[i] for key, xs in member.items()} for member in self.own(slots)]
        used: list[Any] = [k if on else None for k, on in zip(self.own(ks), active, strict=True)]
        for member, needs_leaf in enumerate(self.needs_leaf):
            if needs_leaf and active[member]:  # an argument and no constant: leaves of one shape share a trace
                used[member] = {**used[member], "leaf": np.uint32(i)}
        own_turn = turn if self.waits and takes_turns(g) else None
        p = p if self.needs_params or own_turn is not None else None
        value, new, next_turn = self.kernel(g, old, p, used, plan, own_turn)
        for kept, leaf in zip(self.own(new_slots), new, strict=True):
            for key, slot in leaf.items():
                kept[key][i] = slot
        return value, turn if own_turn is None else next_turn

    def join(self, values: list[Any], layouts: Sequence[Any] | None, k: Any, among: Sequence[int]) -> None:
        """Replace the values at these places by what its last rule makes of them together, each with a first axis more.

        Outside jit, leaves on different devices come together only with those on the same.
        """
        if self.together is None:
            return
        groups: dict[Any, list[int]] = {}
        for i in among:
            known = not isinstance(values[i], jax.core.Tracer)
            groups.setdefault(frozenset(values[i].devices()) if known else None, []).append(i)
        for group in groups.values():
            own = tuple(layouts and layouts[i] for i in group)
            for i, value in zip(group, self.together([values[i] for i in group], own, k), strict=True):
                values[i] = value

    def compiled(self) -> "Stage":
        """Return the stage with functions to be compiled, which know of no trace yet."""
        together = self.together and jax.jit(fresh(self.together), static_argnums=1)
        return dataclasses.replace(self, kernel=jax.jit(fresh(self.kernel)), together=together)


def fresh(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function under a new identity: jit keeps the traces of a function it has seen."""

    def same(*args: Any) -> Any:
        return f(*args)

    same.__name__ = getattr(f, "__name__", "same")
    return same


def values_together(rule: Rule) -> Callable[..., list[jax.Array]] | None:
    """Return a rule's `together` as a function of values, a tuple of layouts and frozen `k`; None where it has none."""
    if rule.together is None:
        return None

    def together(values: list[jax.Array], layouts: Sequence[Any], k: Mapping[str, Any]) -> list[jax.Array]:
        own: SimpleNamespace = thaw(k, scalar_dtype())
        with jax.named_scope(rule.name):
            return rule.together(values, list(layouts), own)  # type: ignore[misc]

    together.__name__ = f"{rule.name}_together"
    return together


def stages_of(rules: Sequence[Rule]) -> list[Stage]:
    """Return the stages of a row: one, unless a rule needs the leaves together before the next one runs."""
    ends = [i + 1 for i, rule in enumerate(rules) if rule.together is not None and i + 1 < len(rules)]
    found = []
    for start, stop in zip([0, *ends], [*ends, len(rules)], strict=True):
        own = rules[start:stop]
        kernel, together, reads = make_kernel(own), values_together(own[-1]), any(rule.needs_params for rule in own)
        waits = any(rule.writes or rule.reads_old or not rule.elementwise for rule in own)
        is_last, joins = stop == len(rules) and together is None, (start > 0, together is not None)
        leaf = tuple(rule.needs_leaf for rule in own)
        found.append(Stage(start, stop, is_last, joins, reads, waits, leaf, kernel, together))
    return found
