"""Adafactor: RMSProp whose sigma of a matrix is factored, its steps clipped and relative to the parameters."""

from typing import Annotated, Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx._core.arrays.axes import AxisName
from gradtx.factors.ema import ema
from gradtx.factors.factored_rms import scale_by_factored_rms
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.limits.block_rms import clip_by_block_rms, scale_by_param_block_rms
from gradtx.rules import (
    Decay,
    Finite,
    Hyper,
    LearningRate,
    NonNegative,
    Range,
    Transform,
    chain,
    factory,
)
from gradtx.schedules.apply import scale, scale_by_learning_rate


@factory
def adafactor(
    learning_rate: LearningRate | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: NonNegative = 0.8,
    decay_offset: Finite = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Annotated[Hyper, Range("(0, inf]")] | None = 1.0,
    momentum: Decay | None = None,
    dtype_momentum: DTypeLike = jnp.float32,
    weight_decay_rate: Finite | None = None,
    eps: NonNegative = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend by g / sigma with a factored sigma, each array's step bounded and relative to its parameter's size.

    U_t = g_t / sqrt(v_t), v as in `scale_by_factored_rms`; U'_t = U_t / max(1, RMS(U_t) / clipping_threshold);
    d_t = eta_t max(RMS(p_{t-1}), 0.001) U'_t; with `momentum` d_t becomes m_t = momentum m_{t-1} + (1-momentum) d_t,
    m_0 = 0; u_t = -(d_t + weight_decay_rate p_{t-1}).

    Units: eta is dimensionless, the share of its parameter that an array moves by; without
    `multiply_by_parameter_scale` it has the units of p. The weight decay is not multiplied by eta.
    Differs from: the paper, whose eta is min(0.01, 1/sqrt(t)) where none is given; here, as in optax, it is then 1.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule; None is 1.
        min_dim_size_to_factor: integer >= 1; a matrix with a smaller dimension is not factored.
        decay_rate: >= 0; the decay of the mean of g^2 is 1 - t^-decay_rate.
        decay_offset: the step at which fine-tuning starts: t counts from it.
        multiply_by_parameter_scale: whether a step is relative to the root mean square of its parameter.
        clipping_threshold: > 0, the largest root mean square of U for one array; None never clips.
        momentum: decay of the mean of the steps, in [0, 1); None keeps none.
        dtype_momentum: dtype that mean is stored in.
        weight_decay_rate: finite; each step takes this share of p off p. None is no decay.
        eps: added to the squared gradient, >= 0.
        factored: whether to factor at all.
        weight_decay_mask: tree of bools like the params or a prefix of them, or a function of the params that returns
            one, True where p decays; None is everywhere.
        axis_name: the mesh axis, or axes, over which the leaves that are not factored may be split inside `shard_map`,
            so that a root mean square is that of all shards together; () where each device holds whole leaves. None is
            no axis.

    State:
        a tuple: of `scale_by_factored_rms` (v_row, v_col, v), then of each part in use, of which the momentum has mu,
        like params.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params; params missing at
            update; a leaf varies over a manual axis that axis_name does not name, or a factored one over any unless
            that is ().
        TypeError: min_dim_size_to_factor is no integer, or dtype_momentum no floating dtype.

    Cost: n + m numbers for an n x m matrix, else 1 array per parameter; 1 array more with momentum.

    References:
        Shazeer & Stern 2018, Algorithms 4 and 5, https://arxiv.org/abs/1804.04235

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.adafactor(0.1)
        >>> params = jnp.array([2.0, -2.0])
        >>> updates, _ = tx.update(jnp.array([5.0, 0.01]), tx.init(params), params)
        >>> [round(x, 4) for x in updates.tolist()]
        [-0.2, -0.2]
    """
    numbers = (factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)
    parts = [scale_by_factored_rms(*numbers, axis_name=() if axis_name == () else None)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold, axis_name=axis_name))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_block_rms(axis_name=axis_name))
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*parts, scale(-1.0))
