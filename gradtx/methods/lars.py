"""LARS: gradient descent with momentum, the gradient of each array made as large as a share of the array."""

from typing import Any

from gradtx._core.arrays.axes import AxisName
from gradtx.factors.momentum import trace
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.limits.trust_ratio import scale_by_trust_ratio
from gradtx.rules import Finite, LearningRate, Momentum, NonNegative, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def lars(
    learning_rate: LearningRate,
    weight_decay: Finite = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: Finite = 0.001,
    eps: NonNegative = 0.0,
    trust_ratio_mask: Any = True,
    momentum: Momentum = 0.9,
    nesterov: bool = False,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend with momentum, by steps of each array that are a share of its size.

    r_t = g_t + weight_decay p_t where weight_decay_mask is True; s_t = trust_coefficient r_t |p_t| / (|r_t| + eps)
    where trust_ratio_mask is True and no norm is 0, else s_t = r_t; v_t = momentum v_{t-1} - eta_t s_t, v_0 = 0;
    u_t = v_t, with `nesterov` u_t = momentum v_t - eta_t s_t.

    Units: eta is dimensionless, and trust_coefficient eta the share of its size that an array moves; eps has the units
    of g.
    Equivalent to: optax's `lars`.
    Differs from: the paper, whose ratio is |p_t| / (|g_t| + weight_decay |p_t|): the norm of the sum is at most that.

    Args:
        {learning_rate}
        weight_decay: finite; r takes weight_decay p in before its size is measured.
        weight_decay_mask: tree of bools like the params or a prefix of them, or a function of the params that returns
            one, True where p decays.
        trust_coefficient: finite, multiplies the ratio; the paper calls it eta.
        eps: added to |r_t|, >= 0.
        trust_ratio_mask: the same, True where steps are a share of the array; elsewhere they are eta r_t, as in `sgd`.
            Biases and the parameters of normalisations are often left out.
        momentum: decay of the sum of past steps, in [0, 1]; 0 turns it off.
        {nesterov}
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        a tuple: of `trace` (trace, like params, float32 or wider) and one count for each other link.

    Raises:
        ValueError: a hyperparameter is out of its range; a mask that does not fit the params; a leaf that varies over a
            manual axis that axis_name does not name; at update, params missing.
        TypeError: a leaf of a mask is no bool.

    Cost: 1 array per parameter; one pass, and two to sum |p|^2 and |r|^2.

    References:
        You et al. 2017, Algorithm 1, https://arxiv.org/abs/1708.03888

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.lars(1.0, trust_ratio_mask={"w": True, "b": False})
        >>> params = {"w": jnp.array([3.0, 4.0]), "b": jnp.array(5.0)}
        >>> grads = {"w": jnp.array([0.0, -2.0]), "b": jnp.array(0.5)}
        >>> updates, _ = tx.update(grads, tx.init(params), params)
        >>> round(updates["w"][1].item(), 6), updates["b"].item()
        (0.005, -0.5)
    """
    ratio = scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps, axis_name=axis_name)
    return chain(
        add_decayed_weights(weight_decay, everywhere(weight_decay_mask)),
        Transform.of(ratio.body.where(everywhere(trust_ratio_mask))),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),
    )


def everywhere(mask: Any) -> Any:
    """Return None, which is no mask, for the mask that is True everywhere."""
    return None if mask is True else mask
