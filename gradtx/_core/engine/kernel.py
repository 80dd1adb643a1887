"""A row of rules on one leaf as one function: numbers stay constants in it, arrays come in one dtype.

The lift calls it once for each leaf; jit traces it once per distinct leaf shape.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import real, wider
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


def may_share_a_loop(g: jax.Array, slots: Sequence[Slots]) -> bool:
    """Say whether XLA:CPU may write these in one loop: told so by its flag in the environment, and all of one dtype."""
    told = "xla_cpu_use_multi_output_fusion" in os.environ.get("XLA_FLAGS", "")
    return told and {x.dtype for member in slots for x in member.values()} == {g.dtype}


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


def make_kernel(rules: Sequence[Rule]) -> Callable[..., tuple[Any, list[Slots]]]:
    """Return the function `(g, slots, p, ks, active) -> (update, new slots)` of a row of rules, to be compiled."""

    def run(g: Any, slots: list[Slots], p: Any, ks: list[Any], active: Static) -> tuple[Any, list[Slots]]:
        out = []
        for rule, old, k, on in zip(rules, slots, ks, active.value, strict=True):
            new = old
            if on:
                with jax.named_scope(rule.name):
                    g, new = apply(rule, g, old, p if rule.needs_params else None, k)
            out.append(new)
        return g, out

    def kernel(g: Any, slots: list[Slots], p: Any, ks: list[Any], active: Static) -> tuple[Any, list[Slots]]:
        arguments = (g, slots, p, ks, active)
        return one_loop(run, *arguments) if may_share_a_loop(g, slots) else run(*arguments)

    kernel.__name__ = "_".join(rule.name for rule in rules)
    return kernel
