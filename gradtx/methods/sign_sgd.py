"""Sign descent: steps of one size, along the sign of the gradient or of its mean."""

from jax.typing import DTypeLike

from gradtx.factors.ema import ema
from gradtx.factors.sign import scale_by_sign
from gradtx.rules import Decay, LearningRate, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def sign_sgd(learning_rate: LearningRate) -> Transform:
    """Descend along the sign of the gradient.

    u_t = -eta_t sign(g_t).

    Units: eta has the units of p: it is the size of every step.
    Equivalent to: optax's `sign_sgd`.

    Args:
        {learning_rate}

    State:
        a tuple: of `scale_by_sign` (no slots) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: no array; one pass.

    References:
        Bernstein et al. 2018, Algorithm 1, https://arxiv.org/abs/1802.04434

    Examples:
        >>> import gradtx
        >>> gradtx.sign_sgd(1e-3)
        chain(scale_by_sign(), scale_by_learning_rate(0.001))
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))


@factory
def signum(learning_rate: LearningRate, beta: Decay = 0.9, accumulator_dtype: DTypeLike | None = None) -> Transform:
    """Descend along the sign of the mean of the gradients.

    m_t = beta m_{t-1} + (1-beta) g_t, m_0 = 0; u_t = -eta_t sign(m_t).

    Units: eta has the units of p: it is the size of every step.
    Equivalent to: optax's `signum`.

    Args:
        {learning_rate}
        beta: decay of the mean of g, in [0, 1); 0 is `sign_sgd`.
        {accumulator_dtype}

    State:
        a tuple: of `ema` (mu, like params), of `scale_by_sign` (no slots) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 1 array per parameter; one pass.

    References:
        Bernstein et al. 2018, Algorithm 2, https://arxiv.org/abs/1802.04434

    Examples:
        >>> import gradtx
        >>> gradtx.signum(1e-3)
        chain(ema(decay=0.9, debias=False), scale_by_sign(), scale_by_learning_rate(0.001))
    """
    direction = ema(beta, debias=False, accumulator_dtype=accumulator_dtype)
    return chain(direction, scale_by_sign(), scale_by_learning_rate(learning_rate))
