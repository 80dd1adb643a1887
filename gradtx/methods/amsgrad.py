"""AMSGrad: Adam whose sigma never shrinks."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx._core.arguments.presets import Preset, presets
from gradtx.factors.ema import ema
from gradtx.rules import (
    Decay,
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
    ratio,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_amsgrad(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    maximum_first: bool = False,
) -> Transform:
    """Scale as Adam does, by the largest second moment seen so far.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; v_t = b2 v_{t-1} + (1-b2) g_t^2, v_0 = 0;
    w_t = max(w_{t-1}, v_t / (1-b2^t)), w_0 = 0; u_t = (m_t / (1-b1^t)) / (sqrt(w_t + eps_root) + eps).
    The corrections 1-b1^t and 1-b2^t are 1 where `bias_correction_mu` or `bias_correction_nu` is False. With
    `maximum_first` w_t = max(w_{t-1}, v_t), and w_t / (1-b2^t) stands in the root.

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g.
    Differs from: the paper, which corrects neither moment (set both to False); PyTorch takes the maximum before
    the correction (set `maximum_first`).

    Args:
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        bias_correction_mu: whether to debias m.
        bias_correction_nu: whether to debias v.
        maximum_first: whether the maximum is that of v before it is debiased.

    State:
        mu, nu, nu_max: like params, float32 or wider (mu in mu_dtype); nu and nu_max real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0.

    Cost: 3 arrays per parameter; one pass.

    References:
        Reddi, Kale & Kumar 2018, Algorithm 2, https://arxiv.org/abs/1904.09237

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_amsgrad(b1=0.0)
        >>> u, state = tx.update(jnp.array(4.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> round(float(u), 4)
        0.25
    """

    def init(p: jax.Array) -> Slots:
        return {"nu": zeros(p, magnitude=True), "nu_max": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"unbias": unbias(k.b2, steps(count)) if bias_correction_nu else 1.0}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        nu = k.b2 * slots["nu"] + (1 - k.b2) * held(abs_sq(g))
        before, after = (1.0, k.unbias) if maximum_first else (k.unbias, 1.0)
        nu_max = jnp.maximum(slots["nu_max"], nu * before)
        return root(nu_max * after + k.eps_root) + k.eps, {"nu": nu, "nu_max": nu_max}

    hyper, positive = {"b2": b2, "eps": eps, "eps_root": eps_root}, is_above_0(eps)
    sigma = Rule("amsgrad", update, init, ("nu", "nu_max"), hyper, scalars=scalars, positive=positive)
    return ratio(ema(b1, bias_correction_mu, mu_dtype), sigma)


NOT_TORCH = {"eps_root": 0.0, "bias_correction_mu": True, "bias_correction_nu": True}


@factory
@presets(torch=Preset(NOT_TORCH, {}))
def amsgrad(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    like: str | None = None,
) -> Transform:
    """Descend as Adam does, with a sigma that never shrinks.

    u_t = -eta_t (m_t / (1-b1^t)) / (sqrt(w_t + eps_root) + eps), w_t = max(w_{t-1}, v_t / (1-b2^t)), w_0 = 0.
    With like="torch" w_t = max(w_{t-1}, v_t), and sqrt(w_t / (1-b2^t)) + eps divides.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `amsgrad`, or PyTorch's `Adam(amsgrad=True)` with like="torch".

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        bias_correction_mu: whether to debias the mean of g.
        bias_correction_nu: whether to debias the mean of g^2 before the maximum.
        like: "torch" for PyTorch's numerics: the maximum is taken before the correction.

    State:
        a tuple: of `scale_by_amsgrad` (mu, nu, nu_max, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or an argument contradicts `like`.

    Cost: 3 arrays per parameter; one pass.

    References:
        Reddi, Kale & Kumar 2018, Algorithm 2, https://arxiv.org/abs/1904.09237

    Examples:
        >>> import gradtx
        >>> gradtx.amsgrad(1e-3).name
        'amsgrad'
    """
    corrections = (bias_correction_mu, bias_correction_nu)
    scaled = scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, *corrections, maximum_first=like is not None)
    return chain(scaled, scale_by_learning_rate(learning_rate))
