"""A row of rules on one leaf as one function: numbers stay constants in it, arrays come in one dtype.

The lift calls it once for each leaf; jit traces it once per distinct leaf shape.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import real, wider
from gradtx._core.contract.errors import message
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
    return k if isinstance(k, jax.Array) else Static(k)


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


def apply(rule: Rule, g: jax.Array, slots: Slots, p: jax.Array | None, k: Any) -> tuple[Any, Slots]:
    """Run a rule on one leaf: inexact arrays in one accumulator dtype, slots back in the dtypes they are stored in."""
    dtype = wider(g.dtype, g.dtype)
    for x in [*slots.values(), *([] if p is None else [p])]:
        dtype = wider(dtype, x.dtype) if is_inexact(x) else dtype

    def cast(x: jax.Array) -> jax.Array:
        if not is_inexact(x):
            return x
        return lax.convert_element_type(x, dtype if jnp.iscomplexobj(x) else real(dtype))

    wide = {key: cast(slot) for key, slot in slots.items()}
    # under strict promotion a real scalar of the step times a complex array would be refused
    mixed = jax.numpy_dtype_promotion("standard") if jnp.issubdtype(dtype, jnp.complexfloating) else nullcontext()
    with mixed:
        value, new = rule.update(cast(g), wide, None if p is None else cast(p), thaw(k, real(dtype)))
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
        if new[key].shape != slot.shape:
            got = f"returned shape {tuple(new[key].shape)}"
            raise ValueError(message(rule.name, f"slot {key!r}", got, f"{tuple(slot.shape)} as init", "keep its shape"))
        if is_inexact(new[key]) != is_inexact(slot):
            got, fix = f"returned {new[key].dtype}", "round and cast it in the rule"
            raise TypeError(message(rule.name, f"slot {key!r}", got, f"{slot.dtype} as init made it", fix))
    return {key: lax.convert_element_type(new[key], slot.dtype) for key, slot in old.items()}


MOST_SLOTS = 3  # that one loop may write; of one with more than 14 operands, numbers among them, XLA copies slots


def may_share_a_loop(g: jax.Array, slots: Sequence[Slots]) -> bool:
    """Return True if XLA:CPU may write these in one loop: its flag is set, they are few, and all are of one dtype."""
    told = "xla_cpu_use_multi_output_fusion" in os.environ.get("XLA_FLAGS", "")
    dtypes = [x.dtype for x in jax.tree.leaves(slots)]  # a masked leaf has none
    return told and len(dtypes) <= MOST_SLOTS and set(dtypes) == {g.dtype}


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
        dtype: the dtype of its update.
    """

    active: tuple[bool, ...]
    dtype: Any


def make_kernel(rules: Sequence[Rule]) -> Callable[..., tuple[Any, list[Slots]]]:
    """Return the function `(g, slots, p, ks, plan) -> (update, new slots)` of a row of rules, to be compiled."""
    elementwise = all(rule.elementwise for rule in rules)  # else computing each result for itself repeats whole sums

    def run(g: Any, slots: list[Slots], p: Any, ks: list[Any], plan: Static) -> tuple[Any, list[Slots]]:
        out = []
        for rule, old, k, on in zip(rules, slots, ks, plan.value.active, strict=True):
            new = old
            if on:
                with jax.named_scope(rule.name):
                    g, new = apply(rule, g, old, p if rule.needs_params else None, k)
            out.append(new)
        return lax.convert_element_type(g, plan.value.dtype), out

    def kernel(g: Any, slots: list[Slots], p: Any, ks: list[Any], plan: Static) -> tuple[Any, list[Slots]]:
        arguments = (g, slots, p, ks, plan)
        return one_loop(run, *arguments) if elementwise and may_share_a_loop(g, slots) else run(*arguments)

    kernel.__name__ = "_".join(rule.name for rule in rules)
    return kernel
