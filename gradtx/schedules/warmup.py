"""Schedules that start low and rise to a peak, then hold it or go down."""

from typing import Any

from gradtx.schedules.base import schedule
from gradtx.schedules.check import ArgumentError, Length, Pause, Power, Value, is_plain
from gradtx.schedules.count import divided, minus, plus
from gradtx.schedules.curve import Curve, ValueAt, half_wave, held, in_turn, raised, ramp, root_curve, straight


def rise(peak_value: Any, warmup_steps: Any, init_value: Any) -> ValueAt:
    """Return the way up; None starts where a line from 0, one step before count 0, would be."""
    if init_value is None:
        init_value = divided(peak_value, plus(warmup_steps, 1))
    return ramp(init_value, peak_value, warmup_steps)


def rise_and_hold(peak_value: Any, warmup_steps: Any, init_value: Any) -> ValueAt:
    """Return the way up, then the peak for good."""
    up = rise(peak_value, warmup_steps, init_value)
    if is_plain(warmup_steps) and warmup_steps > 0:  # a way up stays at its end of itself
        return up
    return in_turn([up, held(peak_value)], [warmup_steps])


def rise_and_wave(
    peak_value: Any, warmup_steps: Any, decay_steps: Any, init_value: Any, end_value: Any, exponent: Any
) -> ValueAt:
    """Return the way up, then half a cosine wave down."""
    rest = rest_of(warmup_steps, decay_steps)
    if is_plain(exponent) and exponent == 0:
        return rise_and_hold(peak_value, warmup_steps, init_value)
    down = ramp(peak_value, end_value, rest, curve=raised(half_wave, exponent))
    return in_turn([rise(peak_value, warmup_steps, init_value), down], [warmup_steps])


def rest_of(warmup_steps: Any, decay_steps: Any) -> Any:
    """Return the steps left after the warm-up.

    Raises:
        ArgumentError: none are left.
    """
    if is_plain(warmup_steps) and is_plain(decay_steps) and warmup_steps >= decay_steps:
        fix = "decay_steps is the whole length, warm-up included; for no decay use warmup_constant()"
        raise ArgumentError(f"warmup_steps = {warmup_steps}, expected less than decay_steps = {decay_steps}; {fix}")
    return minus(decay_steps, warmup_steps)


@schedule
def warmup_constant(peak_value: Value, warmup_steps: Pause, init_value: Value | None = None) -> ValueAt:
    """Rise in a straight line to a value, and stay there.

    eta_t = peak_value min((t + 1) / (warmup_steps + 1), 1), or from `init_value` at t = 0 to the peak at warmup_steps.

    Units: those of peak_value.
    Differs from: optax's `warmup_constant_schedule` in the order of arguments and in a start that is not 0.

    Args:
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}
        init_value: {init_value_or_none}

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
    return rise_and_hold(peak_value, warmup_steps, init_value)


@schedule
def warmup_linear(
    peak_value: Value,
    warmup_steps: Pause,
    decay_steps: Length,
    end_value: Value = 0.0,
    init_value: Value | None = None,
) -> ValueAt:
    """Rise in a straight line to a peak, then go down in a straight line.

    eta_t = peak_value (t + 1) / (w + 1) for t <= w = warmup_steps (or from `init_value` at t = 0), then
    end_value + (peak_value - end_value) max(T - t, 0) / (T - w), T = decay_steps.

    Units: those of peak_value.
    Differs from: BERT's code, whose line down starts at count 0, so that it jumps at the end of the warm-up; Hugging
    Face's get_linear_schedule_with_warmup in a start that is not 0.

    Args:
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}
        decay_steps: {decay_steps}
        end_value: {end_value}
        init_value: {init_value_or_none}

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
    down = ramp(peak_value, end_value, rest_of(warmup_steps, decay_steps))
    return in_turn([rise(peak_value, warmup_steps, init_value), down], [warmup_steps])


@schedule
def warmup_cosine(
    peak_value: Value,
    warmup_steps: Pause,
    decay_steps: Length,
    init_value: Value | None = None,
    end_value: Value = 0.0,
    exponent: Power = 1.0,
) -> ValueAt:
    """Rise in a straight line to a peak, then go down along half a cosine wave.

    eta_t = peak_value (t + 1) / (w + 1) for t <= w = warmup_steps (or from `init_value` at t = 0), then
    end_value + (peak_value - end_value) c^exponent, c = (1 + cos(pi min((t - w) / (T - w), 1))) / 2, T = decay_steps.

    Units: those of peak_value.
    Differs from: optax's `warmup_cosine_decay_schedule` in the order of arguments and in a start that is not 0.

    Args:
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}
        decay_steps: {decay_steps}
        init_value: {init_value_or_none}
        end_value: {end_value}
        exponent: {exponent}

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
    return rise_and_wave(peak_value, warmup_steps, decay_steps, init_value, end_value, exponent)


SHAPES: dict[str, Curve] = {"linear": straight, "cosine": half_wave, "sqrt": root_curve}


@schedule
def warmup_stable_decay(
    peak_value: Value,
    warmup_steps: Pause,
    stable_steps: Pause,
    decay_steps: Pause,
    init_value: Value | None = None,
    end_value: Value = 0.0,
    shape: str = "linear",
) -> ValueAt:
    """Rise to a peak, hold it, then go down: the plan whose length need not be known beforehand.

    eta_t = peak_value (t + 1) / (w + 1) for t <= w (or from `init_value` at t = 0), peak_value for w <= t <= w + s,
    then end_value + (peak_value - end_value) f(x), x = min((t - w - s) / d, 1), f(x) = 1 - x ("linear"),
    (1 + cos(pi x)) / 2 ("cosine") or 1 - sqrt(x) ("sqrt"); w, s, d are the three lengths.

    Units: those of peak_value.
    Differs from: the other warm-ups in its lengths: each is that of its own part, so the whole takes w + s + d.

    Args:
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}
        stable_steps: updates for which the peak is held, >= 0.
        decay_steps: updates of the way down ALONE, >= 0; 0 is at end_value as soon as the peak has been held.
        init_value: {init_value_or_none}
        end_value: {end_value}
        shape: the way down, "linear", "cosine" or "sqrt".

    Raises:
        ValueError: an argument is out of its range, or the shape is unknown.

    References:
        Hu et al. 2024, section 4, https://arxiv.org/abs/2404.06395; Hagele et al. 2024 (sqrt), https://arxiv.org/abs/2405.18392

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.warmup_stable_decay(
        ...     1.0, 1, stable_steps=10, decay_steps=4, shape="sqrt"
        ... )
        >>> [rate(count).item() for count in (0, 1, 11, 12, 15)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if shape not in SHAPES:
        raise ArgumentError(f"shape = {shape!r}, expected one of {sorted(SHAPES)}; change shape")
    falls = plus(warmup_steps, stable_steps)
    functions = [rise(peak_value, warmup_steps, init_value), held(peak_value)]
    functions.append(ramp(peak_value, end_value, decay_steps, curve=SHAPES[shape]))
    if is_plain(decay_steps) and decay_steps > 0:  # a way down stays at its end of itself
        return in_turn(functions, [warmup_steps, falls])
    return in_turn([*functions, held(end_value)], [warmup_steps, falls, plus(falls, decay_steps)])
