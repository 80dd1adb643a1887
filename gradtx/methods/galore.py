"""GaLore: run an optimizer on gradients that are projected to a few directions, so that its memory is small."""

from typing import Any, NamedTuple

import optax

from gradtx._core.arrays.matrices import Layout, is_mixed, layout_of, whole_number
from gradtx._core.arrays.sums import refuse_parts
from gradtx._core.engine.members import check_member, own
from gradtx.factors.low_rank import GaLore, matrices
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.methods.adam import scale_by_adam
from gradtx.rules import Finite, LearningRate, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate


class GaLoreDimensionNumbers(NamedTuple):
    """Which axes of a weight make a matrix W, used as x W = y; all others are a batch of such matrices.

    Attributes:
        reduction_axis: the axis, or axes, that the product sums over: the rows.
        output_axis: the axis, or axes, of the output: the columns.
    """

    reduction_axis: Any = 0
    output_axis: Any = 1


@factory
def scale_by_galore(
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Finite = 1.0,
    base_optimizer: optax.GradientTransformation | None = None,
    weight_dimension_numbers: Any = None,
    *,
    axis_name: tuple[()] | None = None,
) -> Transform:
    """Run an optimizer on the gradients of matrices in their few largest directions.

    for a matrix of m rows and n columns with m >= n, and P_t its first `rank` left singular vectors: R_t = P_t^H g_t,
    u_t = scale P_t N_t, where N_t is what base_optimizer makes of R_t; with m < n and right singular vectors R_t = g_t
    P_t and u_t = scale N_t P_t^H. P_t is that of g_t where t - 1 is a multiple of update_proj_gap, else P_{t-1}; its
    columns have the sign that makes their largest number positive. Other leaves go to base_optimizer as they are.

    Units: those of what base_optimizer returns.
    Differs from: the paper, which projects the shorter side, and so keeps larger moments and smaller projectors; from
    optax's, which takes the singular vectors in float32 always, with whatever sign they come.

    Args:
        rank: the number of directions, a whole number >= 1; at most the smaller of m and n are kept.
        update_proj_gap: updates from one choice of directions to the next, a whole number >= 1.
        scale: multiplies the updates of matrices, finite.
        base_optimizer: a transform, gradtx's or optax's, that needs no params; None is `scale_by_adam()`.
        weight_dimension_numbers: a tree of `GaLoreDimensionNumbers`, like the params or a prefix of them, None at
            leaves that are no matrices, or a function of the params that returns one; None takes each array of 2
            dimensions as a matrix. Axes that are not named are a batch of matrices.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.

    State:
        base_optimizer_state; projector: (m, rank) or (n, rank) at a matrix, float32 or wider, None elsewhere; count.

    Raises:
        ValueError: rank or update_proj_gap is no whole number >= 1; at update, a base_optimizer that needs params,
            or a matrix that differs by device without axis_name.
        TypeError: base_optimizer is no transform.

    Cost: rank (m + 3 n) numbers for a matrix with m >= n under Adam, in place of 2 m n; 2 products of m n rank, and a
        singular value decomposition in one of update_proj_gap steps.

    References:
        Zhao et al. 2024, Algorithm 2, https://arxiv.org/abs/2403.03507

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_galore(rank=1, base_optimizer=gradtx.identity())
        >>> p = jnp.zeros((2, 3))
        >>> u, state = tx.update(jnp.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), tx.init(p), p)
        >>> (u + 0.0).round(4).tolist(), state.projector.shape
        ([[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]], (3, 1))
    """
    name = "scale_by_galore"
    rank, gap = whole_number(name, "rank", rank, 1), whole_number(name, "update_proj_gap", update_proj_gap, 1)
    base = scale_by_adam() if base_optimizer is None else base_optimizer
    check_member(name, "base_optimizer", base)
    base = own(base)
    base = base if isinstance(base, Transform) else optax.with_extra_args_support(base)
    layout: Layout = matrices
    if weight_dimension_numbers is not None:
        layout = layout_of(name, "weight_dimension_numbers", weight_dimension_numbers, "leave it whole", small=True)
    check = refuse_parts(name, axis_name, is_mixed)
    return Transform.of(GaLore(name, {"scale": scale}, rank, gap, base, layout, check))


@factory
def galore(
    learning_rate: LearningRate,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: Finite = 1.0,
    base_optimizer: optax.GradientTransformation | None = None,
    weight_decay: Finite = 0.0,
    mask: Any = None,
    weight_dimension_numbers: Any = None,
    *,
    axis_name: tuple[()] | None = None,
) -> Transform:
    """Descend by Adam, or another optimizer, on gradients of matrices in their few largest directions.

    u_t = -eta_t (d_t + weight_decay p_t), with d_t as in `scale_by_galore`.

    Units: eta has the units of p over those of what base_optimizer returns; weight_decay is per unit of p.
    Differs from: the paper and optax's as `scale_by_galore` does.

    Args:
        {learning_rate}
        rank: the number of directions, a whole number >= 1.
        update_proj_gap: updates from one choice of directions to the next, a whole number >= 1.
        scale: multiplies the updates of matrices, finite.
        base_optimizer: a transform that needs no params; None is `scale_by_adam()`.
        {weight_decay}
        {mask}
        weight_dimension_numbers: which leaves are matrices, and their axes, as in `scale_by_galore`.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.

    State:
        a tuple: of `scale_by_galore`, of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range; the mask does not fit the params; a matrix that differs
            by device without axis_name.
        TypeError: base_optimizer is no transform.

    Cost: that of `scale_by_galore`, and one pass.

    References:
        Zhao et al. 2024, Algorithm 2, https://arxiv.org/abs/2403.03507

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> tx = gradtx.galore(0.1, rank=4)
        >>> params = {"kernel": jnp.zeros((64, 32)), "bias": jnp.zeros(32)}
        >>> state = tx.init(params)
        >>> state[0].base_optimizer_state.mu["kernel"].shape, state[0].projector["kernel"].shape
        ((4, 32), (64, 4))
    """
    numbers = (rank, update_proj_gap, scale, base_optimizer, weight_dimension_numbers)
    scaled = scale_by_galore(*numbers, axis_name=axis_name)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
