"""Schedules that go from one value to another, or down for ever."""

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.arrays.numerics import INT32_MAX
from gradtx.schedules.base import (
    At,
    Value,
    half_wave,
    integer_power,
    number,
    raised,
    ramp,
    schedule,
    straight,
    whole,
)
from gradtx.schedules.check import is_plain


@schedule
def constant(value: Value) -> At:
    """Hold one value.

    eta_t = value.

    Units: those of value.
    Equivalent to: optax's `constant_schedule`.

    Args:
        value: the value, finite and >= 0.

    Raises:
        ValueError: value is negative, NaN or infinite.

    References:
        Bottou, Curtis & Nocedal 2018, section 4.2, https://arxiv.org/abs/1606.04838

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.constant(0.25)(1_000_000).item()
        0.25
    """
    return lambda count: number(value)


@schedule
def linear(init_value: Value, end_value: Value, transition_steps: int, transition_begin: int = 0) -> At:
    """Go from one value to another in a straight line, and stay there.

    eta_t = init_value + (end_value - init_value) s, s = clip((t - transition_begin) / transition_steps, 0, 1).

    Units: those of init_value.
    Equivalent to: optax's `linear_schedule`; PyTorch's LinearLR.

    Args:
        init_value: the value up to `transition_begin`, >= 0.
        end_value: the value at `transition_begin + transition_steps` and after, >= 0.
        transition_steps: updates the way takes, > 0.
        transition_begin: updates before it starts, >= 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Defazio et al. 2023, https://arxiv.org/abs/2310.07831

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.linear(1.0, 0.5, 4, transition_begin=2)
        >>> [rate(count).item() for count in (0, 2, 3, 6, 100)]
        [1.0, 1.0, 0.875, 0.5, 0.5]
    """
    return ramp(init_value, end_value, transition_steps, transition_begin)


@schedule
def polynomial(
    init_value: Value, end_value: Value, power: Value, transition_steps: int, transition_begin: int = 0
) -> At:
    """Go from one value to another along a power of what is left of the way, and stay there.

    eta_t = end_value + (init_value - end_value) (1 - s)^power, s = clip((t - b) / transition_steps, 0, 1),
    b = transition_begin.

    Units: those of init_value.
    Equivalent to: optax's `polynomial_schedule`; PyTorch's PolynomialLR.

    Args:
        init_value: the value up to `transition_begin`, >= 0.
        end_value: the value at `transition_begin + transition_steps` and after, >= 0.
        power: > 0; 1 is a straight line, 2 slows down towards the end, 0.5 speeds up.
        transition_steps: updates the way takes, > 0.
        transition_begin: updates before it starts, >= 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Chen et al. 2016 ("poly"), section 4.1, https://arxiv.org/abs/1606.00915

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.polynomial(1.0, 0.0, power=2, transition_steps=4)
        >>> [rate(count).item() for count in range(5)]
        [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    return ramp(init_value, end_value, transition_steps, transition_begin, raised(straight, power))


@schedule
def cosine(init_value: Value, decay_steps: int, alpha: Value = 0.0, exponent: Value = 1.0) -> At:
    """Go down along half a cosine wave, and stay there.

    eta_t = init_value ((1 - alpha) c^exponent + alpha), c = (1 + cos(pi min(t / decay_steps, 1))) / 2.

    Units: those of init_value.
    Equivalent to: optax's `cosine_decay_schedule`; PyTorch's CosineAnnealingLR. Computed as the sine squared of what
    is left, so that the last updates keep their digits.

    Args:
        init_value: the value at count 0, >= 0.
        decay_steps: updates the way takes, > 0.
        alpha: the part of `init_value` that remains, in [0, 1].
        exponent: > 0; above 1 it falls sooner, below 1 later.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Loshchilov & Hutter 2017, section 3, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.cosine(0.8, decay_steps=100, alpha=0.1)
        >>> [round(rate(count).item(), 4) for count in (0, 25, 50, 100)]
        [0.8, 0.6946, 0.44, 0.08]
    """
    end = init_value * alpha if is_plain(init_value) and is_plain(alpha) else None

    def at(count: jax.Array) -> jax.Array:
        low = number(init_value) * number(alpha) if end is None else end
        value: jax.Array = ramp(init_value, low, decay_steps, curve=raised(half_wave, exponent))(count)
        return value

    return at


@schedule
def exponential(
    init_value: Value,
    transition_steps: int,
    decay_rate: Value,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> At:
    """Multiply by a factor in every stretch of steps.

    eta_t = init_value decay_rate^s, s = max(t - transition_begin, 0) / transition_steps, with `staircase` floor(s).

    Units: those of init_value.
    Equivalent to: optax's `exponential_decay`; PyTorch's StepLR with `staircase`, ExponentialLR without.

    Args:
        init_value: the value up to `transition_begin`, >= 0.
        transition_steps: updates in which the value is multiplied by `decay_rate` once, > 0.
        decay_rate: > 0; below 1 the value falls, above 1 it grows.
        transition_begin: updates before it starts, >= 0.
        staircase: whether the value changes only at whole multiples of `transition_steps`.
        end_value: where it stops, >= 0: the least value if decay_rate < 1, else the largest; None is nowhere.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Li & Arora 2019, https://arxiv.org/abs/1910.07454

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.exponential(1.0, 10, 0.5, staircase=True, end_value=0.2)
        >>> [round(rate(count).item(), 4) for count in (0, 9, 10, 20, 30)]
        [1.0, 1.0, 0.5, 0.25, 0.2]
    """

    def at(count: jax.Array) -> jax.Array:
        stretch = whole(transition_steps)
        done = jnp.maximum(count - whole(transition_begin), 0)
        times = done // stretch
        factor = integer_power(decay_rate, times, INT32_MAX // stretch if isinstance(stretch, int) else INT32_MAX)
        if not staircase:
            log = np.log(decay_rate) if is_plain(decay_rate) else jnp.log(number(decay_rate))
            factor = factor * jnp.exp(number(done - times * stretch) / number(stretch) * number(log))
        value: jax.Array = number(init_value) * factor
        if end_value is None:
            return value
        least, most = jnp.maximum(value, number(end_value)), jnp.minimum(value, number(end_value))
        return jnp.where(number(decay_rate) < 1.0, least, most)

    return at


@schedule
def inverse_time(init_value: Value, transition_steps: int, decay_rate: Value, staircase: bool = False) -> At:
    """Divide by a number that grows with the count.

    eta_t = init_value / (1 + decay_rate s), s = t / transition_steps, with `staircase` floor(s).

    Units: those of init_value.
    Equivalent to: TensorFlow's InverseTimeDecay.

    Args:
        init_value: the value at count 0, >= 0.
        transition_steps: updates in which the divisor grows by `decay_rate`, > 0.
        decay_rate: > 0.
        staircase: whether the value changes only at whole multiples of `transition_steps`.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.inverse_time(1.0, 10, 0.5)
        >>> [rate(count).item() for count in (0, 20, 60)]
        [1.0, 0.5, 0.25]
    """

    def at(count: jax.Array) -> jax.Array:
        stretch = whole(transition_steps)
        parts = number(count // stretch) if staircase else number(count) / number(stretch)
        return number(init_value) / (number(decay_rate) * parts + 1.0)

    return at
