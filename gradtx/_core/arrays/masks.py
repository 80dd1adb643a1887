"""What is said leaf by leaf of a tree, whole, by a prefix or by a function: masks, labels, specs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gradtx._core.arrays.tree import flatten, leaf_error
from gradtx._core.contract.errors import describe, none_is_leaf, tree_mismatch

Mask = Any  # a tree of bools, like the params or a prefix of it, or a function of the params that returns one


def match_by_keys(mask: Any, tree: Any) -> tuple[list[Any], list[Any]] | None:
    """Return the leaf of the mask for each leaf of the tree, by their keys, None where one of either has no match.

    A mask given as a dict fits params in another container with the same keys, such as flax's FrozenDict. One made of
    nnx's variables fits the bare arrays that `nnx.Optimizer` passes: the `.value` of a box is no key.
    """
    box = jax.tree_util.GetAttrKey("value")

    def keyed(x: Any) -> list[tuple[tuple[str, ...], Any]]:
        flat = jax.tree_util.tree_flatten_with_path(x, is_leaf=none_is_leaf)[0]
        return [(tuple(jax.tree_util.keystr((k,), simple=True) for k in path if k != box), leaf) for path, leaf in flat]

    masks, leaves = dict(keyed(mask)), keyed(tree)
    ends = [next((path[:n] for n in range(len(path) + 1) if path[:n] in masks), None) for path, _ in leaves]
    if None in ends or set(ends) != set(masks):
        return None
    return [masks[end] for end in ends if end is not None], [leaf for _, leaf in leaves]


def at_each_leaf(
    transform: str, what: str, given: Any, tree: Any, root: str, fix: str
) -> tuple[Any, list[tuple[Any, int, Any]]]:
    """Return a tree of settings, and for each leaf of `tree` its setting, the place of that, and the leaf.

    The tree may be a prefix of `tree`, or a function of it that returns one.

    Raises:
        ValueError: it lacks a key of `tree` or has one too many; the error names the path.
    """
    if not flatten(tree)[0]:  # nothing to choose from, such as the placeholder of optax.tree_map_params
        return given, []
    # A callable that is itself a container (an equinox module) is a tree, not a function.
    is_function = callable(given) and jax.tree.leaves(given) == [given]
    given = given(tree) if is_function else given
    settings, treedef = flatten(given)
    try:
        below = treedef.flatten_up_to(tree)
    except (ValueError, TypeError, KeyError):
        by_keys = match_by_keys(given, tree)
        if by_keys is None:
            raise tree_mismatch(transform, what, given, root, tree, fix, prefix=True) from None
        settings, below = by_keys
    pairs = enumerate(zip(settings, below, strict=True))
    return given, [(setting, i, leaf) for i, (setting, subtree) in pairs for leaf in flatten(subtree)[0]]


def resolve_mask(
    transform: str, mask: Mask | Callable[[Any], Any], tree: Any, root: str, what: str = "mask"
) -> Sequence[bool]:
    """Return one bool per leaf of `tree`, from a mask that may be a prefix of it or a function of it.

    `what` is what errors call the mask.

    Raises:
        ValueError: the mask lacks a key of `tree` or has one too many; the error names the path.
        TypeError: a leaf of the mask is not a bool.
    """
    if mask is None:
        return [True] * len(flatten(tree)[0])
    fix = f"give the {what} the keys of the params, True or False for each"
    mask, found = at_each_leaf(transform, what, mask, tree, root, fix)
    out: list[bool] = []
    for active, index, leaf in found:
        concrete = isinstance(active, (np.ndarray, jax.Array)) and not isinstance(active, jax.core.Tracer)
        is_bool = isinstance(active, (bool, np.bool_)) or (concrete and active.dtype == bool and active.shape == ())
        if not is_bool and leaf is not None:
            got = f"is {describe(active)}"
            raise TypeError(leaf_error(transform, what, mask, index, got, "True or False", fix))
        out.append(is_bool and bool(active))
    return out
