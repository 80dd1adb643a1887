"""A factor of its shape for each matrix: what makes the size of an orthogonal update right for it."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax

from gradtx._core.arrays.matrices import LEAVE, Layout, fans, is_mixed, layout_of
from gradtx._core.arrays.sums import refuse_parts
from gradtx.rules import NonNegative, Rule, Slots, Transform, factory, leafwise


def times_shape_factor(layout: Layout, consistent_rms: Any, check: Callable[..., None]) -> Transform:
    """Return `scale_by_shape` for the matrices of a layout."""

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        fan_in, fan_out = fans(g.shape, k.layout)
        if consistent_rms is None:
            return g * math.sqrt(max(1.0, fan_out / max(fan_in, 1))), slots
        return g * (k.consistent_rms * math.sqrt(max(fan_in, fan_out))), slots

    hyper = {} if consistent_rms is None else {"consistent_rms": consistent_rms}
    return leafwise(Rule("scale_by_shape", update, hyper=hyper, check=check, elementwise=False, layout=layout))


@factory
def scale_by_shape(
    weight_dimension_numbers: Any = None,
    consistent_rms: NonNegative | None = None,
    *,
    axis_name: tuple[()] | None = None,
) -> Transform:
    """Multiply each matrix by a factor of its shape, which makes the size of an orthogonal update right for it.

    u_t = g_t sqrt(max(1, c / r)) for a matrix of r rows, its fan in, and c columns, its fan out; or with
    consistent_rms u_t = g_t consistent_rms sqrt(max(r, c)).

    Units: those of g.
    Equivalent to: optax's `scale_by_shape`.

    Args:
        weight_dimension_numbers: a tree of `MuonDimensionNumbers`, like the params or a prefix of them, or a function
            of the params that returns one; a leaf at None stays as it is. None takes all leaves as matrices.
        consistent_rms: root mean square that an orthogonal matrix gets, >= 0, such as 0.2 to be like Adam's update.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.

    State:
        no slots; the count alone.

    Raises:
        ValueError: consistent_rms < 0; a leaf of another number of dimensions than 2 without dimension numbers, or
            dimension numbers that do not fit it; a matrix that differs by device without axis_name.
        TypeError: a leaf of weight_dimension_numbers is something else.

    Cost: no array; one multiplication.

    References:
        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, https://arxiv.org/abs/2502.16982

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_shape()
        >>> tx.update(jnp.ones((1, 4)), tx.init(jnp.ones((1, 4))))[0].tolist()
        [[2.0, 2.0, 2.0, 2.0]]
    """
    layout = layout_of("scale_by_shape", "weight_dimension_numbers", weight_dimension_numbers, LEAVE, small=False)
    return times_shape_factor(layout, consistent_rms, refuse_parts("scale_by_shape", axis_name, is_mixed))
