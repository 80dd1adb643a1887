"""Schedules that start low and rise to a peak, then hold it or go down."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx.schedules.base import (
    At,
    Curve,
    Value,
    follow,
    half_wave,
    number,
    quotient,
    raised,
    ramp,
    root_curve,
    schedule,
    straight,
    whole,
)
from gradtx.schedules.check import is_plain


def rise(peak_value: Value, warmup_steps: Any, init_value: Value | None) -> At:
    """Return the way up; None starts where a line from 0, one step before count 0, would be."""
    return lambda count: ramp(
        quotient(peak_value, whole(warmup_steps) + 1) if init_value is None else init_value, peak_value, warmup_steps
    )(count)


def rest_of(name: str, warmup_steps: Any, decay_steps: Any) -> Any:
    """Return the steps left after the warm-up, checked where they are Python numbers.

    Raises:
        ValueError: none are left.
    """
    if is_plain(warmup_steps) and is_plain(decay_steps) and warmup_steps >= decay_steps:
        fix = "decay_steps is the whole length, warm-up included; for no decay use warmup_constant()"
        raise ValueError(
            f"{name}: warmup_steps = {warmup_steps}, expected less than decay_steps = {decay_steps}; {fix}"
        )
    return whole(decay_steps) - whole(warmup_steps)


@schedule
def warmup_constant(peak_value: Value, warmup_steps: int, init_value: Value | None = None) -> At:
    """Rise in a straight line to a value, and stay there.

    eta_t = peak_value min((t + 1) / (warmup_steps + 1), 1), or from `init_value` at t = 0 to the peak at warmup_steps.

    Units: those of peak_value.
    Differs from: optax's `warmup_constant_schedule` in the order of arguments and in a start that is not 0.

    Args:
        peak_value: the value at `warmup_steps` and after, >= 0.
        warmup_steps: updates before the peak, >= 0; 0 is the peak at once.
        init_value: the value at count 0, >= 0; None is peak_value / (warmup_steps + 1), so that the first update moves.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Goyal et al. 2017, section 2.2, https://arxiv.org/abs/1706.02677

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.warmup_constant(1.0, warmup_steps=3)
        >>> [rate(count).item() for count in (0, 1, 3, 10)]
        [0.25, 0.5, 1.0, 1.0]
    """
    return rise(peak_value, warmup_steps, init_value)


@schedule
def warmup_linear(
    peak_value: Value, warmup_steps: int, decay_steps: int, end_value: Value = 0.0, init_value: Value | None = None
) -> At:
    """Rise in a straight line to a peak, then go down in a straight line.

    eta_t = peak_value (t + 1) / (w + 1) for t <= w = warmup_steps (or from `init_value` at t = 0), then
    end_value + (peak_value - end_value) max(T - t, 0) / (T - w), T = decay_steps.

    Units: those of peak_value.
    Differs from: BERT's code, whose line down starts at count 0, so that it jumps at the end of the warm-up; Hugging
    Face's get_linear_schedule_with_warmup in a start that is not 0.

    Args:
        peak_value: the value at `warmup_steps`, >= 0.
        warmup_steps: updates before the peak, >= 0 and < decay_steps.
        decay_steps: length of the WHOLE schedule, warm-up included.
        end_value: the value at `decay_steps` and after, >= 0.
        init_value: the value at count 0, >= 0; None is peak_value / (warmup_steps + 1), so that the first update moves.

    Raises:
        ValueError: an argument is out of its range, or warmup_steps >= decay_steps.

    References:
        Devlin et al. 2019, appendix A.2, https://arxiv.org/abs/1810.04805

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.warmup_linear(1.0, warmup_steps=3, decay_steps=11)
        >>> [rate(count).item() for count in (0, 1, 3, 5, 10, 11)]
        [0.25, 0.5, 1.0, 0.75, 0.125, 0.0]
    """
    down = ramp(peak_value, end_value, rest_of("warmup_linear", warmup_steps, decay_steps))
    return follow([rise(peak_value, warmup_steps, init_value), down], [warmup_steps])


@schedule
def warmup_cosine(
    peak_value: Value,
    warmup_steps: int,
    decay_steps: int,
    init_value: Value | None = None,
    end_value: Value = 0.0,
    exponent: Value = 1.0,
) -> At:
    """Rise in a straight line to a peak, then go down along half a cosine wave.

    eta_t = peak_value (t + 1) / (w + 1) for t <= w = warmup_steps (or from `init_value` at t = 0), then
    end_value + (peak_value - end_value) c^exponent, c = (1 + cos(pi min((t - w) / (T - w), 1))) / 2, T = decay_steps.

    Units: those of peak_value.
    Differs from: optax's `warmup_cosine_decay_schedule` in the order of arguments and in a start that is not 0.

    Args:
        peak_value: the value at `warmup_steps`, >= 0.
        warmup_steps: updates before the peak, >= 0 and < decay_steps.
        decay_steps: length of the WHOLE schedule, warm-up included.
        init_value: the value at count 0, >= 0; None is peak_value / (warmup_steps + 1), so that the first update moves.
        end_value: the value at `decay_steps` and after, >= 0.
        exponent: > 0; above 1 it falls sooner, below 1 later.

    Raises:
        ValueError: an argument is out of its range, or warmup_steps >= decay_steps.

    References:
        Brown et al. 2020, appendix B, https://arxiv.org/abs/2005.14165; Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.warmup_cosine(1.0, warmup_steps=3, decay_steps=13)
        >>> [round(rate(count).item(), 4) for count in (0, 3, 8, 12, 13)]
        [0.25, 1.0, 0.5, 0.0245, 0.0]
    """
    rest = rest_of("warmup_cosine", warmup_steps, decay_steps)
    down = ramp(peak_value, end_value, rest, curve=raised(half_wave, exponent))
    return follow([rise(peak_value, warmup_steps, init_value), down], [warmup_steps])


SHAPES: dict[str, Curve] = {"linear": straight, "cosine": half_wave, "sqrt": root_curve}


@schedule
def warmup_stable_decay(
    peak_value: Value,
    warmup_steps: int,
    stable_steps: int,
    decay_steps: int,
    init_value: Value | None = None,
    end_value: Value = 0.0,
    shape: str = "linear",
) -> At:
    """Rise to a peak, hold it, then go down: the plan whose length need not be known beforehand.

    eta_t = peak_value (t + 1) / (w + 1) for t <= w (or from `init_value` at t = 0), peak_value for w <= t <= w + s,
    then end_value + (peak_value - end_value) f(x), x = min((t - w - s) / d, 1), f(x) = 1 - x ("linear"),
    (1 + cos(pi x)) / 2 ("cosine") or 1 - sqrt(x) ("sqrt"); w, s, d are the three lengths.

    Units: those of peak_value.
    Differs from: the other warm-ups in its lengths: each is that of its own part, so the whole takes w + s + d.

    Args:
        peak_value: the value held, >= 0.
        warmup_steps: updates before the peak, >= 0.
        stable_steps: updates for which the peak is held, >= 0.
        decay_steps: updates of the way down ALONE, > 0.
        init_value: the value at count 0, >= 0; None is peak_value / (warmup_steps + 1), so that the first update moves.
        end_value: the value at `warmup_steps + stable_steps + decay_steps` and after, >= 0.
        shape: the way down, "linear", "cosine" or "sqrt".

    Raises:
        ValueError: an argument is out of its range, or the shape is unknown.

    References:
        Hu et al. 2024, section 4, https://arxiv.org/abs/2404.06395; Hagele et al. 2024 (sqrt), https://arxiv.org/abs/2405.18392

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.warmup_stable_decay(1.0, 1, stable_steps=10, decay_steps=4, shape="sqrt")
        >>> [rate(count).item() for count in (0, 1, 11, 12, 15)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if shape not in SHAPES:
        raise ValueError(f"warmup_stable_decay: shape = {shape!r}, expected one of {sorted(SHAPES)}; change shape")
    parts = [
        rise(peak_value, warmup_steps, init_value),
        lambda count: number(peak_value),
        ramp(peak_value, end_value, decay_steps, curve=SHAPES[shape]),
    ]
    return follow(parts, [warmup_steps, stable_steps])


@schedule
def inverse_sqrt(d_model: int, warmup_steps: int = 4000, factor: Value = 1.0) -> At:
    """Rise in a straight line, then fall as one over the root of the step: the Transformer's schedule.

    eta_t = factor d_model^-0.5 min(n^-0.5, n warmup_steps^-1.5), n = t + 1: the first update is step 1.

    Units: those of factor.
    Equivalent to: the formula of the paper; its peak, factor (d_model warmup_steps)^-0.5, is at t = warmup_steps - 1.

    Args:
        d_model: width of the model, a whole number > 0.
        warmup_steps: updates before the peak, >= 0; 0 falls from the start.
        factor: multiplies the whole, >= 0.

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

    def at(count: jax.Array) -> jax.Array:
        n = number(count) + 1.0
        falling = 1.0 / jnp.sqrt(n)
        if is_plain(warmup_steps):
            rising = n * (float(warmup_steps) ** -1.5 if warmup_steps > 0 else 1.0)
        else:
            warm = jnp.maximum(number(warmup_steps), 1.0)
            rising = n / (warm * jnp.sqrt(warm))
        return number(factor) / jnp.sqrt(number(d_model)) * jnp.minimum(falling, rising)

    return at
