"""AdaMax: Adam whose sigma is a decaying maximum of the gradient's size, the limit of its norm of infinite order."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    chain,
    factory,
    is_above_0,
    quotient,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_adamax(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8) -> Transform:
    """Scale the debiased mean of the gradients by a decaying maximum of their size.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; v_t = max(b2 v_{t-1}, |g_t| + eps), v_0 = 0;
    u_t = (m_t / (1-b1^t)) / v_t.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g.
    Differs from: the paper, which has no eps, and PyTorch in nothing; with eps = 0, u is 0 where v is 0.

    Args:
        {b1}
        b2: decay of the maximum of |g|, in [0, 1).
        eps: added to |g|, >= 0.

    State:
        mu, nu: m and v, like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 2, https://arxiv.org/abs/1412.6980

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adamax(b1=0.0, b2=0.5, eps=0.0)
        >>> u, state = tx.update(jnp.array(8.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> u.item()
        0.25
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p), "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"unbias": unbias(k.b1, steps(count))}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        del p
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        nu = jnp.maximum(k.b2 * slots["nu"], jnp.abs(g) + k.eps)
        return (k.unbias * mu, nu), {"mu": mu, "nu": nu}

    hyper = {"b1": b1, "b2": b2, "eps": eps}
    positive = is_above_0(eps)
    return quotient(Rule("scale_by_adamax", update, init, ("mu", "nu"), hyper, scalars=scalars, positive=positive))


@factory
def adamax(learning_rate: LearningRate, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8) -> Transform:
    """Descend as Adam does, by a decaying maximum of the gradient's size.

    u_t = -eta_t (m_t / (1-b1^t)) / v_t, with m the moving mean of g from 0 and v_t = max(b2 v_{t-1}, |g_t| + eps),
    v_0 = 0.

    Units: eta has the units of p, and bounds a step once m is debiased; eps has the units of g.
    Equivalent to: optax's `adamax`.

    Args:
        {learning_rate}
        {b1}
        b2: decay of the maximum of |g|, in [0, 1).
        eps: added to |g|, >= 0.

    State:
        a tuple: of `scale_by_adamax` (mu, nu, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 2, https://arxiv.org/abs/1412.6980

    Examples:
        >>> import gradtx
        >>> gradtx.adamax(2e-3)
        chain(scale_by_adamax(b1=0.9, b2=0.999, eps=1e-08), scale_by_learning_rate(0.002))
    """
    return chain(scale_by_adamax(b1, b2, eps), scale_by_learning_rate(learning_rate))


@factory
def adamaxw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: Finite = 1e-4,
    mask: Any = None,
) -> Transform:
    """Descend as AdaMax does, with decoupled weight decay.

    u_t = -eta_t ((m_t / (1-b1^t)) / v_t + weight_decay p_t), m and v as in `adamax`.

    Units: eta has the units of p; weight_decay is per unit of p.
    Equivalent to: optax's `adamaxw`.

    Args:
        {learning_rate}
        {b1}
        b2: decay of the maximum of |g|, in [0, 1).
        eps: added to |g|, >= 0.
        {weight_decay}
        {mask}

    State:
        a tuple: of `scale_by_adamax` (mu, nu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 2, https://arxiv.org/abs/1412.6980; Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.adamaxw(0.1, eps=0.0, weight_decay=0.5), jnp.array(4.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(p), p)
        >>> round(u.item(), 4)
        -0.3
    """
    scaled = scale_by_adamax(b1, b2, eps)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
