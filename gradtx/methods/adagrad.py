"""Gradient descent with each parameter scaled by the root of its summed squared gradients."""

from gradtx.factors.adagrad import scale_by_adagrad
from gradtx.rules import LearningRate, NonNegative, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def adagrad(
    learning_rate: LearningRate, initial_accumulator_value: NonNegative = 0.1, eps: NonNegative = 1e-7
) -> Transform:
    """Descend with each parameter scaled by the root of its summed squared gradients.

    s_t = s_{t-1} + g_t^2, s_0 = initial_accumulator_value; u_t = -eta_t g_t / sqrt(s_t + eps).

    Units: eta has the units of p.
    Equivalent to: optax's `adagrad`.

    Args:
        {learning_rate}
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
