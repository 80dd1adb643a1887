"""optax's names for the warm-ups and cycles, with its arguments, order and defaults.

Where they differ: a warm-up of no steps starts at the peak here (optax's stays at init_value for ever), and a decay of
no steps is an error.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gradtx.schedules.base import At, Value, follow, schedule
from gradtx.schedules.cycle import linear_one_cycle, one_cycle
from gradtx.schedules.decay import exponential
from gradtx.schedules.warmup import rest_of, rise, warmup_constant, warmup_cosine


@schedule
def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: Value,
    pct_start: Value = 0.3,
    pct_final: Value = 0.85,
    div_factor: Value = 25.0,
    final_div_factor: Value = 1e4,
) -> At:
    """Rise to a peak, go back, then to nearly nothing: `linear_one_cycle` by optax's name.

    Units: those of peak_value.

    Args:
        transition_steps: length of the whole, > 0.
        peak_value: the value at the top, >= 0.
        pct_start: the part of `transition_steps` spent rising, in [0, 1].
        pct_final: the part of `transition_steps` at which the first value is reached again, in [pct_start, 1].
        div_factor: the peak over the first value, > 0.
        final_div_factor: the first value over the last, > 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Smith & Topin 2017, https://arxiv.org/abs/1708.07120

    Examples:
        >>> import gradtx
        >>> round(gradtx.schedules.linear_onecycle_schedule(100, 1.0)(15).item(), 4)
        0.52
    """
    return linear_one_cycle(transition_steps, peak_value, pct_start, pct_final, div_factor, final_div_factor).at


@schedule
def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: Value,
    pct_start: Value = 0.3,
    div_factor: Value = 25.0,
    final_div_factor: Value = 1e4,
) -> At:
    """Rise to a peak, then go down to nearly nothing: `one_cycle` by optax's name.

    Units: those of peak_value.

    Args:
        transition_steps: length of the whole, > 0.
        peak_value: the value at the top, >= 0.
        pct_start: the part of `transition_steps` spent rising, in [0, 1].
        div_factor: the peak over the first value, > 0.
        final_div_factor: the first value over the last, > 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Smith & Topin 2017, https://arxiv.org/abs/1708.07120

    Examples:
        >>> import gradtx
        >>> round(gradtx.schedules.cosine_onecycle_schedule(100, 1.0)(65).item(), 4)
        0.5
    """
    return one_cycle(transition_steps, peak_value, pct_start, div_factor, final_div_factor).at


@schedule
def warmup_constant_schedule(init_value: Value, peak_value: Value, warmup_steps: int) -> At:
    """Rise in a straight line and stay: `warmup_constant` with optax's name and order.

    Units: those of peak_value.

    Args:
        init_value: the value at count 0, >= 0.
        peak_value: the value at `warmup_steps` and after, >= 0.
        warmup_steps: updates before the peak, >= 0.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Goyal et al. 2017, section 2.2, https://arxiv.org/abs/1706.02677

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.warmup_constant_schedule(0.0, 1.0, 4)(1).item()
        0.25
    """
    return warmup_constant(peak_value, warmup_steps, init_value).at


@schedule
def warmup_cosine_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: int,
    decay_steps: int,
    end_value: Value = 0.0,
    exponent: Value = 1.0,
) -> At:
    """Rise in a straight line, go down along a cosine: `warmup_cosine` with optax's name and order.

    Units: those of peak_value.
    Differs from: optax's, which ignores end_value where peak_value is 0.

    Args:
        init_value: the value at count 0, >= 0.
        peak_value: the value at `warmup_steps`, >= 0.
        warmup_steps: updates before the peak, >= 0 and < decay_steps.
        decay_steps: length of the WHOLE schedule, warm-up included.
        end_value: the value at `decay_steps` and after, >= 0.
        exponent: > 0.

    Raises:
        ValueError: an argument is out of its range, or warmup_steps >= decay_steps.

    References:
        Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> round(gradtx.schedules.warmup_cosine_decay_schedule(0.0, 1.0, 4, 14)(9).item(), 4)
        0.5
    """
    rest_of("warmup_cosine_decay_schedule", warmup_steps, decay_steps)
    return warmup_cosine(peak_value, warmup_steps, decay_steps, init_value, end_value, exponent).at


@schedule
def warmup_exponential_decay_schedule(
    init_value: Value,
    peak_value: Value,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: Value,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> At:
    """Rise in a straight line, then fall by a factor in every stretch of steps: `join` of the two.

    Units: those of peak_value.

    Args:
        init_value: the value at count 0, >= 0.
        peak_value: the value at `warmup_steps`, >= 0.
        warmup_steps: updates before the peak, >= 0.
        transition_steps: updates in which the value is multiplied by `decay_rate` once, > 0.
        decay_rate: > 0.
        transition_begin: updates at the peak before it falls, >= 0.
        staircase: whether the value falls only at whole multiples of `transition_steps`.
        end_value: where it stops, >= 0; None is nowhere.

    Raises:
        ValueError: an argument is out of its range.

    References:
        Tan & Le 2019 (EfficientNet), section 5.2, https://arxiv.org/abs/1905.11946

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.warmup_exponential_decay_schedule(0.0, 1.0, 4, 10, 0.5)(14).item()
        0.5
    """
    down = exponential(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return follow([rise(peak_value, warmup_steps, init_value), down.at], [warmup_steps])


@schedule
def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> At:
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
        raise ValueError("sgdr_schedule: cosine_kwargs has 0 cycles, expected at least 1; describe a cycle by a dict")
    parts = [warmup_cosine_decay_schedule(**kwargs).at for kwargs in cycles]
    return follow(parts, [kwargs["decay_steps"] for kwargs in cycles[:-1]])
