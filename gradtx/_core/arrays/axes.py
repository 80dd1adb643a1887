"""Mesh axes inside shard_map: which of them split a leaf, and sums over them."""

from collections.abc import Callable

import jax
from jax import lax

from gradtx._core.arrays.compat import manual_axes
from gradtx._core.contract.errors import LeafError

AxisName = str | tuple[str, ...] | None


def axes_of(axis_name: AxisName) -> tuple[str, ...]:
    """Return the names of axes as a tuple."""
    return () if axis_name is None else (axis_name,) if isinstance(axis_name, str) else tuple(axis_name)


AVERAGE = "average the gradients over it first"


def check_axes(leaves: list[jax.Array], axis_name: AxisName, fix: str | None = None) -> None:
    """Raise for a leaf of which each shard holds a part, unless its axis is named: its norm would be that of a shard.

    Args:
        leaves: the arrays.
        axis_name: the axes that are summed over.
        fix: what to do about it; None is to name the axis.

    Raises:
        LeafError: a leaf varies over a manual axis of `shard_map` that is not among `axis_name`.
    """
    for i, x in enumerate(leaves):
        missing = sorted(manual_axes(x) - set(axes_of(axis_name)))
        if missing:
            got, expected = f"varies over the mesh axis {missing[0]!r}", "all shards taken together"
            raise LeafError(i, got, expected, fix or f"give axis_name={missing[0]!r}, or {AVERAGE}")


def split_over(x: jax.Array, axis_name: AxisName) -> tuple[str, ...]:
    """Return the named axes that a leaf is split over.

    Where types do not tell (vmap, or `shard_map` with check_vma=False), it is taken to be split over each of them.
    """
    axes = axes_of(axis_name)
    told = {a for a in axes if manual_axes(lax.axis_index(a))}
    return tuple(a for a in axes if a not in told or a in manual_axes(x))


def summed_over(values: list[jax.Array], leaves: list[jax.Array], axis_name: AxisName) -> list[jax.Array]:
    """Return a sum for each leaf over the shards; a leaf that is the same on all of them counts once."""
    return [lax.psum(v, own) if (own := split_over(x, axis_name)) else v for v, x in zip(values, leaves, strict=True)]


def size_over(x: jax.Array, axis_name: AxisName) -> int:
    """Return the number of elements of a leaf, those of all shards together where it is split over named axes."""
    own = split_over(x, axis_name)
    return x.size * (int(lax.psum(1, own)) if own else 1)


def refuse_shards(axis_name: AxisName) -> Callable[[jax.Array], None]:
    """Return the `check` of a rule that sums over one leaf, see `check_axes`; () takes what each shard holds."""
    return lambda x: check_axes([x], axis_name) if axis_name != () else None
