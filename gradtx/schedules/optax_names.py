"""optax's names for the decays and joins, with its arguments, order and defaults: change the import and nothing else.

Where they differ: a schedule with no steps, a decay rate of 0 and a negative value are errors here, not constants.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gradtx.schedules.base import At, Value, follow, half_wave, schedule, straight
from gradtx.schedules.cycle import through
from gradtx.schedules.decay import constant, cosine, exponential, linear, polynomial
from gradtx.schedules.join import parts_and_lengths, piecewise, running_products, steps_and_scales

CURVES = {"linear": straight, "cosine": half_wave}


@schedule
def constant_schedule(value: Value) -> At:
    """Hold one value: `constant` by optax's name.

    Units: those of value.

    Args:
        value: the value, finite and >= 0.

    Raises:
        ValueError: value is negative, NaN or infinite.

    References:
        Bottou, Curtis & Nocedal 2018, section 4.2, https://arxiv.org/abs/1606.04838

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.constant_schedule(0.25)(7).item()
        0.25
    """
    return constant(value).at


@schedule
def linear_schedule(init_value: Value, end_value: Value, transition_steps: int, transition_begin: int = 0) -> At:
    """Go from one value to another in a straight line: `linear` by optax's name.

    Units: those of init_value.

    Args:
        init_value: the first value, >= 0.
        end_value: the last value, >= 0.
        transition_steps: updates the way takes, > 0.
        transition_begin: updates before it starts, >= 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Defazio et al. 2023, https://arxiv.org/abs/2310.07831

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.linear_schedule(1.0, 0.0, 4)(1).item()
        0.75
    """
    return linear(init_value, end_value, transition_steps, transition_begin).at


@schedule
def polynomial_schedule(
    init_value: Value, end_value: Value, power: Value, transition_steps: int, transition_begin: int = 0
) -> At:
    """Go from one value to another along a power: `polynomial` by optax's name.

    Units: those of init_value.

    Args:
        init_value: the first value, >= 0.
        end_value: the last value, >= 0.
        power: > 0; 1 is a straight line.
        transition_steps: updates the way takes, > 0.
        transition_begin: updates before it starts, >= 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Chen et al. 2016 ("poly"), section 4.1, https://arxiv.org/abs/1606.00915

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.polynomial_schedule(1.0, 0.0, 2, 4)(1).item()
        0.5625
    """
    return polynomial(init_value, end_value, power, transition_steps, transition_begin).at


@schedule
def exponential_decay(
    init_value: Value,
    transition_steps: int,
    decay_rate: Value,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> At:
    """Multiply by a factor in every stretch of steps: `exponential` by optax's name.

    Units: those of init_value.

    Args:
        init_value: the first value, >= 0.
        transition_steps: updates in which the value is multiplied by `decay_rate` once, > 0.
        decay_rate: > 0.
        transition_begin: updates before it starts, >= 0.
        staircase: whether the value changes only at whole multiples of `transition_steps`.
        end_value: where it stops, >= 0; None is nowhere.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Li & Arora 2019, https://arxiv.org/abs/1910.07454

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.exponential_decay(1.0, 10, 0.5)(20).item()
        0.25
    """
    return exponential(init_value, transition_steps, decay_rate, transition_begin, staircase, end_value).at


@schedule
def cosine_decay_schedule(init_value: Value, decay_steps: int, alpha: Value = 0.0, exponent: Value = 1.0) -> At:
    """Go down along half a cosine wave: `cosine` by optax's name.

    Units: those of init_value.

    Args:
        init_value: the first value, >= 0.
        decay_steps: updates the way takes, > 0.
        alpha: the part of `init_value` that remains, in [0, 1].
        exponent: > 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Loshchilov & Hutter 2017, section 3, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> round(gradtx.schedules.cosine_decay_schedule(1.0, 100)(50).item(), 6)
        0.5
    """
    return cosine(init_value, decay_steps, alpha, exponent).at


@schedule
def piecewise_constant_schedule(init_value: Value, boundaries_and_scales: Mapping[int, Value] | None = None) -> At:
    """Multiply by a factor at each boundary: `piecewise` by optax's name.

    Units: those of init_value.

    Args:
        init_value: the first value, >= 0.
        boundaries_and_scales: count to factor >= 0; None is no boundary.

    Raises:
        ValueError: an argument is out of its range.

    References:
        He et al. 2015, section 4.2, https://arxiv.org/abs/1512.03385

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.piecewise_constant_schedule(1.0, {10: 0.5})(10).item()
        0.5
    """
    steps_and_scales("piecewise_constant_schedule", boundaries_and_scales)
    return piecewise(init_value, boundaries_and_scales).at


@schedule
def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: Value, boundaries_and_scales: Mapping[int, Value] | None = None
) -> At:
    """Go through the values that `piecewise` would jump to, along lines or cosine waves.

    eta_t is init_value at t = 0 and init_value times all scales so far at each boundary; between them "linear" or
    "cosine".

    Units: those of init_value.

    Args:
        interpolate_type: "linear" or "cosine".
        init_value: the first value, >= 0.
        boundaries_and_scales: count to factor >= 0; None is no boundary.

    Raises:
        ValueError: an argument is out of its range, or interpolate_type is unknown.

    References:
        Smith & Topin 2017, https://arxiv.org/abs/1708.07120

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.piecewise_interpolate_schedule("linear", 1.0, {4: 0.5, 8: 0.5})(6).item()
        0.375
    """
    name = "piecewise_interpolate_schedule"
    if interpolate_type not in CURVES:
        expected = "expected 'linear' or 'cosine'; change interpolate_type"
        raise ValueError(f"{name}: interpolate_type = {interpolate_type!r}, {expected}")
    pairs = steps_and_scales(name, boundaries_and_scales)
    values = running_products(init_value, [scale for _, scale in pairs])
    return through(values, [boundary for boundary, _ in pairs], CURVES[interpolate_type])


@schedule
def join_schedules(schedules: Sequence[Any], boundaries: Sequence[int]) -> At:
    """Follow one schedule after another: `join` by optax's name.

    Units: those of the schedules.

    Args:
        schedules: schedules of the count or numbers, at least one.
        boundaries: the counts at which the next one starts, one less than `schedules`, increasing, > 0.

    Raises:
        ValueError: the lengths do not match, or boundaries do not increase.

    References:
        Goyal et al. 2017, section 2.2, https://arxiv.org/abs/1706.02677

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.join_schedules([1.0, gradtx.schedules.linear(0.5, 0.0, 2)], [4])(5).item()
        0.25
    """
    return follow(*parts_and_lengths("join_schedules", schedules, boundaries))
