"""The groups that a report shows: by default the keys of the first level of the params that has two or more."""

from typing import Any

import jax

from gradtx._core.contract.errors import tree_mismatch

FIX = "give each leaf a label"


def depth(params: Any) -> int:
    """Return the first level of the tree at which its leaves have two or more keys, that of the leaf where none has."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    level = 0
    while paths and all(len(path) > level + 1 for path in paths) and len({path[level] for path in paths}) == 1:
        level += 1
    return level


def default_label(path: Any, level: int) -> str:
    """Return the name of the key at a level; a number gets the name of what it counts before it, `layers.0`."""
    if not path:
        return "params"
    name = jax.tree_util.keystr(path[level : level + 1], simple=True)
    before = jax.tree_util.keystr(path[level - 1 : level], simple=True) if level else ""
    return f"{before}.{name}" if name.isdigit() and before else name


def group_labels(groups: Any, params: Any, level: int) -> list[str]:
    """Return the group of each leaf.

    Args:
        groups: None for the keys at `level`, or what the user's function or tree of labels says.
        params: the parameters, or a tree like them.
        level: of the keys of the default groups.
    """
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    if groups is None:
        return [default_label(path, level) for path, _ in leaves]
    if callable(groups):
        return [str(groups(jax.tree_util.keystr(path))) for path, _ in leaves]
    try:
        labels = jax.tree.leaves(
            jax.tree.map(lambda label, below: [label] * len(jax.tree.leaves(below)), groups, params)
        )
    except ValueError:
        raise tree_mismatch("watch", "groups", groups, "params", params, FIX, prefix=True) from None
    if len(labels) != len(leaves):
        raise tree_mismatch("watch", "groups", groups, "params", params, FIX, prefix=True)
    return [str(label) for label in labels]
