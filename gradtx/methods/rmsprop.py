"""Gradient descent with each parameter scaled by the root of the moving mean of its squared gradients."""

from gradtx._core.arguments.presets import Preset, presets
from gradtx.factors.momentum import trace
from gradtx.factors.rms import scale_by_rms, scale_by_stddev
from gradtx.rules import Decay, LearningRate, Momentum, NonNegative, Transform, chain, factory, identity
from gradtx.schedules.apply import scale_by_learning_rate

NOT_TORCH = {"eps_in_sqrt": False, "initial_scale": 0.0, "nesterov": False, "bias_correction": False}


@factory
@presets(torch=Preset(NOT_TORCH, {"decay": 0.99}))
def rmsprop(
    learning_rate: LearningRate,
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Momentum | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    *,
    like: str | None = None,
) -> Transform:
    """Descend with each parameter scaled by the root of the moving mean of its squared gradients.

    v_t = decay v_{t-1} + (1-decay) g_t^2, v_0 = initial_scale; s_t = -eta_t g_t / sqrt(v_t + eps); u_t = s_t, or with
    `momentum` the sum u_t = momentum u_{t-1} + s_t. `centered` takes the square of the mean gradient off v_t.
    With like="torch" u_t = -eta_t b_t, b_t = momentum b_{t-1} + g_t / (sqrt(v_t) + eps), and decay is 0.99 unless it is
    given.

    Units: eta has the units of p.
    Equivalent to: optax's `rmsprop`, or PyTorch's `RMSprop` with like="torch".

    Args:
        {learning_rate}
        decay: decay of the mean of g^2, in [0, 1).
        eps: added inside or outside the root, >= 0.
        initial_scale: mean of g^2 at the start, >= 0.
        eps_in_sqrt: whether eps is added inside the root.
        centered: whether sigma is the standard deviation, about the mean gradient.
        momentum: decay of the sum of past steps, in [0, 1); None keeps no sum.
        {nesterov}
        bias_correction: whether to divide the means by the sum of their weights so far.
        like: "torch" for PyTorch's numerics: eps outside the root, v_0 = 0, the rate after the momentum.

    State:
        a tuple: of the scale (nu; mu where centered; like params), of the rate and of the momentum.

    Raises:
        ValueError: a hyperparameter is out of its range, or an argument contradicts `like`.

    Cost: 1 array per parameter, 1 more where centered, 1 more with momentum; one pass.

    References:
        Tieleman & Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
        Graves 2013, https://arxiv.org/abs/1308.0850
        PyTorch, https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html

    Examples:
        >>> import gradtx
        >>> gradtx.rmsprop(0.1)
        chain(scale_by_rms(decay=0.9, eps=1e-08), scale_by_learning_rate(0.1), identity())
    """
    sigma = scale_by_stddev if centered else scale_by_rms
    scaled = sigma(decay, eps, initial_scale, eps_in_sqrt, bias_correction)
    after = identity() if momentum is None else trace(momentum, nesterov)
    rate = scale_by_learning_rate(learning_rate)
    return chain(scaled, rate, after) if like is None else chain(scaled, after, rate)
