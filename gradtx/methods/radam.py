"""RAdam: Adam whose sigma counts only once enough gradients were seen to trust it."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from gradtx.factors.ema import ema
from gradtx.rules import (
    Decay,
    Hyper,
    LearningRate,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    abs_sq,
    chain,
    factory,
    held,
    ratio,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


def average_length(b2: Any, t: jax.Array) -> jax.Array:
    """Return rho_t = rho_inf - 2 t b2^t / (1-b2^t), the length of the average after t steps.

    With x = -t log b2 the second term is 2 t / expm1(x). Both are near -2 / log b2 while x is small, and their
    difference loses all digits in float32: there the series of t / expm1(x) is used, without its first term. Else the
    term is 2 t (1 / (1-b2^t) - 1), whose quotient the step needs anyway.
    """
    short = 1.0 - b2
    rho_inf = 2.0 / short - 1.0
    rate: Any
    beyond: Any
    if isinstance(b2, (int, float)):
        rate = -math.log(b2) if b2 > 0 else math.inf
        beyond = rho_inf - 2.0 / rate
    else:
        rate = -jnp.log(b2)
        beyond = jnp.where(short < 0.03, short / 6 + short**2 / 12 + 19 / 360 * short**3, rho_inf - 2.0 / rate)
    x = t * jnp.asarray(rate, t.dtype)
    end = 1.0 if t.dtype == jnp.float32 else 0.05  # where the series, cut after x^8, is as exact as the difference
    near = jnp.minimum(x, end)
    series = beyond + t * (1 - near * (1 / 6 - near**2 * (1 / 360 - near**2 * (1 / 15120 - near**2 / 604800))))
    return jnp.where(x < end, series, rho_inf - 2.0 * t * (unbias(b2, t) - 1.0))


@factory
def scale_by_radam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: Annotated[Hyper, Range("[4, inf)")] = 5.0,
    *,
    nesterov: bool = False,
) -> Transform:
    """Scale as Adam does, rectified for the variance of sigma's early estimate.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; v_t = b2 v_{t-1} + (1-b2) g_t^2, v_0 = 0; mhat_t = m_t / (1-b1^t);
    rho_inf = 2 / (1-b2) - 1; rho_t = rho_inf - 2 t b2^t / (1-b2^t);
    where rho_t >= threshold: r_t = sqrt( (rho_t-4)(rho_t-2) rho_inf / ((rho_inf-4)(rho_inf-2) rho_t) ) and
    u_t = r_t mhat_t / (sqrt(v_t / (1-b2^t) + eps_root) + eps); else u_t = mhat_t, a warm-up without a schedule.

    Units: dimensionless once rectified, those of g before; eps has the units of g.
    Differs from: the paper, whose threshold is 4 and which has no eps; PyTorch's threshold is 5 too.

    Args:
        {b1}
        b2: decay of the mean of g^2, in [0, 1); where rho_inf < threshold (b2 < 2/3 at 5) it never rectifies.
        {eps}
        {eps_root}
        threshold: length of the approximated average from which sigma is trusted, >= 4.
        nesterov: whether to look one step ahead, as NAdam does.

    State:
        mu, nu: like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0, threshold < 4.

    Cost: 2 arrays per parameter; one pass.

    References:
        Liu et al. 2020, Algorithm 2, https://arxiv.org/abs/1908.03265

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_radam()
        >>> u, state = tx.update(jnp.array(7.0), tx.init(jnp.array(0.0)))
        >>> round(float(u), 4)
        7.0
    """

    def init(p: jax.Array) -> Slots:
        return {"nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        rho_inf = 2.0 / (1.0 - k.b2) - 1.0
        rho = average_length(k.b2, t)
        trusted = rho >= k.threshold
        safe = jnp.where(trusted, rho, 5.0)
        end = jnp.where(trusted, rho_inf, 5.0)  # rho_inf may be 4 where it is never trusted
        squared = (safe - 4.0) * (safe - 2.0) * end / ((end - 4.0) * (end - 2.0) * safe)
        # r multiplies u, so 1 / r multiplies sigma; before it is trusted sigma is 1
        per_r = 1.0 / jnp.sqrt(jnp.where(trusted, squared, 1.0))
        return {
            "unbias": unbias(k.b2, t),
            "slope": jnp.where(trusted, per_r, 0.0),
            "start": jnp.where(trusted, k.eps * per_r, 1.0),
        }

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        nu = k.b2 * slots["nu"] + (1 - k.b2) * held(abs_sq(g))
        return root(nu * k.unbias + k.eps_root) * k.slope + k.start, {"nu": nu}

    hyper = {"b2": b2, "eps": eps, "eps_root": eps_root, "threshold": threshold}
    return ratio(ema(b1, nesterov=nesterov), Rule("radam", update, init, ("nu",), hyper, scalars=scalars))


@factory
def radam(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    threshold: Annotated[Hyper, Range("[4, inf)")] = 5.0,
    *,
    nesterov: bool = False,
) -> Transform:
    """Descend as Adam does, trusting sigma only once enough gradients were seen.

    u_t = -eta_t r_t (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) once rho_t >= threshold, before it
    u_t = -eta_t m_t / (1-b1^t); rho_t and r_t as in `scale_by_radam`.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `radam`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        threshold: length of the approximated average from which sigma is trusted, >= 4.
        {nesterov}

    State:
        a tuple: of `scale_by_radam` (mu, nu, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Liu et al. 2020, Algorithm 2, https://arxiv.org/abs/1908.03265

    Examples:
        >>> import gradtx
        >>> gradtx.radam(1e-3).name
        'radam'
    """
    scaled = scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov)
    return chain(scaled, scale_by_learning_rate(learning_rate))
