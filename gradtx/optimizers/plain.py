"""Gradient descent and the optimizers with one scale: sgd, adagrad, rmsprop.

Argument names, order and defaults are optax's.
"""

from jax.typing import DTypeLike

from gradtx.core.compose import chain, identity
from gradtx.core.hyperparams import Hyper
from gradtx.core.transform import Transform, factory
from gradtx.direction.momentum import trace
from gradtx.scale.adagrad import scale_by_adagrad
from gradtx.scale.rms import scale_by_rms, scale_by_stddev
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def sgd(
    learning_rate: Hyper,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> Transform:
    """Descend along the gradient, or along a decaying sum of past gradients.

    m_t = momentum m_{t-1} + g_t, m_0 = 0; u_t = -eta_t m_t, with `nesterov` u_t = -eta_t (g_t + momentum m_t).

    Units: eta has the units of p over those of g.
    Equivalent to: optax's `sgd`.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule.
        momentum: decay of the sum of past gradients, in [0, 1); None keeps no sum.
        nesterov: whether momentum looks one step ahead.
        accumulator_dtype: dtype the momentum is stored in; None is the parameter's, float32 or wider.

    State:
        a tuple: of the momentum (trace, like params; empty without) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 1 array per parameter with momentum, else none; one pass.

    References:
        Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586; Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html

    Examples:
        >>> import gradtx
        >>> gradtx.sgd(0.1, momentum=0.9)
        chain(trace(0.9), scale_by_learning_rate(0.1))
    """
    direction = identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype)
    return chain(direction, scale_by_learning_rate(learning_rate))


@factory
def adagrad(learning_rate: Hyper, initial_accumulator_value: Hyper = 0.1, eps: Hyper = 1e-7) -> Transform:
    """Descend with each parameter scaled by the root of its summed squared gradients.

    s_t = s_{t-1} + g_t^2, s_0 = initial_accumulator_value; u_t = -eta_t g_t / sqrt(s_t + eps).

    Units: eta has the units of p.
    Equivalent to: optax's `adagrad`.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule.
        initial_accumulator_value: sum of squares at the start, >= 0.
        eps: added inside the root, >= 0.

    State:
        a tuple: of `scale_by_adagrad` (sum_of_squares, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 1 array per parameter; one pass.

    References:
        Duchi, Hazan & Singer 2011, https://jmlr.org/papers/v12/duchi11a.html

    Examples:
        >>> import gradtx
        >>> gradtx.adagrad(0.1)
        chain(scale_by_adagrad(initial_accumulator_value=0.1, eps=1e-07), scale_by_learning_rate(0.1))
    """
    return chain(scale_by_adagrad(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate))


@factory
def rmsprop(
    learning_rate: Hyper,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: Hyper = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Transform:
    """Descend with each parameter scaled by the root of the moving mean of its squared gradients.

    v_t = decay v_{t-1} + (1-decay) g_t^2, v_0 = initial_scale; s_t = -eta_t g_t / sqrt(v_t + eps); u_t = s_t, or with
    `momentum` the sum u_t = momentum u_{t-1} + s_t. `centered` takes the square of the mean gradient off v_t.

    Units: eta has the units of p.
    Equivalent to: optax's `rmsprop`.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule.
        decay: decay of the mean of g^2, in [0, 1).
        eps: added inside or outside the root, >= 0.
        initial_scale: mean of g^2 at the start, >= 0.
        eps_in_sqrt: whether eps is added inside the root.
        centered: whether sigma is the standard deviation, about the mean gradient.
        momentum: decay of the sum of past steps, in [0, 1); None keeps no sum.
        nesterov: whether momentum looks one step ahead.
        bias_correction: whether to divide the means by the sum of their weights so far.

    State:
        a tuple: of the scale (nu; mu where centered; like params), of the rate and of the momentum.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 1 array per parameter, 1 more where centered, 1 more with momentum; one pass.

    References:
        Tieleman & Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf; Graves 2013, https://arxiv.org/abs/1308.0850

    Examples:
        >>> import gradtx
        >>> gradtx.rmsprop(0.1)
        chain(scale_by_rms(decay=0.9, eps=1e-08), scale_by_learning_rate(0.1), identity())
    """
    sigma = scale_by_stddev if centered else scale_by_rms
    scaled = sigma(decay, eps, initial_scale, eps_in_sqrt, bias_correction)
    after = identity() if momentum is None else trace(momentum, nesterov)
    return chain(scaled, scale_by_learning_rate(learning_rate), after)
