"""Adan: Nesterov's look ahead by the mean difference of successive gradients, over the root mean square of such one."""

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
    abs_sq,
    behind,
    chain,
    factory,
    held,
    is_above_0,
    quotient,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_adan(
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
) -> Transform:
    """Scale the mean gradient and its mean difference by the root mean square of gradients that look ahead.

    d_t = g_t - g_{t-1}, d_1 = 0; m_t = b1 m_{t-1} + (1-b1) g_t; v_t = b2 v_{t-1} + (1-b2) d_t;
    n_t = b3 n_{t-1} + (1-b3) (g_t + b2 d_t)^2, m_0 = v_0 = n_0 = 0;
    u_t = (m_t / (1-b1^t) + b2 v_t / (1-b2^t)) / (sqrt(n_t / (1-b3^t) + eps_root) + eps).

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g, eps_root of g^2.
    Differs from: the paper in names only: its beta is 1 - b here, as in the authors' code. optax 0.2.8 weighs d and v
    by 1 - b2 (0.08) where its own documentation, the paper and the authors' code have b2 (0.92).

    Args:
        {b1}
        b2: decay of the mean of d, and the weight of the look ahead, in [0, 1); 0 is Adam.
        b3: decay of the mean of squares, in [0, 1).
        {eps}
        {eps_root}

    State:
        mu, mu_diff, nu, last: m, v, n and the last gradient, like params, float32 or wider; nu real.

    Raises:
        ValueError: b1, b2 or b3 outside [0, 1), eps or eps_root < 0.

    Cost: 4 arrays per parameter; one pass.

    References:
        Xie et al. 2022, Algorithm 1, https://arxiv.org/abs/2208.06677

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adan(b1=0.0, b2=0.5, b3=0.0, eps=0.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(u.item(), 4)
        0.9167
    """

    def init(p: jax.Array) -> Slots:
        return {**{name: zeros(p) for name in ("mu", "mu_diff", "last")}, "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        return {
            "has_last": jnp.where(count == 0, 0.0, 1.0),
            "unbias_mu": unbias(k.b1, t),
            "ahead": k.b2 * unbias(k.b2, t),
            "unbias_nu": unbias(k.b3, t),
        }

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        del p
        diff = k.has_last * (g - slots["last"])
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        mu_diff = k.b2 * slots["mu_diff"] + (1 - k.b2) * diff
        nu = k.b3 * slots["nu"] + (1 - k.b3) * held(abs_sq(g + k.b2 * diff))
        m = k.unbias_mu * mu + k.ahead * mu_diff
        new = {"mu": mu, "mu_diff": mu_diff, "nu": nu, "last": behind(g, mu_diff, nu)}
        return (m, root(nu * k.unbias_nu + k.eps_root) + k.eps), new

    hyper = {"b1": b1, "b2": b2, "b3": b3, "eps": eps, "eps_root": eps_root}
    positive = is_above_0(eps)
    return quotient(
        Rule("scale_by_adan", update, init, ("mu", "mu_diff", "nu", "last"), hyper, scalars=scalars, positive=positive)
    )


@factory
def adan(
    learning_rate: LearningRate,
    b1: Decay = 0.98,
    b2: Decay = 0.92,
    b3: Decay = 0.99,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 1e-8,
    weight_decay: Finite = 0.0,
    mask: Any = None,
) -> Transform:
    """Descend as Adam does with Nesterov's look ahead, estimated from differences of successive gradients.

    u_t = -eta_t ((m_t / (1-b1^t) + b2 v_t / (1-b2^t)) / (sqrt(n_t / (1-b3^t) + eps_root) + eps) + weight_decay p_t),
    with m the moving mean of g from 0, v that of d_t = g_t - g_{t-1} (d_1 = 0) and n that of (g_t + b2 d_t)^2.

    Units: eta has the units of p; eps those of g, eps_root those of g^2; weight_decay is per unit of p.
    Differs from: the paper, which divides p - eta m / sigma by 1 + eta weight_decay. optax 0.2.8 weighs the differences
    by 1 - b2, see `scale_by_adan`.

    Args:
        {learning_rate}
        {b1}
        b2: decay of the mean of d, and the weight of the look ahead, in [0, 1).
        b3: decay of the mean of squares, in [0, 1).
        {eps}
        {eps_root}
        {weight_decay}
        {mask}

    State:
        a tuple: of `scale_by_adan` (mu, mu_diff, nu, last, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 4 arrays per parameter; one pass.

    References:
        Xie et al. 2022, Algorithm 1, https://arxiv.org/abs/2208.06677

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.adan(0.1, weight_decay=0.5), jnp.array(4.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(p), p)
        >>> round(u.item(), 4)
        -0.3
    """
    scaled = scale_by_adan(b1, b2, b3, eps, eps_root)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
