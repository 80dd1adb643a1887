"""optax's names, with its arguments, order, defaults and values: change the import and nothing else.

Where a value differs, the docstring says so under "Differs from". What optax takes and gives NaN, infinity or a
schedule dropped in silence for is an error here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gradtx.schedules.base import also_named, schedule
from gradtx.schedules.check import LENGTH, ArgumentError, Length, Pause, Power, Stretch, Value, checked
from gradtx.schedules.count import plus
from gradtx.schedules.curve import ValueAt, half_wave, in_turn, straight, through
from gradtx.schedules.cycle import linear_one_cycle, one_cycle
from gradtx.schedules.decay import constant, cosine, exponential, falling, linear, polynomial
from gradtx.schedules.join import join, piecewise, running_products, steps_and_scales
from gradtx.schedules.warmup import rise, rise_and_hold, rise_and_wave

constant_schedule = also_named("constant_schedule", constant, __name__)
linear_schedule = also_named("linear_schedule", linear, __name__)
polynomial_schedule = also_named("polynomial_schedule", polynomial, __name__)
exponential_decay = also_named("exponential_decay", exponential, __name__)
cosine_decay_schedule = also_named("cosine_decay_schedule", cosine, __name__)
piecewise_constant_schedule = also_named("piecewise_constant_schedule", piecewise, __name__)
join_schedules = also_named("join_schedules", join, __name__)
linear_onecycle_schedule = also_named("linear_onecycle_schedule", linear_one_cycle, __name__)
cosine_onecycle_schedule = also_named("cosine_onecycle_schedule", one_cycle, __name__)

CURVES = {"linear": straight, "cosine": half_wave}


@schedule
def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: Value, boundaries_and_scales: Mapping[Any, Any] | None = None
) -> ValueAt:
    """Go through the values that `piecewise` would jump to, along lines or cosine waves.

    eta_t is init_value at t = 0 (unless a boundary is there or before) and init_value times all scales so far at each
    boundary; between them "linear" or "cosine".

    Units: those of init_value.

    Args:
        interpolate_type: "linear" or "cosine".
        init_value: the value before all scales, finite.
        boundaries_and_scales: {boundaries_and_scales}

    Raises:
        ValueError: an argument is out of its range, or interpolate_type is unknown.

    References:
        none.

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.piecewise_interpolate_schedule("linear", 1.0, {4: 0.5, 8: 0.5})
        >>> rate(6).item()
        0.375
    """
    if interpolate_type not in CURVES:
        expected = "expected 'linear' or 'cosine'; change interpolate_type"
        raise ArgumentError(f"interpolate_type = {interpolate_type!r}, {expected}")
    pairs = steps_and_scales(boundaries_and_scales)
    values = running_products(init_value, [scale for _, scale in pairs])
    return through(values, [boundary for boundary, _ in pairs], CURVES[interpolate_type])


@schedule
def warmup_constant_schedule(init_value: Value, peak_value: Value, warmup_steps: Pause) -> ValueAt:
    """Rise in a straight line and stay: `warmup_constant` with optax's name and order.

    Units: those of peak_value.
    Differs from: optax's where warmup_steps = 0: optax's then stays at init_value for ever, here it is at the peak.

    Args:
        init_value: {init_value}
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}

    Raises:
        ValueError: an argument is out of its range.

    References:
        Goyal et al. 2017, section 2.2, https://arxiv.org/abs/1706.02677

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.warmup_constant_schedule(0.0, 1.0, 4)(1).item()
        0.25
    """
    return rise_and_hold(peak_value, warmup_steps, init_value)


@schedule
def warmup_cosine_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: Pause,
    decay_steps: Length,
    end_value: Value = 0.0,
    exponent: Power = 1.0,
) -> ValueAt:
    """Rise in a straight line, go down along a cosine: `warmup_cosine` with optax's name and order.

    Units: those of peak_value.
    Differs from: optax's where peak_value = 0: optax's then stays at 0, here it goes on to end_value.

    Args:
        init_value: {init_value}
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}
        decay_steps: {decay_steps}
        end_value: {end_value}
        exponent: {exponent}

    Raises:
        ValueError: an argument is out of its range, or warmup_steps >= decay_steps.

    References:
        Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> round(gradtx.schedules.warmup_cosine_decay_schedule(0.0, 1.0, 4, 14)(9).item(), 4)
        0.5
    """
    return rise_and_wave(peak_value, warmup_steps, decay_steps, init_value, end_value, exponent)


@schedule
def warmup_exponential_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: Pause,
    transition_steps: Stretch,
    decay_rate: Value,
    transition_begin: Stretch = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> ValueAt:
    """Rise in a straight line, then fall by a factor in every stretch of steps: `join` of the two.

    Units: those of peak_value.

    Args:
        init_value: {init_value}
        peak_value: {peak_value}
        warmup_steps: {warmup_steps}
        transition_steps: updates in which the value is multiplied by `decay_rate` once; 0 or less holds the peak.
        decay_rate: {decay_rate}
        transition_begin: updates at the peak before it falls; less than 0 is 0.
        staircase: {staircase}
        end_value: where it stops, finite; None is nowhere, see `exponential`.

    Raises:
        ValueError: an argument is out of its range, or decay_rate < 0 without `staircase`.

    References:
        Tan & Le 2019 (EfficientNet), section 5.2, https://arxiv.org/abs/1905.11946

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.warmup_exponential_decay_schedule(0.0, 1.0, 4, 10, 0.5)(14).item()
        0.5
    """
    down = falling(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return in_turn([rise(peak_value, warmup_steps, init_value), down], [warmup_steps])


@schedule
def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> ValueAt:
    """Follow one warm-up and cosine after another, each described on its own; see also `cosine_restarts`.

    Units: those of the peak values.

    Args:
        cosine_kwargs: for each cycle the arguments of `warmup_cosine_decay_schedule`, at least one cycle.

    Raises:
        ValueError: no cycle is given, or an argument of one is out of its range.

    References:
        Loshchilov & Hutter 2017 (SGDR), https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> cycle = dict(init_value=0.0, peak_value=1.0, warmup_steps=2, decay_steps=10)
        >>> gradtx.schedules.sgdr_schedule([cycle, cycle])(11).item()
        0.5
    """
    cycles = list(cosine_kwargs)
    if not cycles:
        raise ArgumentError("cosine_kwargs has 0 cycles, expected at least 1; describe a cycle by a dict")
    functions = [warmup_cosine_decay_schedule(**kwargs).value_at for kwargs in cycles]
    starts: list[Any] = []
    for kwargs in cycles[:-1]:
        starts.append(plus(starts[-1] if starts else 0, checked("decay_steps", kwargs["decay_steps"], LENGTH)))
    return in_turn(functions, starts)
