"""Adam with another sigma: amsgrad, radam.

Argument names, order and defaults are optax's.
"""

from jax.typing import DTypeLike

from gradtx.core.compose import chain
from gradtx.core.hyperparams import Hyper
from gradtx.core.transform import Transform, factory
from gradtx.scale.amsgrad import scale_by_amsgrad
from gradtx.scale.radam import scale_by_radam
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def amsgrad(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    mu_dtype: DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> Transform:
    """Descend as Adam does, with a sigma that never shrinks.

    u_t = -eta_t (m_t / (1-b1^t)) / (sqrt(w_t + eps_root) + eps), w_t = max(w_{t-1}, v_t / (1-b2^t)), w_0 = 0.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `amsgrad`.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule.
        b1: decay of the mean of g, in [0, 1).
        b2: decay of the mean of g^2, in [0, 1).
        eps: added outside the root, >= 0.
        eps_root: added inside the root, >= 0.
        mu_dtype: dtype the mean of g is stored in; None is the parameter's, float32 or wider.
        bias_correction_mu: whether to debias the mean of g.
        bias_correction_nu: whether to debias the mean of g^2 before the maximum.

    State:
        a tuple: of `scale_by_amsgrad` (mu, nu, nu_max, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 3 arrays per parameter; one pass.

    References:
        Reddi, Kale & Kumar 2018, Algorithm 2, https://arxiv.org/abs/1904.09237

    Examples:
        >>> import gradtx
        >>> gradtx.amsgrad(1e-3).name
        'amsgrad'
    """
    scaled = scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu)
    return chain(scaled, scale_by_learning_rate(learning_rate))


@factory
def radam(
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    threshold: Hyper = 5.0,
    *,
    nesterov: bool = False,
) -> Transform:
    """Descend as Adam does, trusting sigma only once enough gradients were seen.

    u_t = -eta_t r_t (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) once rho_t >= threshold, before it
    u_t = -eta_t m_t / (1-b1^t); rho_t and r_t as in `scale_by_radam`.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `radam`.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule.
        b1: decay of the mean of g, in [0, 1).
        b2: decay of the mean of g^2, in [0, 1).
        eps: added outside the root, >= 0.
        eps_root: added inside the root, >= 0.
        threshold: length of the approximated average from which sigma is trusted, >= 4.
        nesterov: whether momentum looks one step ahead.

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
