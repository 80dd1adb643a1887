"""Adam = RMSProp + momentum: a debiased mean of gradients over a debiased root mean square."""

from jax.typing import DTypeLike

from gradtx.core.hyperparams import Hyper
from gradtx.core.leafwise import ratio
from gradtx.core.transform import Transform, factory
from gradtx.direction.ema import ema
from gradtx.scale.rms import rms


@factory
def scale_by_adam(
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
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
        b2: decay of the mean of g^2, in [0, 1).
        eps: added outside the root, >= 0.
        eps_root: added inside the root, >= 0.
        mu_dtype: dtype m is stored in; None is the parameter's, float32 or wider.
        nesterov: whether to look one step ahead.

    State:
        mu, nu: like params, float32 or wider (mu in mu_dtype); nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps or eps_root < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 1, https://arxiv.org/abs/1412.6980
        Dozat 2016 (nesterov), https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adam()
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(float(u), 4)
        0.9178
    """
    return ratio(ema(b1, True, mu_dtype, nesterov=nesterov), rms(b2, eps, eps_root=eps_root, debias=True))
