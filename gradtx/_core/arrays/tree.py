"""Match trees leaf by leaf, and say at which path they do not match."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.contract.errors import describe, message, none_is_leaf, paths, tree_mismatch

INIT_FIX = "pass gradients, state and params of the one tree that init saw"


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of `tree`, None kept as a leaf, and its structure."""
    return jax.tree.flatten(tree, is_leaf=none_is_leaf)


def align(transform: str, root: str, tree: Any, treedef: Any, like_root: str, like: Any) -> list[Any]:
    """Return the subtrees of `like` at the leaves of `tree`, whose structure is `treedef`.

    Raises:
        ValueError: the trees differ; the error names the first path that does.
    """
    try:
        return list(treedef.flatten_up_to(like))
    except (ValueError, TypeError, KeyError):
        raise tree_mismatch(transform, root, tree, like_root, like, INIT_FIX) from None


def leaf_error(transform: str, root: str, tree: Any, index: int, got: str, expected: str, fix: str) -> str:
    """Return the message for the leaf of `tree` at `index`, looking its path up."""
    return message(transform, paths(root, tree)[index], got, expected, fix)


def as_float_array(transform: str, root: str, tree: Any, index: int, x: Any) -> Any:
    """Return a leaf as an array, a Python number included.

    Raises:
        TypeError: the leaf is not of a floating or complex dtype; the error names its path.
    """
    dtype = getattr(x, "dtype", None)
    if dtype is None and isinstance(x, (float, complex)):
        dtype = jax.dtypes.canonicalize_dtype(type(x))
        x = jnp.asarray(x, dtype)
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        what = describe(x)
        fix = "leave it out of the differentiated tree, or send it elsewhere with optax.partition"
        raise TypeError(leaf_error(transform, root, tree, index, f"is {what}", "a floating-point array", fix))
    return jnp.asarray(x) if isinstance(x, (np.ndarray, np.generic)) else x


def check_like(transform: str, root: str, tree: Any, index: int, shape: Any, like_root: str, like: Any) -> None:
    """Raise ValueError unless `like`, at the place of a leaf of `tree`, is an array of this shape."""
    found = shape_of(like)
    if found == shape:
        return
    path = paths(root, tree)[index]
    like_path = like_root + path[len(root) :]
    if like is None:
        raise ValueError(message(transform, like_path, "is None", f"an array of shape {shape} as {path}", INIT_FIX))
    got = f"has shape {shape}" if found is not None else f"is an array of shape {shape}"
    expected = f"shape {found} as in {like_path}" if found is not None else f"{describe(like)} as in {like_path}"
    raise ValueError(message(transform, path, got, expected, INIT_FIX))


def check_slots(transform: str, state: Any, kind: Any, slots: Sequence[str] | None = None) -> None:
    """Raise ValueError unless a state is of a kind and, where they are given, has these slots and no others."""
    if type(state) is kind and (slots is None or sorted(state.slots) == sorted(slots)):
        return
    got = f"holds the slots {sorted(state.slots)}" if type(state) is kind else f"is {describe(state)}"
    wanted = kind.__name__ if slots is None else f"{kind.__name__} with the slots {sorted(slots)}"
    raise ValueError(message(transform, "state", got, wanted, "use the state that this tx.init made"))


def shape_of(x: Any) -> tuple[int, ...] | None:
    """Return the shape of an array or a number, None for anything else."""
    if hasattr(x, "shape"):
        return tuple(x.shape)
    return () if isinstance(x, (int, float, complex)) else None


def float_leaves(
    transform: str, grads: Any, params: Any = None, *, needs_params: bool = False, root: str = "grads"
) -> tuple[Any, Any, Any]:
    """Return the leaves of the gradients, None among them, their structure, and the params at each leaf.

    This is the one check of what a transform is given: the params, where passed, must be a tree of the same
    structure and shapes; `needs_params` makes them required and their leaves arrays.

    Raises:
        ValueError: trees or shapes that differ, or params missing.
        TypeError: a leaf that is not of a floating or complex dtype.
    """
    leaves, treedef = flatten(grads)
    leaves = [g if g is None else as_float_array(transform, root, grads, i, g) for i, g in enumerate(leaves)]
    if params is None:
        if needs_params:
            fix = f"call {'update(grads, state, params)' if root == 'grads' else 'it with both trees'}"
            raise ValueError(message(transform, "params", "is None", "the params", fix))
        return leaves, treedef, [None] * len(leaves)
    p_leaves = align(transform, root, grads, treedef, "params", params)
    for i, (g, p) in enumerate(zip(leaves, p_leaves, strict=True)):
        if g is None:
            continue
        check_like(transform, root, grads, i, tuple(g.shape), "params", p)
        if needs_params:
            p_leaves[i] = as_float_array(transform, "params", grads, i, p)
    return leaves, treedef, p_leaves


Mask = Any  # a tree of bools, like the params or a prefix of it, or a function of the params that returns one


def resolve_mask(transform: str, mask: Mask | Callable[[Any], Any], tree: Any, root: str) -> Sequence[bool]:
    """Return one bool per leaf of `tree`, from a mask that may be a prefix of it or a function of it.

    Raises:
        ValueError: the mask lacks a key of `tree` or has one too many; the error names the path.
        TypeError: a leaf of the mask is not a bool.
    """
    if mask is None:
        return [True] * len(flatten(tree)[0])
    # A callable that is itself a container (an equinox module) is a mask, not a function.
    is_function = callable(mask) and jax.tree.leaves(mask) == [mask]
    mask = mask(tree) if is_function else mask
    mask_leaves, mask_def = flatten(mask)
    fix = "give the mask the keys of the params, True where the transform applies"
    try:
        below = mask_def.flatten_up_to(tree)
    except (ValueError, TypeError, KeyError):
        raise tree_mismatch(transform, "mask", mask, root, tree, fix, prefix=True) from None
    out: list[bool] = []
    for index, (active, subtree) in enumerate(zip(mask_leaves, below, strict=True)):
        leaves, _ = flatten(subtree)
        concrete = isinstance(active, (np.ndarray, jax.Array)) and not isinstance(active, jax.core.Tracer)
        is_bool = isinstance(active, (bool, np.bool_)) or (concrete and active.dtype == bool and active.shape == ())
        if not is_bool and any(leaf is not None for leaf in leaves):
            what = f"is {describe(active)}"
            raise TypeError(leaf_error(transform, "mask", mask, index, what, "True or False", fix))
        out += [bool(active)] * len(leaves)
    return out
