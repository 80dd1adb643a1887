"""A row of rules on one leaf as one function: numbers stay constants in it, arrays come in one dtype.

The lift calls it once for each leaf; jit traces it once per distinct leaf shape.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.codes import is_coded
from gradtx._core.arrays.numerics import real, wider
from gradtx._core.arrays.tree import shapes_of
from gradtx._core.arrays.turns import in_turn, next_turn, no_turns, shares_loops
from gradtx._core.contract.errors import message
from gradtx._core.engine.apply import add
from gradtx._core.engine.rule import Rule, Slots


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Static:
    """A Python number in `k`: part of the structure, so that it stays a constant inside the kernel."""

    value: Any


def freeze(k: Any) -> Any:
    """Wrap the Python values of `k`, keep its arrays."""
    if isinstance(k, Mapping):
        return {name: freeze(value) for name, value in k.items()}
    if isinstance(k, list):
        return [freeze(value) for value in k]
    return k if isinstance(k, jax.Array) else Static(k)


def of_leaf(k: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Return frozen `k` as the leaf at a place of `Tree.grads` sees it: of a list, its own entry."""
    return {name: value[place] if isinstance(value, list) else value for name, value in k.items()}


def thaw(k: Any, dtype: Any) -> Any:
    """Return frozen `k` as a namespace, its scalars in `dtype`."""
    if isinstance(k, Mapping):
        return SimpleNamespace(**{name: thaw(value, dtype) for name, value in k.items()})
    if isinstance(k, Static):
        return k.value
    return lax.convert_element_type(k, dtype) if jnp.issubdtype(k.dtype, jnp.floating) else k


def is_inexact(x: jax.Array) -> bool:
    """Return True if an array is of a floating or complex dtype."""
    return bool(jnp.issubdtype(x.dtype, jnp.inexact))


def apply(rule: Rule, g: jax.Array, slots: Slots, p: jax.Array | None, k: Any, layout: Any = None) -> tuple[Any, Slots]:
    """Run a rule on one leaf: inexact arrays in one accumulator dtype, slots back in the dtypes they are stored in."""
    dtype = wider(g.dtype, g.dtype)
    for x in jax.tree.leaves((dict(slots), p)):
        dtype = wider(dtype, x.dtype) if is_inexact(x) else dtype

    def cast(given: Any) -> jax.Array:
        x: jax.Array = given.decoded() if is_coded(given) else given
        if not is_inexact(x):
            return x
        return lax.convert_element_type(x, dtype if jnp.iscomplexobj(x) else real(dtype))

    wide, own = jax.tree.map(cast, dict(slots), is_leaf=is_coded), thaw(k, real(dtype))
    if rule.layout is not None:
        own.layout = layout
    # under strict promotion a real scalar of the step times a complex array would be refused
    mixed = jax.numpy_dtype_promotion("standard") if jnp.issubdtype(dtype, jnp.complexfloating) else nullcontext()
    with mixed:
        value, new = rule.update(cast(g), wide, p if p is None or rule.stores else cast(p), own)
    return value, stored(rule, slots, new)


def stored(rule: Rule, old: Slots, new: Slots) -> Slots:
    """Return the new slots in the dtypes of the old ones.

    Raises:
        ValueError: they have other names or shapes than those that `init` made.
        TypeError: a slot of integers is given floating numbers, or the other way round.
    """
    if set(new) != set(old):
        expected = f"{sorted(old)} as it declares"
        got = f"returned the slots {sorted(new)}"
        raise ValueError(message(rule.name, "update", got, expected, "return each declared slot, new or as it was"))
    for key, slot in old.items():
        if shapes_of(new[key]) != shapes_of(slot):
            got = f"returned shape {shapes_of(new[key])}"
            raise ValueError(message(rule.name, f"slot {key!r}", got, f"{shapes_of(slot)} as init", "keep its shape"))
        for x, kept in zip(jax.tree.leaves(new[key]), jax.tree.leaves(slot, is_leaf=is_coded), strict=True):
            if not is_coded(kept) and is_inexact(x) != is_inexact(kept):
                got, fix = f"returned {x.dtype}", "round and cast it in the rule"
                raise TypeError(message(rule.name, f"slot {key!r}", got, f"{kept.dtype} as init made it", fix))
    return {
        key: jax.tree.map(lambda kept, x: as_stored(x, kept), slot, new[key], is_leaf=is_coded)
        for key, slot in old.items()
    }


def as_stored(x: jax.Array, slot: Any) -> Any:
    """Return an array in the dtype of a slot, or in its code."""
    if is_coded(slot):
        return slot.encoded(x)
    return lax.convert_element_type(x, slot.dtype)


MOST_SLOTS = 3  # that one loop may write; of one with more than 14 operands, numbers among them, XLA copies slots


