"""AdEMAMix: Adam with a second, slow mean of gradients beside the fast one."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
from jax.typing import DTypeLike

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
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_ademamix(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: Finite = 6.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
) -> Transform:
    """Scale a fast and a slow mean of the gradients by their debiased root mean square.

    m_t = b1 m_{t-1} + (1-b1) g_t; s_t = b3 s_{t-1} + (1-b3) g_t; v_t = b2 v_{t-1} + (1-b2) g_t^2; m_0 = s_0 = v_0 = 0;
    u_t = (m_t / (1-b1^t) + alpha s_t) / (sqrt(v_t / (1-b2^t) + eps_root) + eps).

    s is not corrected: it grows into its share over 1 / (1-b3) steps. The paper lets alpha rise from 0 and b3 from b1
    over the whole run, which schedules do here.

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g, eps_root of g^2.
    Equivalent to: optax.contrib's `scale_by_ademamix`, whose mu_dtype is that of v too.

    Args:
        b1: decay of the fast mean of g, in [0, 1).
        {b2}
        b3: decay of the slow mean of g, in [0, 1).
        alpha: weight of the slow mean, finite; 0 is Adam.
        {eps}
        {eps_root}
        mu_dtype: dtype both means of g are stored in; None is the parameter's, float32 or wider.

    State:
        mu, mu_slow, nu: like params, float32 or wider (both mu in mu_dtype); nu real.

    Raises:
        ValueError: b1, b2 or b3 outside [0, 1), eps or eps_root < 0.

    Cost: 3 arrays per parameter; one pass.

    References:
        Pagliardini, Ablin & Grangier 2024, Algorithm 1, https://arxiv.org/abs/2409.03137

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_ademamix(b1=0.5, b2=0.0, b3=0.75, alpha=2.0, eps=0.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u.item()
        1.5
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype), "mu_slow": zeros(p, mu_dtype)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"unbias": unbias(k.b1, steps(count))}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        slow = k.b3 * slots["mu_slow"] + (1 - k.b3) * g
        return k.unbias * mu + k.alpha * slow, {"mu": mu, "mu_slow": slow}

    hyper = {"b1": b1, "b3": b3, "alpha": alpha}
    mixture = Rule("ademamix", update, init, ("mu", "mu_slow"), hyper, scalars=scalars, role="direction")
    return ratio(mixture, rms(b2, eps, eps_root=eps_root, debias=True))


@factory
def ademamix(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    b3: Decay = 0.9999,
    alpha: Finite = 5.0,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Finite = 0.0,
    mask: Any = None,
) -> Transform:
    """Descend as AdamW does, along a fast and a slow mean of the gradients.

    u_t = -eta_t ((m_t / (1-b1^t) + alpha s_t) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) + weight_decay p_t), with m, s
    and v the moving means of g, g and g^2 from 0 with decays b1, b3 and b2.

    Units: eta has the units of p; eps those of g; weight_decay is per unit of p.
    Equivalent to: optax.contrib's `ademamix`.

    Args:
        {learning_rate}
        b1: decay of the fast mean of g, in [0, 1).
        {b2}
        b3: decay of the slow mean of g, in [0, 1).
        alpha: weight of the slow mean, finite; 0 is AdamW.
        {eps}
        {eps_root}
        mu_dtype: dtype both means of g are stored in; None is the parameter's, float32 or wider.
        {weight_decay}
        {mask}

    State:
        a tuple: of `scale_by_ademamix` (mu, mu_slow, nu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 3 arrays per parameter; one pass.

    References:
        Pagliardini, Ablin & Grangier 2024, Algorithm 1, https://arxiv.org/abs/2409.03137

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.ademamix(0.1, b3=0.75, alpha=2.0, weight_decay=0.5), jnp.array(4.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(p), p)
        >>> round(u.item(), 4)
        -0.35
    """
    scaled = scale_by_ademamix(b1, b2, b3, alpha, eps, eps_root, mu_dtype)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
