"""Adam = RMSProp + momentum: a debiased mean of gradients over a debiased root mean square."""

from typing import Any

from jax.typing import DTypeLike

from gradtx.factors.ema import ema
from gradtx.factors.rms import rms
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import Decay, Finite, LearningRate, NonNegative, Transform, chain, factory, ratio
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_adam(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Scale by Adam's ratio of debiased moments.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; v_t = b2 v_{t-1} + (1-b2) g_t^2, v_0 = 0;
    u_t = (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps). With `nesterov` (NAdam) the numerator is
    b1 m_t / (1-b1^(t+1)) + (1-b1) g_t / (1-b1^t).

    Units: dimensionless (invariant to g -> c g when eps = eps_root = 0); eps has the units of g.
    Differs from: PyTorch's Adam in nothing; TensorFlow puts eps inside the correction.

    Args:
        b1: decay of the mean of g, in [0, 1); 0 turns momentum off, which leaves RMSProp with correction.
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        nesterov: whether to look one step ahead.

    State:
        mu, nu: like params, float32 or wider (mu in mu_dtype); nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 1, https://arxiv.org/abs/1412.6980; Dozat 2016 (nesterov), https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adam()
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(float(u), 4)
        0.9178
    """
    return ratio(ema(b1, True, mu_dtype, nesterov=nesterov), rms(b2, eps, eps_root=eps_root, debias=True))


@factory
def adam(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Descend along Adam's ratio of debiased moments.

    u_t = -eta_t (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps), with m and v the moving means of g and
    g^2 from 0.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `adam`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        {nesterov}

    State:
        a tuple: of `scale_by_adam` (mu, nu, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 1, https://arxiv.org/abs/1412.6980

    Examples:
        >>> import gradtx
        >>> gradtx.adam(1e-3)
        chain(scale_by_adam(b1=0.9, b2=0.999, eps=1e-08), scale_by_learning_rate(0.001))
    """
    scaled = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return chain(scaled, scale_by_learning_rate(learning_rate))


@factory
def adamw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Finite = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> Transform:
    """Descend as Adam does, with decoupled weight decay.

    u_t = -eta_t ((m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) + weight_decay p_t).

    Units: eta has the units of p; weight_decay is per unit of p.
    Equivalent to: optax's `adamw`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        {weight_decay}
        {mask}
        {nesterov}

    State:
        a tuple: of `scale_by_adam` (mu, nu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Loshchilov & Hutter 2019, Algorithm 2, https://arxiv.org/abs/1711.05101

    Examples:
        >>> import gradtx
        >>> gradtx.adamw(1e-3)
        chain(scale_by_adam(b1=0.9, b2=0.999, eps=1e-08), add_decayed_weights(0.0001), scale_by_learning_rate(0.001))
    """
    scaled = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))


@factory
def nadam(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
) -> Transform:
    """Descend as Adam does, looking one step ahead.

    n_t = b1 m_t / (1-b1^(t+1)) + (1-b1) g_t / (1-b1^t); u_t = -eta_t n_t / (sqrt(v_t / (1-b2^t) + eps_root) + eps),
    with m and v the moving means of g and g^2 from 0: `adam` with `nesterov`.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `nadam`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}

    State:
        as `adam`.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Examples:
        >>> import gradtx
        >>> gradtx.nadam(1e-3)
        chain(scale_by_adam(b1=0.9, b2=0.999, eps=1e-08, nesterov=True), scale_by_learning_rate(0.001))
    """
    return adam(learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov=True)


@factory
def nadamw(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Finite = 1e-4,
    mask: Any = None,
) -> Transform:
    """Descend as AdamW does, looking one step ahead.

    u_t = -eta_t (n_t / (sqrt(v_t / (1-b2^t) + eps_root) + eps) + weight_decay p_t), with n and v as in `nadam`.

    Units: eta has the units of p; weight_decay is per unit of p.
    Equivalent to: optax's `nadamw`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        {weight_decay}
        {mask}

    State:
        as `adamw`.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101

    Examples:
        >>> import gradtx
        >>> gradtx.nadamw(1e-3).name
        'nadamw'
    """
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=True)
