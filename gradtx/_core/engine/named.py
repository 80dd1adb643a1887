"""Find a value in any state by its name: of a slot or a key of a dict, of a field or a kind of named tuple."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradtx._core.arrays.codes import decoded, encoded
from gradtx._core.contract.errors import message

MOST_LISTED = 8  # paths in an error
Path = tuple[Any, ...]
Filter = Callable[[Path, Any], bool]
CHOOSE = (
    "choose by filtering=lambda path, value: ..., a function that returns True at one of them, such as"
    " jax.tree_util.keystr(path).startswith({!r})"
)


class PathError(KeyError):
    """A name that stands nowhere in a tree, or in several places."""

    def __str__(self) -> str:
        """Print the message as it is: a KeyError would print it in quotes, and those within it with backslashes."""
        return str(self.args[0])


def tree_get_all_with_path(tree: Any, key: Any, filtering: Filter | None = None) -> list[tuple[Path, Any]]:
    """Return each value of a name in a state, with its path.

    Args:
        tree: the state, gradtx's or optax's, or any other tree.
        key: the name of a slot or of any key of a dict, of a field of a named tuple, or of a kind of named tuple. A
            slot that is kept in few bits comes as the arrays it stands for.
        filtering: `(path, value) -> bool`, True for the values that are wanted; None for all.

    Returns:
        A list of (path, value); a key of a path that is a field is an `optax.tree_utils.NamedTupleKey`.
    """
    return [(path, decoded(x)) for path, x in optax.tree_utils.tree_get_all_with_path(tree, key, filtering)]


def tree_get(tree: Any, key: Any, default: Any | None = None, filtering: Filter | None = None) -> Any:
    """Return the value of a name in a state, such as a slot's.

    Several scalars that are known and equal, as the counts of a chain are, count as one, so that
    `get(state, "count")` is the number of updates.

    Args:
        tree: the state, gradtx's or optax's, or any other tree.
        key: the name of a slot or of any key of a dict, of a field of a named tuple, or of a kind of named tuple.
        default: what is returned where the name is nowhere.
        filtering: `(path, value) -> bool`, True for the value that is wanted; see `tree_get_all_with_path`.

    Raises:
        KeyError: there are several values; the error lists their paths.
    """
    found = tree_get_all_with_path(tree, key, filtering)
    if not found:
        return default
    first = found[0][1]
    if all(value is first or same_scalar(value, first) for _, value in found):
        return first
    got = f"has {len(found)} values of {key!r}, at {listed([path for path, _ in found])}"
    start = jax.tree_util.keystr(found[0][0])
    raise PathError(message("tree.get", "tree", got, "one", CHOOSE.format(start)))


def tree_set(tree: Any, filtering: Filter | None = None, /, **kwargs: Any) -> Any:
    """Return a state with other values at some names; the state itself is not changed.

    Args:
        tree: the state, gradtx's or optax's, or any other tree.
        filtering: `(path, value) -> bool`, True for the values that are replaced; None for all of these names.
        **kwargs: the new value of each name; where it is found several times it replaces them all.

    Raises:
        KeyError: a name is nowhere, or `filtering` leaves no value of it.
    """
    for key in kwargs:
        if not tree_get_all_with_path(tree, key, filtering):
            there = tree_get_all_with_path(tree, key)
            got = f"has no {key!r}"
            if there:
                got = f"has {key!r} at {listed([path for path, _ in there])}, of which filtering leaves none"
            fix = "give a name that stands in the state; print(state) shows them"
            raise PathError(message("tree.set", "tree", got, "one at least", fix))
    return replaced(tree, (), kwargs, filtering)


def replaced(node: Any, path: Path, values: Mapping[str, Any], filtering: Filter | None) -> Any:
    """Return a part of a tree, which stands at `path`, with the new values in place of the old."""

    def wanted(name: Any, where: Path, value: Any) -> bool:
        return name in values and (filtering is None or filtering(where, value))

    kind = type(node).__name__
    fields = getattr(node, "_fields", None) if isinstance(node, tuple) else None
    if fields is not None and wanted(kind, path, node):
        return values[kind]
    pairs, treedef = one_level(node)
    if jax.tree_util.treedef_is_leaf(treedef):
        return node
    children = []
    for i, (key, child) in enumerate(pairs):
        name = None
        if fields is not None:
            name, key = fields[i], (optax.tree_utils.NamedTupleKey(kind, fields[i]),)
        elif isinstance(node, dict):
            name = getattr(key[0], "key", None)
        where = (*path, *key)
        new = name is not None and wanted(name, where, child)
        children.append(encoded(values[str(name)], child) if new else replaced(child, where, values, filtering))
    return treedef.unflatten(children)


def one_level(node: Any) -> tuple[list[tuple[Path, Any]], Any]:
    """Return the children of a node with their keys, and how to make it of them."""
    pairs, treedef = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda x: x is not node)
    return pairs, treedef


def same_scalar(x: Any, y: Any) -> bool:
    """Return True if two values are scalars that are known, and equal."""
    return all(map(is_known_scalar, (x, y))) and bool(np.asarray(x) == np.asarray(y))


def is_known_scalar(x: Any) -> bool:
    """Return True for a number, also one in an array of no dimensions, whose value can be read here and now."""
    if isinstance(x, jax.core.Tracer):
        return False
    if isinstance(x, jax.Array):
        return bool(x.shape == () and jnp.issubdtype(x.dtype, jnp.number) and x.is_fully_replicated)
    return isinstance(x, (bool, int, float, complex, np.generic, np.ndarray)) and np.shape(x) == ()


def listed(places: list[Path]) -> str:
    """Return paths as one text, the first few of many."""
    texts = [jax.tree_util.keystr(path) or "its root" for path in places[:MOST_LISTED]]
    more = f" and {len(places) - MOST_LISTED} more" if len(places) > MOST_LISTED else ""
    return ", ".join(texts) + more
