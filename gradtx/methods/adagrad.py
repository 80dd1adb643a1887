"""Gradient descent with each parameter scaled by the root of its summed squared gradients."""

from gradtx._core.arguments.presets import Preset, presets
from gradtx.factors.adagrad import scale_by_adagrad
from gradtx.rules import LearningRate, NonNegative, Transform, chain, factory
from gradtx.schedules.apply import falling_rate, scale_by_learning_rate


@factory
@presets(torch=Preset({}, {"initial_accumulator_value": 0.0, "eps": 1e-10}))
def adagrad(
    learning_rate: LearningRate,
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
    *,
    lr_decay: NonNegative = 0.0,
    like: str | None = None,
) -> Transform:
    """Descend with each parameter scaled by the root of its summed squared gradients.

    s_t = s_{t-1} + g_t^2, s_0 = initial_accumulator_value; u_t = -eta_t g_t / sqrt(s_t + eps), with
    eta_t / (1 + lr_decay (t-1)) for eta_t. With like="torch" u_t = -eta_t g_t / (sqrt(s_t) + eps), s_0 is 0 and eps
    1e-10 if not given.

    Units: eta has the units of p.
    Equivalent to: optax's `adagrad`, or PyTorch's `Adagrad` with like="torch".

    Args:
        {learning_rate}
        initial_accumulator_value: sum of squares at the start, >= 0.
        eps: added inside the root, or outside with like="torch", >= 0.
        lr_decay: how fast the rate falls, >= 0; PyTorch's.
        like: "torch" for PyTorch's numerics.

    State:
        a tuple: of `scale_by_adagrad` (sum_of_squares, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or `like` is not known.

    Cost: 1 array per parameter; one pass.

    References:
        Duchi, Hazan & Singer 2011, https://jmlr.org/papers/v12/duchi11a.html
        PyTorch, https://docs.pytorch.org/docs/stable/generated/torch.optim.Adagrad.html

    Examples:
        >>> import gradtx
        >>> gradtx.adagrad(0.1)
        chain(scale_by_adagrad(initial_accumulator_value=0.1, eps=1e-07), scale_by_learning_rate(0.1))
    """
    scaled = scale_by_adagrad(initial_accumulator_value, eps, eps_in_sqrt=like is None)
    constant = isinstance(lr_decay, (int, float)) and lr_decay == 0
    rate = scale_by_learning_rate(learning_rate) if constant else falling_rate(learning_rate, lr_decay)
    return chain(scaled, rate)
