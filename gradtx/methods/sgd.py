"""Gradient descent: along the gradient, or along a decaying sum of past gradients."""

from jax.typing import DTypeLike

from gradtx.factors.momentum import trace
from gradtx.rules import LearningRate, Momentum, Transform, chain, factory, identity
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def sgd(
    learning_rate: LearningRate,
    momentum: Momentum | None = None,
    nesterov: bool = False,
    accumulator_dtype: DTypeLike | None = None,
) -> Transform:
    """Descend along the gradient, or along a decaying sum of past gradients.

    m_t = momentum m_{t-1} + g_t, m_0 = 0; u_t = -eta_t m_t, with `nesterov` u_t = -eta_t (g_t + momentum m_t).

    Units: eta has the units of p over those of g.
    Equivalent to: optax's `sgd`.

    Args:
        {learning_rate}
        momentum: decay of the sum of past gradients, in [0, 1); None keeps no sum.
        {nesterov}
        {accumulator_dtype}

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
