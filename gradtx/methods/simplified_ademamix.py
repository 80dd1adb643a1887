"""AdEMAMix with one sum of gradients in place of its two means."""

from types import SimpleNamespace
from typing import Any

import jax

from gradtx.factors.rms import rms
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
    ratio,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_simplified_ademamix(
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: Finite = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
) -> Transform:
    """Scale a decaying sum of the gradients, and the newest of them once more, by their debiased root mean square.

    m_t = b1 m_{t-1} + g_t; v_t = b2 v_{t-1} + (1-b2) g_t^2; m_0 = v_0 = 0;
    u_t = (m_t + alpha g_t) / (sqrt(v_t / (1-b2^t) + eps_root) + eps).

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g, eps_root of g^2. Under
    a steady gradient u tends to 1 / (1-b1) + alpha, not to 1: the rate is as much smaller than Adam's.
    Equivalent to: optax.contrib's `scale_by_simplified_ademamix`, whose squares of complex numbers are complex.

    Args:
        b1: decay of the sum of g, in [0, 1).
        {b2}
        alpha: weight of the newest gradient beside the sum, finite.
        {eps}
        {eps_root}

    State:
        mu, nu: m and v, like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Morwani et al. 2025, https://arxiv.org/abs/2502.02431

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_simplified_ademamix(b1=0.5, b2=0.0, alpha=2.0, eps=0.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> u.item()
        3.5
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.b1 * slots["mu"] + g
        return mu + k.alpha * g, {"mu": mu}

    direction = Rule("simplified_ademamix", update, init, ("mu",), {"b1": b1, "alpha": alpha}, role="direction")
    return ratio(direction, rms(b2, eps, eps_root=eps_root, debias=True))


@factory
def simplified_ademamix(
    learning_rate: LearningRate,
    b1: Decay = 0.99,
    b2: Decay = 0.95,
    alpha: Finite = 0.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    weight_decay: Finite = 0.0,
    mask: Any = None,
) -> Transform:
    """Descend as AdamW does, along a decaying sum of the gradients and the newest of them.

    u_t = -eta_t ((m_t + alpha g_t) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) + weight_decay p_t), with
    m_t = b1 m_{t-1} + g_t, m_0 = 0, and v the moving mean of g^2 from 0.

    Units: eta has the units of p, and is 1-b1 times one of Adam's; eps those of g; weight_decay is per unit of p.
    Equivalent to: optax.contrib's `simplified_ademamix`.

    Args:
        {learning_rate}
        b1: decay of the sum of g, in [0, 1).
        {b2}
        alpha: weight of the newest gradient beside the sum, finite.
        {eps}
        {eps_root}
        {weight_decay}
        {mask}

    State:
        a tuple: of `scale_by_simplified_ademamix` (mu, nu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Morwani et al. 2025, https://arxiv.org/abs/2502.02431

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.simplified_ademamix(0.1, alpha=2.0, weight_decay=0.5), jnp.array(4.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(p), p)
        >>> round(u.item(), 4)
        -0.5
    """
    scaled = scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
