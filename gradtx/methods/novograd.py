"""NovoGrad: momentum of gradients that are divided by a moving norm of each array, one number for the whole array."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx._core.arrays.axes import AxisName, refuse_shards
from gradtx._core.arrays.norm import norm_of_leaf
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    chain,
    divide,
    factory,
    held,
    leafwise,
    one_number,
    root,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_novograd(
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: Finite = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Sum gradients that are divided by a moving norm of their array.

    v_1 = |g_1|^2, v_t = b2 v_{t-1} + (1-b2) |g_t|^2, one number for each array; m_t = b1 m_{t-1} +
    g_t / (sqrt(v_t + eps_root) + eps) + weight_decay p_t, m_0 = 0; u_t = m_t.

    The root of v is what is kept: v itself would leave the range of float32 at gradients of 1e19 and of 1e-23.

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g, eps_root of g^2.
    Equivalent to: optax's `scale_by_novograd`, and the paper's Algorithm 1.

    Args:
        b1: weight of the past sum, in [0, 1); at a steady gradient m tends to 1 / (1 - b1) times it.
        b2: decay of the mean of |g|^2, in [0, 1).
        {eps}
        {eps_root}
        weight_decay: finite; m takes weight_decay p in.
        {mu_dtype}
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: a norm is that of all
            shards together. None is no axis.

    State:
        mu: m, like params, float32 or wider unless mu_dtype says otherwise.
        norm: sqrt(v), a number for each array.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf varies over a manual axis that axis_name does not name;
            at update, params missing.

    Cost: 1 array per parameter; one pass, and one to sum |g|^2.

    References:
        Ginsburg et al. 2019, Algorithm 1, https://arxiv.org/abs/1905.11286

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_novograd(b1=0.5, b2=0.75)
        >>> params = jnp.zeros(2)
        >>> u, state = tx.update(jnp.array([3e19, 4e19]), tx.init(params), params)
        >>> u, state = tx.update(jnp.array([1.5e20, 0.0]), state, params)
        >>> [round(x, 4) for x in u.tolist()], f"{state.norm:.4g}"
        ([2.0321, 0.4], '8.66e+19')
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype), "norm": one_number(p, by_device=axis_name == ())}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        b2 = jnp.where(count == 0, 0.0, k.b2)
        return {"kept": root(b2), "added": root(1 - b2), "least": root(jnp.asarray(k.eps_root, b2.dtype))}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        norm = held(jnp.hypot(k.kept * slots["norm"], k.added * norm_of_leaf(g, axis_name)))
        inverse = divide(jnp.ones_like(norm), jnp.hypot(norm, k.least) + k.eps)
        mu = k.b1 * slots["mu"] + (g * inverse + k.weight_decay * p)
        return mu, {"mu": mu, "norm": norm}

    rule = Rule(
        "scale_by_novograd",
        update,
        init,
        ("mu", "norm"),
        {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root, "weight_decay": weight_decay},
        scalars=scalars,
        needs_params=True,
        check=refuse_shards(axis_name),
        elementwise=False,
        role="direction",
    )
    return leafwise(rule)


@factory
def novograd(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.25,
    eps: NonNegative = 1e-6,
    eps_root: NonNegative = 0.0,
    weight_decay: Finite = 0.0,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend along momentum of gradients whose arrays all have about the same size.

    u_t = -eta_t m_t; v_1 = |g_1|^2, v_t = b2 v_{t-1} + (1-b2) |g_t|^2, one number for each array; m_t = b1 m_{t-1} +
    g_t / (sqrt(v_t + eps_root) + eps) + weight_decay p_t, m_0 = 0.

    Units: eta has the units of p; eps those of g, eps_root those of g^2.
    Equivalent to: optax's `novograd`.

    Args:
        {learning_rate}
        b1: weight of the past sum, in [0, 1).
        b2: decay of the mean of |g|^2, in [0, 1).
        {eps}
        {eps_root}
        weight_decay: decay inside the sum, finite.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        a tuple: of `scale_by_novograd` (mu like params, norm a number for each array) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf varies over a manual axis that axis_name does not name;
            at update, params missing.

    Cost: 1 array per parameter; one pass, and one to sum |g|^2.

    References:
        Ginsburg et al. 2019, Algorithm 1, https://arxiv.org/abs/1905.11286; Li et al. 2019, https://arxiv.org/abs/1904.03288

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.novograd(0.1)
        >>> params = jnp.zeros(2)
        >>> updates, _ = tx.update(jnp.array([3.0, -4.0]), tx.init(params), params)
        >>> [round(u, 4) for u in updates.tolist()]
        [-0.06, 0.08]
    """
    scaled = scale_by_novograd(b1, b2, eps, eps_root, weight_decay, axis_name=axis_name)
    return chain(scaled, scale_by_learning_rate(learning_rate))
