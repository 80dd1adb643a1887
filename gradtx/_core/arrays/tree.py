"""Match trees leaf by leaf, and say at which path they do not match."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.arrays.numerics import wider_of
from gradtx._core.contract.errors import STATE_FIX, describe, message, none_is_leaf, paths, tree_mismatch

MOST_AT_ONCE = 256  # arrays; outside jit more are updated leaf by leaf, since compiling takes longer with each
INIT_FIX = "pass gradients, state and params of the one tree that init saw"


def is_float0(x: Any) -> bool:
    """Return True if x is what jax gives as the gradient of an integer."""
    return getattr(x, "dtype", None) == jax.dtypes.float0


def has_gradient(g: Any) -> bool:
    """Return True if a leaf of the gradients is one: neither None nor the float0 of an integer parameter."""
    return g is not None and not is_float0(g)


def is_trainable(p: Any) -> bool:
    """Return False for what has no gradient by its kind: integers, bools, keys; what is no array at all is an error."""
    dtype = getattr(p, "dtype", None)
    return not isinstance(p, int) if dtype is None else bool(jnp.issubdtype(dtype, jnp.inexact))


def is_traced(tree: Any) -> bool:
    """Return True if a tree holds a value that is not known yet."""
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


def few_arrays(tree: Any) -> bool:
    """Return True if a tree holds arrays alone, none traced, few enough to compile the update of all in one program."""
    leaves = jax.tree.leaves(tree)
    kinds = set(map(type, leaves))
    numbers = all(issubclass(kind, jax.Array) and not issubclass(kind, jax.core.Tracer) for kind in kinds)
    return numbers and len(leaves) <= MOST_AT_ONCE


def promoted(g: Any, p: Any) -> Any:
    """Return the dtype of an update, which is that of optax's: the wider of gradient and parameter."""
    dtype = getattr(p, "dtype", None)
    if dtype is None or dtype == g.dtype or not jnp.issubdtype(dtype, jnp.inexact):
        return g.dtype
    with jax.numpy_dtype_promotion("standard"):
        try:
            return jnp.promote_types(g.dtype, dtype)
        except ValueError:  # floats of 8 bits and fewer, of which jax promotes none
            return wider_of(jnp.dtype(g.dtype), jnp.dtype(dtype))


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
        fix = "leave it out of the differentiated tree, or send it elsewhere with partition"
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


def check_dimensions(
    transform: str, root: str, tree: Any, index: int, shape: tuple[int, ...], ndims: tuple[int, ...] | None
) -> None:
    """Raise ValueError unless a leaf of this shape has one of these numbers of dimensions."""
    if ndims is None or len(shape) in ndims:
        return
    expected = f"{' or '.join(map(str, ndims))} dimension{'s' if ndims != (1,) else ''}"
    fix = "send it to another transform with partition, or leave it out by a mask"
    raise ValueError(leaf_error(transform, root, tree, index, f"has shape {tuple(shape)}", expected, fix))


def param_leaves(transform: str, params: Any, leaves: Sequence[Any], active: Sequence[bool]) -> list[Any]:
    """Return the parameters that get slots: None for those without a gradient, and where a mask says no."""
    return [
        as_float_array(transform, "params", params, i, p) if on and p is not None and is_trainable(p) else None
        for i, (p, on) in enumerate(zip(leaves, active, strict=True))
    ]


def check_slots(transform: str, state: Any, kind: Any, slots: Sequence[str] | None = None) -> None:
    """Raise ValueError unless a state is of a kind and, where they are given, has these slots and no others."""
    if type(state) is kind and (slots is None or sorted(state.slots) == sorted(slots)):
        return
    got = f"holds the slots {sorted(state.slots)}" if type(state) is kind else f"is {describe(state)}"
    wanted = kind.__name__ if slots is None else f"{kind.__name__} with the slots {sorted(slots)}"
    raise ValueError(message(transform, "state", got, wanted, STATE_FIX))


def shape_of(x: Any) -> tuple[int, ...] | None:
    """Return the shape of an array or a number, None for anything else."""
    if hasattr(x, "shape"):
        return tuple(x.shape)
    return () if isinstance(x, (int, float, complex)) else None


def shapes_of(slot: Any) -> Any:
    """Return the shape of a slot's array, or a tuple of the shapes of its arrays; None where it is neither."""
    return tuple(shapes_of(x) for x in slot) if type(slot) is tuple else shape_of(slot)


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
    leaves = [as_float_array(transform, root, grads, i, g) if has_gradient(g) else g for i, g in enumerate(leaves)]
    if params is None:
        if needs_params:
            fix = f"call {'update(grads, state, params)' if root == 'grads' else 'it with both trees'}"
            raise ValueError(message(transform, "params", "is None", "the params", fix))
        return leaves, treedef, [None] * len(leaves)
    p_leaves = align(transform, root, grads, treedef, "params", params)
    for i, (g, p) in enumerate(zip(leaves, p_leaves, strict=True)):
        if not has_gradient(g):
            continue
        check_like(transform, root, grads, i, tuple(g.shape), "params", p)
        if needs_params:
            p_leaves[i] = as_float_array(transform, "params", grads, i, p)
    return leaves, treedef, p_leaves
