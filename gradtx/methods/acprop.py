"""ACProp: the gradient over the spread of those before it, so that neither knows of the other's noise."""

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
    chain,
    divide_by,
    factory,
    held,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_acprop(
    b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-16, eps_root: NonNegative = 1e-16
) -> Transform:
    """Scale the gradient by the spread of the gradients before it about their mean.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; s_t = b2 s_{t-1} + (1-b2) (g_t - m_t)^2 + eps_root, s_0 = 0;
    u_t = g_t / (sqrt(s_{t-1} / (1-b2^(t-1))) + eps), u_1 = g_1 / (1 + eps).

    The sigma of a step does not know of that step's gradient, so that a rare large gradient is not divided by itself.

    Units: dimensionless from the second step on (invariant to g -> c g when eps = eps_root = 0); the first is in those
    of g; eps has the units of g, eps_root of g^2.
    Differs from: optax.contrib's of 0.2.8, whose s holds g_t - m_{t-1}, not the g_t - m_t of its documentation and of
    the paper: g_t - m_{t-1} is 1/b1 times as large, and its steps b1 times.

    Args:
        b1: decay of the mean of g, in [0, 1); at 0 no gradient spreads and s is eps_root alone.
        b2: decay of the mean of (g - m)^2, in [0, 1).
        {eps}
        eps_root: added to s at each step, >= 0.

    State:
        mu, nu: m and s, like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zhuang et al. 2021, Algorithm 2, https://arxiv.org/abs/2110.05454

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_acprop(b1=0.5, b2=0.5)
        >>> u, state = tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(u.item(), 4)
        3.0
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p), "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        before = steps(count) - 1.0
        return {"one_at_first": jnp.where(before == 0, 1.0, 0.0), "unbias": unbias(k.b2, jnp.maximum(before, 1.0))}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        nu = k.b2 * slots["nu"] + ((1 - k.b2) * held(abs_sq(g - mu)) + k.eps_root)
        return root(slots["nu"] * k.unbias + k.one_at_first) + k.eps, {"mu": mu, "nu": nu}

    hyper = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    return divide_by(Rule("scale_by_acprop", update, init, ("mu", "nu"), hyper, scalars=scalars, reads_old=True))


@factory
def acprop(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    weight_decay: Finite = 0.0,
    mask: Any = None,
) -> Transform:
    """Descend along the gradient over the spread of those before it, with decoupled weight decay.

    u_t = -eta_t (g_t / (sqrt(s_{t-1} / (1-b2^(t-1))) + eps) + weight_decay p_t), the root 1 at t = 1, with m the moving
    mean of g from 0 and s_t = b2 s_{t-1} + (1-b2) (g_t - m_t)^2 + eps_root, s_0 = 0.

    Units: eta has the units of p; eps those of g, eps_root those of g^2; weight_decay is per unit of p.
    Differs from: optax.contrib's of 0.2.8, see `scale_by_acprop`.

    Args:
        {learning_rate}
        {b1}
        b2: decay of the mean of (g - m)^2, in [0, 1).
        {eps}
        eps_root: added to s at each step, >= 0.
        {weight_decay}
        {mask}

    State:
        a tuple: of `scale_by_acprop` (mu, nu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zhuang et al. 2021, Algorithm 2, https://arxiv.org/abs/2110.05454

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.acprop(0.1, weight_decay=0.5), jnp.array(4.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(p), p)
        >>> round(u.item(), 4)
        -0.3
    """
    scaled = scale_by_acprop(b1, b2, eps, eps_root)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
