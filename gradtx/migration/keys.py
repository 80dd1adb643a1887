"""A readable name for every array of a state: the transform that keeps it, what it is, the path of its parameter.

Names depend neither on where a transform stands in a chain nor on a wrapper around it, so that a state finds its way
into a chain that has changed.
"""

import dataclasses
from typing import Any, NamedTuple

import jax

from gradtx._core.contract.errors import STATE_FIX, describe, message
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Plain, Transform
from gradtx._core.engine.chain import is_chain
from gradtx._core.engine.parts import parts

UNNAMED = ("chain", "named_chain")  # they only hold others: what is put into one keeps the names it had


class Entry(NamedTuple):
    """Where an array of a state belongs.

    Attributes:
        transform: the transform that keeps it, with those around it, such as "adamw/scale_by_adam".
        name: the slot or scalar, such as "mu" or "count".
        path: the path of its parameter, such as "mlp/0/w"; empty for a scalar of the whole tree.
    """

    transform: str
    name: str
    path: str

    @property
    def key(self) -> str:
        """The key of the array in a flat dict."""
        return "/".join(part for part in self if part)


@dataclasses.dataclass(frozen=True)
class Mark:
    """What stands in a state in place of its array number `index`, so that it is found again inside a part."""

    index: int


def segments(path: tuple[Any, ...]) -> list[str]:
    """Return the steps of a path in a tree as text."""
    return [jax.tree_util.keystr((step,), simple=True) for step in path]


def entries(caller: str, tx: Any, state: Any) -> list[Entry]:
    """Return an entry for each array of a state, in the order in which `jax.tree.leaves` gives them.

    Raises:
        ValueError: the state is not one of `tx`, or two arrays have one key.
    """
    leaves, treedef = jax.tree.flatten(state)
    marked = jax.tree.unflatten(treedef, [Mark(i) for i in range(len(leaves))])
    found: dict[int, Entry] = {}
    add(caller, tx, marked, "", found, {})
    named = [found[i] for i in range(len(leaves))]
    keys = [entry.key for entry in named]
    twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
    if twice is not None:
        fix = "rename a key of the params that has a / in it"
        raise ValueError(message(caller, f"the key {twice!r}", "stands for two arrays", "one", fix))
    return named


EVERY = "(rest)"  # a rule of `by_path` that takes whatever is left has no text


def add(caller: str, tx: Any, state: Any, prefix: str, found: dict[int, Entry], seen: dict[str, int]) -> None:
    """Add the entries of a transform's state, whose arrays are marks; `seen` counts the transforms by their name."""
    held = parts(tx, state)
    check(caller, tx, state, has_parts=bool(held))
    title, outer = title_of(tx, state), prefix
    if title:
        seen[prefix + title] = seen.get(prefix + title, 0) + 1
        times = seen[prefix + title]
        prefix += title + (f"#{times}/" if times > 1 else "/")
    # what stands round ONE transform leaves its names alone: `watch` or a guard may come or go in the middle of a run
    around_one = len(held) == 1 and held[0].label is None and not is_chain(tx)
    within = outer if around_one else prefix
    for part in held:
        if is_new(part.state, found):
            below = within if part.label is None else f"{within}{part.label or EVERY}/"
            add(caller, part.tx, part.state, below, found, seen)
    if not isinstance(tx, Transform) and type(state) is tuple:  # optax's chains
        for own in state:
            if is_new(own, found):
                add(caller, None, own, prefix, found, seen)
    for path, mark in jax.tree_util.tree_flatten_with_path(state)[0]:
        if mark.index not in found:
            name, *rest = steps_of(state, segments(path))
            found[mark.index] = Entry(prefix.removesuffix("/"), name, "/".join(rest))


def is_new(state: Any, found: dict[int, Entry]) -> bool:
    """Return True if a part of a state holds arrays, and none of them has an entry yet."""
    marks = jax.tree.leaves(state)
    return bool(marks) and all(mark.index not in found for mark in marks)


def steps_of(state: Any, path: list[str]) -> list[str]:
    """Return the name of an array in its transform's state, and the steps to its parameter."""
    if type(state) is LeafState and path[0] in ("slots", "memory"):
        return path[1:]
    return path or ["state"]


def title_of(tx: Any, state: Any) -> str:
    """Return how a transform is called in keys, empty where it adds nothing; optax's go by the type of their state."""
    if isinstance(tx, Transform):
        return "" if is_chain(tx) and tx.name in UNNAMED else tx.name
    if type(state) is tuple:
        return ""
    return "transform" if isinstance(state, (Mark, dict, list)) else type(state).__name__


def check(caller: str, tx: Any, state: Any, *, has_parts: bool) -> None:
    """Raise ValueError unless a state has the form of those of a transform that holds no other; containers look."""
    if has_parts or not isinstance(tx, Transform) or isinstance(tx.body, Plain) or tx.body.fits(state):
        return
    got, expected = f"is {describe(state)}", f"a state of {tx.name}"
    raise ValueError(message(caller, "state", got, expected, STATE_FIX))
