"""LAMB: Adam's update of each array made as large as the array, for very large batches."""

from typing import Any

from gradtx._core.arrays.axes import AxisName
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.limits.trust_ratio import scale_by_trust_ratio
from gradtx.methods.adam import scale_by_adam
from gradtx.rules import Decay, Finite, LearningRate, NonNegative, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def lamb(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: Finite = 0.0,
    mask: Any = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend as AdamW does, with steps of each array as large as eta times the array.

    with m, v, b1, b2 as in `scale_by_adam`: r_t = (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) +
    weight_decay p_t where the mask is True; u_t = -eta_t r_t |p_t| / |r_t| for each array, and -eta_t r_t where one of
    the norms is 0.

    Units: eta is dimensionless, the share of its size that an array moves at each step; eps has the units of g.
    Equivalent to: optax's `lamb`, and the paper's Algorithm 2 with phi(x) = x.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        weight_decay: decoupled decay, finite; r takes weight_decay p in before its size is measured.
        {mask}
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        a tuple: of `scale_by_adam` (mu, nu, like params) and one count for each other link.

    Raises:
        ValueError: a hyperparameter is out of its range; a mask that does not fit the params; a leaf that varies over a
            manual axis that axis_name does not name; at update, params missing.

    Cost: 2 arrays per parameter; one pass, and two to sum |p|^2 and |r|^2.

    References:
        You et al. 2020, Algorithm 2, https://arxiv.org/abs/1904.00962

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.lamb(0.1)
        >>> params = jnp.array([3.0, 4.0])
        >>> updates, _ = tx.update(jnp.array([7.0, -7.0]), tx.init(params), params)
        >>> [round(u, 4) for u in updates.tolist()]
        [-0.3536, 0.3536]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(axis_name=axis_name),
        scale_by_learning_rate(learning_rate),
    )