def may_share_a_loop(g: jax.Array, slots: Sequence[Slots]) -> bool:
    """Return True if XLA:CPU may write these in one loop: its flag is set, they are few, and all are of one dtype."""
    dtypes = [x.dtype for x in jax.tree.leaves(slots)]  # a masked leaf has none
    return shares_loops() and len(dtypes) <= MOST_SLOTS and set(dtypes) == {g.dtype}


def one_loop(run: Callable[..., Any], g: Any, slots: list[Slots], p: Any, *rest: Any) -> tuple[Any, list[Slots]]:
    """Return what `run` does, each result computed for itself from the arrays of before.

    XLA makes one loop of loops of which none reads what another writes. So that it does not see that they have parts
    in common, each reads the arrays times a 1.0 of its own, which a barrier hides from it; the product is exact. A
    barrier on the arrays themselves would stay in the program of jax 0.12 and write them all.
    """
    one = jnp.ones((), real(g.dtype))

    def afresh() -> tuple[Any, list[Slots]]:
        nonlocal one
        one = lax.optimization_barrier(one)
        own = one
        before = jax.tree.map(lambda x: x * lax.convert_element_type(own, x.dtype), (g, slots, p))
        out: tuple[Any, list[Slots]] = run(*before, *rest)
        return out

    new: list[Slots] = [{key: afresh()[1][i][key] for key in old} for i, old in enumerate(slots)]
    return afresh()[0], new


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is fixed for one leaf.

    Attributes:
        active: which rules of the row apply to it, by their masks.
        flags: for each rule, what the masks of its `where` say there, by name.
        dtype: the dtype of its update.
        layouts: what each rule must know of it; see `Rule.layout`.
        joins: whether the leaf comes with a first axis of size 1 that is taken off, and leaves with one that is added.
    """

    active: tuple[bool, ...]
    flags: tuple[tuple[tuple[str, bool], ...], ...]
    dtype: Any
    layouts: tuple[Any, ...]
    joins: tuple[bool, bool] = (False, False)


def make_kernel(rules: Sequence[Rule]) -> Callable[..., tuple[Any, list[Slots], Any]]:
    """Return the function `(g, slots, p, ks, plan, turn) -> (update, new slots, next turn)` of a row of rules.

    It is to be compiled; a turn that is None waits for no other leaf.
    """
    elementwise = all(rule.elementwise for rule in rules)  # else computing each result for itself repeats whole sums
    reads_old = elementwise and any(rule.reads_old for rule in rules)
    # a rule that sums the leaf up has XLA write what those before it make of it, and the leaf waits in the first of
    # them: of their value times a number XLA would write both
    summed = [a.elementwise and not all(b.elementwise for b in rules[i:]) for i, a in enumerate(rules)]

    def run(
        g: Any, slots: list[Slots], p: Any, ks: list[Any], plan: Static, turn: Any = None
    ) -> tuple[Any, list[Slots], Any]:
        out, (joined, joins), waits = [], plan.value.joins, False
        handed: list[jax.Array] = []
        g = lax.squeeze(g, (0,)) if joined else g
        seen = {"gradient": g, "hand_on": Static(handed.append)}
        fixed = zip(summed, plan.value.active, plan.value.flags, plan.value.layouts, strict=True)
        for rule, old, k, (is_summed, on, flags, layout) in zip(rules, slots, ks, fixed, strict=True):
            new = old
            if on:
                own = {**k, **freeze({**dict(flags), **({"turn": turn} if rule.writes else {})})}
                own |= seen if rule.needs_gradient else {}
                arguments = (old, p if rule.needs_params else None, own, layout)
                with jax.named_scope(rule.name):
                    value, new = apply(rule, g, *arguments)
                    if turn is not None and not waits and is_summed and value is not g:
                        value, new = apply(rule, in_turn(g, turn), *arguments)
                        waits = True
                g, waits = value, waits or (rule.writes and turn is not None)
            out.append(new)
        u = lax.convert_element_type(g, plan.value.dtype)
        return lax.expand_dims(u, (0,)) if joins else u, out, next_turn(handed[-1] if handed else u) if waits else turn

    def kernel(
        g: Any, slots: list[Slots], p: Any, ks: list[Any], plan: Static, turn: Any
    ) -> tuple[Any, list[Slots], Any]:
        arguments = (g, slots, p, ks, plan)
        if elementwise and may_share_a_loop(g, slots):
            with no_turns():
                return *one_loop(lambda *args: run(*args)[:2], *arguments), turn
        if not (reads_old and turn is not None and p is not None):
            return run(*arguments, turn)
        u = run(*arguments)[0]
        # the sum is the one of `apply_updates`, of which XLA makes one; the slots wait until the parameter is written
        own = next_turn(add(p, u))
        g, slots = jax.tree.map(lambda x: in_turn(x, own) if is_inexact(x) else x, (g, slots))
        return u, run(g, slots, *arguments[2:])[1], turn

    kernel.__name__ = "_".join(rule.name for rule in rules)
    return kernel
