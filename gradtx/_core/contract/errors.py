"""Messages in one form: transform, pytree path, what was got, what was expected, how to fix it.

Paths are looked up only here, when an error is certain, so a correct program never pays for them.
"""

import dataclasses
from typing import Any, ClassVar

import jax

STATE_FIX = "use the state that this tx.init made, and tx.init(params) as the target when a checkpoint is restored"


def none_is_leaf(x: Any) -> bool:
    """Return True for None: `jax.tree` functions that are given this keep None instead of dropping it."""
    return x is None


class LeafError(ValueError):
    """A mistake in one leaf, raised where its path is not known.

    Attributes:
        index: the place of the leaf among those that were looked at.
        rest: what was got, what was expected and how to fix it.
        kind: the error that it becomes once its path is known.
    """

    kind: ClassVar[type[Exception]] = ValueError

    def __init__(self, index: int, got: str, expected: str, fix: str) -> None:
        """Hold the parts of the message."""
        self.index, self.rest = index, (got, expected, fix)
        super().__init__(message("a transform", f"leaf {index}", got, expected, fix))

    def at(self, transform: str, path: str) -> Exception:
        """Return the error with the transform's name and the leaf's path."""
        return self.kind(message(transform, path, *self.rest))


class LeafTypeError(LeafError):
    """A leaf of a kind that is not taken, such as one of another dtype; with its path it becomes a TypeError."""

    kind = TypeError


def message(transform: str, where: str, got: str, expected: str, fix: str) -> str:
    """Return `"{transform}: {where} {got}, expected {expected}; {fix}"`."""
    return f"{transform}: {where} {got}, expected {expected}; {fix}"


def paths(root: str, tree: Any) -> list[str]:
    """Return the path of every leaf of `tree`, None leaves included, as `root['a'][0]`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf=none_is_leaf)[0]
    return [root + jax.tree_util.keystr(path) for path, _ in leaves]


def describe(x: Any) -> str:
    """Return what a value is in a few words, never its numbers."""
    if x is None:
        return "None"
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        if x.dtype == jax.dtypes.float0:
            return f"float0 of shape {tuple(x.shape)}, the gradient of an integer"
        return f"{x.dtype} of shape {tuple(x.shape)}"
    if type(x) in (dict, list, tuple):
        return f"{type(x).__name__} of {len(x)}"
    return type(x).__name__


def tree_mismatch(
    transform: str, root: str, tree: Any, like_root: str, like: Any, fix: str, *, prefix: bool = False
) -> ValueError:
    """Return the error for a tree that differs from the one it should match, naming the first leaf that does.

    With `prefix`, a leaf of `tree` may stand for a whole subtree of `like`.
    """
    found = other_kind(tree, like, prefix)
    if found is not None:
        path, one, other = found
        expected = f"{describe(other)} as in {like_root}{path}"
        return ValueError(message(transform, root + path, f"is {describe(one)}", expected, fix))
    got, wanted = paths(root, tree), [root + path[len(like_root) :] for path in paths(like_root, like)]
    starts = set(got)
    for path in wanted:
        covered = path in starts or (prefix and any(path.startswith(start) for start in starts))
        if not covered:
            expected = f"a leaf there as in {like_root}{path[len(root) :]}"
            return ValueError(message(transform, path, "is missing", expected, fix))
    for path in got:
        if path not in wanted and not (prefix and any(full.startswith(path) for full in wanted)):
            got_text, expected = f"has no counterpart in {like_root}", "only its keys"
            return ValueError(message(transform, path, got_text, expected, fix))
    path, one, other = container_difference(tree, like)
    if type(one) is type(other) and isinstance(one, (str, int, float, bool)):  # a static field
        expected = f"{other!r} as in {like_root}{path}"
        return ValueError(message(transform, root + path, f"is {one!r}", expected, f"{fix}; static fields must agree"))
    if type(one) is type(other) and isinstance(one, dict) and list(one) != list(other):  # OrderedDict keeps an order
        i = next(i for i, (key, as_in) in enumerate(zip(one, other, strict=False)) if key != as_in)
        key, expected = f"has {[*one][i]!r} as key {i}", f"{[*other][i]!r} there as in {like_root}{path}"
        return ValueError(message(transform, root + path, key, expected, f"{fix}; the order of its keys counts"))
    said = [describe(one), describe(other)]
    if said[0] == said[1]:  # another function, or another tuple as long
        said, fix = [f"another {said[0]}", "the same"], f"{fix}; static fields must agree"
    return ValueError(message(transform, root + path, f"is {said[0]}", f"{said[1]} as in {like_root}{path}", fix))


def static_difference(tree: Any, like: Any) -> str | None:
    """Return the name of the first static field in which two nodes of one dataclass differ, None if there is none."""
    if type(tree) is not type(like) or not dataclasses.is_dataclass(tree):
        return None
    for field in dataclasses.fields(tree):
        one, other = getattr(tree, field.name, None), getattr(like, field.name, None)
        if not jax.tree.leaves(one, is_leaf=none_is_leaf) and not jax.tree.leaves(other, is_leaf=none_is_leaf):
            continue
        named = {str(getattr(key[0], "name", "")) for key, _ in jax.tree_util.tree_flatten_with_path(tree)[0] if key}
        try:
            differs = field.name not in named and bool(one != other)
        except Exception:  # arrays, or objects that cannot be compared
            continue
        if differs:
            return field.name
    return None


def structure(tree: Any) -> Any:
    """Return the structure of a tree, which has no type of its own."""
    return jax.tree.structure(tree)


def children_of(tree: Any) -> dict[Any, Any]:
    """Return what a node of a tree holds, by key; a leaf holds itself, without one."""
    held = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: x is not tree)[0]
    return {path[0] if path else None: child for path, child in held} if tree is not None else {None: None}


def other_kind(tree: Any, like: Any, prefix: bool, path: str = "") -> tuple[str, Any, Any] | None:
    """Return the path at which one of two trees has a leaf or a sequence and the other names, and what stands there.

    With `prefix`, a leaf of `tree` may stand for a whole subtree of `like`.
    """
    children, others = children_of(tree), children_of(like)
    if (None in children and prefix) or not (children and others):
        return None
    if {type(key) for key in children}.isdisjoint({type(key) for key in others}):
        return path, tree, like
    for key in children:
        if key is not None and key in others:
            found = other_kind(children[key], others[key], prefix, path + jax.tree_util.keystr((key,)))
            if found is not None:
                return found
    return None


def container_difference(tree: Any, like: Any, path: str = "") -> tuple[str, Any, Any]:
    """Return the path at which two trees with the same leaf paths first differ in a container, and both containers."""
    one_level = jax.tree_util.tree_flatten_with_path
    field = static_difference(tree, like)
    if field is not None:
        return f"{path}.{field}", getattr(tree, field), getattr(like, field)
    children, others = (one_level(x, is_leaf=lambda y, x=x: y is not x)[0] for x in (tree, like))
    if type(tree) is type(like):
        for (key, child), (_, other) in zip(children, others, strict=False):
            if structure(child) != structure(other):
                return container_difference(child, other, path + jax.tree_util.keystr(key))
    return path, tree, like
