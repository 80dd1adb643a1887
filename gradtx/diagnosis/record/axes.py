"""Sums over the devices of a manual axis: what a step of `shard_map` must add up so that its numbers are those of all.

Inside `shard_map` each device sees its own part of a leaf that is split, and the whole of one that is not. The type of
an array says over which axes its parts differ; only over those may it be summed.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.compat import manual_axes
from gradtx._core.contract.errors import message, none_is_leaf, paths

Names = tuple[str, ...]


def named(axis_name: Any) -> Names:
    """Return the axis names that an `axis_name` argument holds."""
    return () if axis_name is None else tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


def is_bound(name: str) -> bool:
    """Return True inside a `shard_map`, `pmap` or `vmap` that binds the axis."""
    try:
        lax.axis_size(name)
    except NameError:
        return False
    return True


def split_over(x: jax.Array, names: Names) -> Names:
    """Return the axes of `names` that a leaf is split over.

    Where types do not tell (`check_vma=False`, `pmap`), every leaf is taken to be split over each bound axis.
    """
    bound = [name for name in names if is_bound(name)]
    told = {name for name in bound if manual_axes(lax.axis_index(name))}
    return tuple(name for name in bound if name not in told or name in manual_axes(x))


def parts(names: Names) -> int:
    """Return into how many parts these axes split a leaf."""
    return math.prod(lax.axis_size(name) for name in names)


def sum_over(values: Sequence[jax.Array], over: Sequence[Names]) -> list[jax.Array]:
    """Return each array summed over its own axes, with one collective for all that share their axes."""
    out = list(values)
    for names in dict.fromkeys(over):
        at = [i for i, own in enumerate(over) if own == names]
        if names:
            for i, x in zip(at, lax.psum([out[i] for i in at], names), strict=True):
                out[i] = x
    return out


def joined(x: jax.Array, names: Names) -> jax.Array:
    """Return the parts of a vector on all devices, one after another; the same on each.

    A sum of vectors that are 0 but for the own part: `all_gather` gives the same, typed as if it differed by device.
    """
    if not names or not x.size:
        return x
    own = jnp.arange(parts(names), dtype=jnp.int32) == lax.axis_index(names)
    whole: jax.Array = lax.psum(jnp.where(own[:, None], x[None], jnp.zeros_like(x)[None]), names)
    return whole.reshape(-1)


def check_summed(transform: str, root: str, tree: Any, names: Names) -> None:
    """Raise ValueError where a leaf differs along a manual axis that nothing sums over."""
    leaves = jax.tree.leaves(tree, is_leaf=none_is_leaf)
    for i, x in enumerate(leaves):
        left = sorted(manual_axes(x) - set(names)) if isinstance(x, jax.core.Tracer) else []
        if left:
            got = f"differs along the axis {', '.join(map(repr, left))} of shard_map"
            axes = repr(left[0]) if len(left) == 1 and not names else repr((*names, *left))
            fix = f"{transform}(..., axis_name={axes}) sums over it"
            path = paths(root, tree)[i]
            raise ValueError(message(transform, path, got, "the same values on every device of it", fix))
