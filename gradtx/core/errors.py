"""Say what went wrong in one form: transform, pytree path, what was got, what was expected, how to fix it.

Paths are looked up only here, when an error is certain, so a correct program never pays for them.
"""

from typing import Any

import jax

MAX_SHOWN = 160


def none_is_leaf(x: Any) -> bool:
    """Tell `jax.tree` functions to keep None where it stands instead of dropping it."""
    return x is None


def message(transform: str, where: str, got: str, expected: str, fix: str) -> str:
    """Return `"{transform}: {where} {got}, expected {expected}; {fix}"`."""
    return f"{transform}: {where} {got}, expected {expected}; {fix}"


def paths(root: str, tree: Any) -> list[str]:
    """Return the path of every leaf of `tree`, None leaves included, as `root['a'][0]`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=none_is_leaf)[0]
    return [root + jax.tree_util.keystr(path) for path, _ in leaves]


def describe(x: Any) -> str:
    """Say what a value is in a few words, never its numbers."""
    if x is None:
        return "None"
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype} of shape {tuple(x.shape)}"
    children = jax.tree.leaves(x)
    if children and children[0] is not x:
        return f"{type(x).__name__} of {len(children)} leaves"
    return f"{type(x).__name__}"


def tree_mismatch(
    transform: str, root: str, tree: Any, like_root: str, like: Any, fix: str, *, prefix: bool = False
) -> ValueError:
    """Return the error for a tree that differs from the one it should match, naming the first leaf that does.

    With `prefix`, a leaf of `tree` may stand for a whole subtree of `like`.
    """
    got, wanted = paths(root, tree), [root + path[len(like_root) :] for path in paths(like_root, like)]
    starts = set(got)
    for path in wanted:
        covered = path in starts or (prefix and any(path.startswith(start) for start in starts))
        if not covered:
            expected = f"a leaf there as in {like_root}{path[len(root) :]}"
            return ValueError(message(transform, path, "is missing", expected, fix))
    for path in got:
        if path not in wanted and not (prefix and any(full.startswith(path) for full in wanted)):
            return ValueError(message(transform, path, f"is not in {like_root}", f"the leaves of {like_root}", fix))
    structure = str(jax.tree.structure(tree))[:MAX_SHOWN]
    expected = str(jax.tree.structure(like))[:MAX_SHOWN]
    return ValueError(message(transform, root, f"has the containers {structure}", expected, fix))
