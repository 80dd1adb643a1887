"""Whether trees are finite, without an array as large as a leaf; and for which transforms finite gradients suffice."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.ranges import is_number
from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes, split_over, summed_over
from gradtx._core.arrays.norm import square
from gradtx._core.arrays.numerics import INT32_MAX, accumulator, scalar_dtype
from gradtx._core.arrays.tree import flatten, has_gradient, is_trainable
from gradtx._core.contract.errors import LeafError, paths
from gradtx._core.engine.chain import is_chain
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.order import opened

LARGEST = 1e9  # a hyperparameter beyond it may take an update of finite numbers out of float32's range


def inexact(tree: Any) -> list[tuple[int, jax.Array]]:
    """Return (place, array) of each floating or complex leaf of a tree."""
    leaves = enumerate(flatten(tree)[0])
    return [(i, jnp.asarray(x)) for i, x in leaves if has_gradient(x) and is_trainable(x)]


def check_split(name: str, root: str, tree: Any, axis_name: AxisName) -> list[tuple[int, jax.Array]]:
    """Return (place, array) of each floating or complex leaf of a tree.

    Raises:
        ValueError: a leaf varies over a manual axis of `shard_map` that is not among `axis_name`.
    """
    found = inexact(tree)
    try:
        check_axes([x for _, x in found], axis_name)
    except LeafError as error:
        raise error.at(name, paths(root, tree)[found[error.index][0]]) from None
    return found


def all_finite(name: str, root: str, tree: Any, axis_name: AxisName) -> jax.Array:
    """Return True if a tree holds finite numbers only, on all shards; see `check_split`."""
    check_split(name, root, tree, axis_name)
    return ~found_bad(tree, axis_name)[0]


def squares_of(name: str, root: str, tree: Any, axis_name: AxisName) -> tuple[list[int], list[jax.Array]]:
    """Return the places of the leaves of a tree that hold floating numbers, and the sum of squares of each.

    Such a sum is finite where all numbers are and their squares too; it is read from the leaf in one pass. See
    `check_split`.
    """
    found = check_split(name, root, tree, axis_name)
    leaves = [x for _, x in found]
    sums = summed_over([square(x) for x in leaves], leaves, axis_name)
    return [i for i, _ in found], [lax.convert_element_type(s, scalar_dtype()) for s in sums]


def first_of(places: Sequence[int], bad: Sequence[jax.Array]) -> jax.Array:
    """Return the first of these places that is bad, -1 where none is."""
    if not places:
        return jnp.full((), -1, jnp.int32)
    found = jnp.where(jnp.stack(list(bad)), jnp.asarray(places, jnp.int32), INT32_MAX)
    first = jnp.min(found)
    return jnp.where(first == INT32_MAX, jnp.full((), -1, jnp.int32), first)


@jax.jit
def is_bad(x: jax.Array) -> jax.Array:
    """Return True if an array holds a number that is not finite.

    x - x is 0 for a finite x and NaN for others. XLA:CPU sums it up as it goes; a comparison it would write out first.
    """
    wide = lax.convert_element_type(x, accumulator(x.dtype))
    return ~jnp.isfinite(jnp.sum(wide - wide))


def found_bad(tree: Any, axis_name: AxisName) -> tuple[jax.Array, jax.Array]:
    """Return whether a tree holds a number that is not finite, on any shard, and the place of the first such leaf."""
    leaves = inexact(tree)
    bad = []
    for _, x in leaves:
        over = split_over(x, axis_name)
        own = is_bad(x)
        bad.append(lax.psum(own.astype(jnp.int32), over) > 0 if over else own)
    first = first_of([i for i, _ in leaves], bad)
    return first >= 0, first


def links_of(tx: Any, state: Any = None) -> list[tuple[Any, Any]]:
    """Return (body, state) of each transform of a chain, or of a transform; the body of one of optax's is None."""
    tx = opened(tx)
    links = tx.body.links if is_chain(tx) else [tx]
    states = [None] * len(links) if state is None else tx.body.unpacked(state) if is_chain(tx) else [state]
    pairs = zip(links, states, strict=True)
    return [(getattr(link, "body", None), own) for link, own in pairs if getattr(link, "role", "") != "identity"]


def stays_finite(tx: Any, grads: Any, params: Any) -> bool:
    """Return True if finite squares of the gradients make the update and the new state finite; see `ordinary` too.

    That is so for the methods of gradtx that work on each number by itself, where the params and the state are finite
    and nothing is in float16; a test holds each of them to it. For all others the results must be looked at.
    """
    bodies = [body for body, _ in links_of(tx)]
    half = any(x.dtype == jnp.float16 for tree in (grads, params) for _, x in inexact(tree))
    if half or not all(isinstance(body, Leafwise) for body in bodies):
        return False
    rules = [body.rule for body in bodies]
    bounded = all(rule.whole_tree is None or rule.role == "limit" for rule in rules)
    simple = all(
        rule.is_ours
        and rule.elementwise
        and not (rule.extra or rule.memory or rule.where or rule.layout or rule.together)
        for rule in rules
    )
    numbers = [value for rule in rules for value in rule.hyper.values() if is_number(value)]
    return bounded and simple and all(abs(value) <= LARGEST for value in numbers)


def ordinary(tx: Any, state: Any) -> jax.Array:
    """Return True if what arrays and schedules give at this step is finite, and of ordinary size."""
    good = jnp.ones((), bool)
    for body, own in links_of(tx, state):
        for value in body.rule.hyper.values():
            if not (is_number(value) or value is None or isinstance(value, (bool, str))):
                good &= jnp.abs(read(value, own.count, own.event)) <= LARGEST
    return good
