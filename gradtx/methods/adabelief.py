"""AdaBelief: Adam whose sigma is the spread of the gradients about their mean, large where they surprise."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax

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
def scale_by_belief(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    *,
    nesterov: bool = False,
) -> Transform:
    """Scale the debiased mean of the gradients by their spread about it.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; s_t = b2 s_{t-1} + (1-b2) (g_t - m_t)^2 + eps_root, s_0 = 0;
    u_t = (m_t / (1-b1^t)) / (sqrt(s_t / (1-b2^t)) + eps). With `nesterov` the numerator is
    b1 m_t / (1-b1^(t+1)) + (1-b1) g_t / (1-b1^t).

    eps_root is added at each step and stays in s, which tends to eps_root / (1-b2) where the gradient is steady.

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g, eps_root of g^2.
    Differs from: the paper, which has one number for eps and eps_root; with both 0, u is 0 where sigma is 0.

    Args:
        b1: decay of the mean of g, in [0, 1); at 0 no gradient surprises and s is eps_root alone.
        b2: decay of the mean of (g - m)^2, in [0, 1).
        {eps}
        eps_root: added to s at each step, >= 0.
        nesterov: whether to look one step ahead, as NAdam does.

    State:
        mu, nu: m and s, like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zhuang et al. 2020, Algorithm 2, https://arxiv.org/abs/2010.07468

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_belief(b1=0.5, b2=0.5)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(float(u), 4)
        2.1999
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p), "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        ahead = {"unbias_next": unbias(k.b1, t + 1.0)} if nesterov else {}
        return {"unbias_mu": unbias(k.b1, t), "unbias_nu": unbias(k.b2, t), **ahead}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        del p
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        # eps_root is added inside: XLA computes what ends in "+ a number" once more for p, from a copy of the old nu
        nu = k.b2 * slots["nu"] + ((1 - k.b2) * held(abs_sq(g - mu)) + k.eps_root)
        m = k.unbias_mu * mu
        if nesterov:
            m = (k.b1 * k.unbias_next) * mu + ((1 - k.b1) * k.unbias_mu) * g
        return (m, root(nu * k.unbias_nu) + k.eps), {"mu": mu, "nu": nu}

    hyper = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    positive = is_above_0(eps)
    return quotient(Rule("scale_by_belief", update, init, ("mu", "nu"), hyper, scalars=scalars, positive=positive))


@factory
def adabelief(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-16,
    eps_root: NonNegative = 1e-16,
    weight_decay: Finite | None = None,
    weight_decay_mask: Any = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Descend as Adam does, with steps that shrink where the gradient is not what its mean predicted.

    u_t = -eta_t ((m_t / (1-b1^t)) / (sqrt(s_t / (1-b2^t)) + eps) + weight_decay p_t), with m the moving mean of g from
    0 and s_t = b2 s_{t-1} + (1-b2) (g_t - m_t)^2 + eps_root, s_0 = 0.

    Units: eta has the units of p; eps those of g, eps_root those of g^2; weight_decay is per unit of p.
    Equivalent to: optax's `adabelief`; releases up to 0.2.8 have no weight_decay.

    Args:
        {learning_rate}
        {b1}
        b2: decay of the mean of (g - m)^2, in [0, 1).
        {eps}
        eps_root: added to s at each step, >= 0.
        weight_decay: decoupled decay, finite; each step takes eta weight_decay p off p. None is no decay, and then
            update needs no params.
        weight_decay_mask: where p decays, as the mask of `adamw`.
        {nesterov}

    State:
        a tuple: of `scale_by_belief` (mu, nu, like params), of the decay if there is one, and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zhuang et al. 2020, Algorithm 2, https://arxiv.org/abs/2010.07468

    Examples:
        >>> import gradtx
        >>> gradtx.adabelief(1e-3, weight_decay=0.1).body.links[1]
        add_decayed_weights(0.1)
    """
    scaled = scale_by_belief(b1, b2, eps, eps_root, nesterov=nesterov)
    decay = [] if weight_decay is None else [add_decayed_weights(weight_decay, weight_decay_mask)]
    return chain(scaled, *decay, scale_by_learning_rate(learning_rate))
