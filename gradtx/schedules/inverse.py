"""Schedules that fall for ever, as one over the step or one over its root."""

import jax
import jax.numpy as jnp

from gradtx.schedules.base import schedule
from gradtx.schedules.check import Factor, Pause, Size, Stretch, Value, is_plain
from gradtx.schedules.count import above_0, scalar, whole_laps
from gradtx.schedules.curve import ValueAt, held


@schedule
def inverse_time(init_value: Value, transition_steps: Stretch, decay_rate: Factor, staircase: bool = False) -> ValueAt:
    """Divide by a number that grows with the count.

    eta_t = init_value / (1 + decay_rate s), s = t / transition_steps, with `staircase` floor(s).

    Units: those of init_value.
    Equivalent to: TensorFlow's InverseTimeDecay.

    Args:
        init_value: {init_value}
        transition_steps: updates in which the divisor grows by `decay_rate`; 0 or less holds init_value for ever.
        decay_rate: >= 0.
        staircase: {staircase}

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
    if is_plain(transition_steps) and transition_steps <= 0:
        return held(init_value)

    def value_at(count: jax.Array) -> jax.Array:
        if staircase:
            gone = scalar(whole_laps(count, transition_steps))
        else:
            gone = scalar(count) / scalar(above_0(transition_steps))
        if not is_plain(transition_steps):
            gone = jnp.where(jnp.asarray(transition_steps) > 0, gone, 0.0)
        return scalar(init_value) / (scalar(decay_rate) * gone + 1.0)

    return value_at


@schedule
def inverse_sqrt(d_model: Size, warmup_steps: Pause = 4000, factor: Value = 1.0) -> ValueAt:
    """Rise in a straight line, then fall as one over the root of the step: the Transformer's schedule.

    eta_t = factor d_model^-0.5 min(n^-0.5, n warmup_steps^-1.5), n = t + 1: the first update is step 1.

    Units: those of factor.
    Equivalent to: the formula of the paper; its peak, factor (d_model warmup_steps)^-0.5, is at t = warmup_steps - 1.

    Args:
        d_model: width of the model, a whole number > 0.
        warmup_steps: updates before the peak, >= 0; 0 falls from the start.
        factor: multiplies the whole, finite.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Vaswani et al. 2017, section 5.3, https://arxiv.org/abs/1706.03762

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.inverse_sqrt(d_model=512)
        >>> [f"{rate(count).item():.3e}" for count in (0, 3_999, 15_999)]
        ['1.747e-07', '6.988e-04', '3.494e-04']
    """

    def value_at(count: jax.Array) -> jax.Array:
        n = scalar(count) + 1.0
        falling = 1.0 / jnp.sqrt(n)
        if is_plain(warmup_steps):
            rising = n * (float(warmup_steps) ** -1.5 if warmup_steps > 0 else 1.0)
        else:
            warm = jnp.maximum(scalar(warmup_steps), 1.0)
            rising = n / (warm * jnp.sqrt(warm))
        return scalar(factor) / jnp.sqrt(scalar(d_model)) * jnp.minimum(falling, rising)

    return value_at
