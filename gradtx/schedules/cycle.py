"""Schedules that rise and fall: warm restarts and one cycle."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.arrays.numerics import INT32_MAX
from gradtx.schedules.base import (
    At,
    Curve,
    Value,
    follow,
    half_wave,
    integer_power,
    mix,
    number,
    progress,
    quotient,
    ramp,
    schedule,
    straight,
    whole,
)
from gradtx.schedules.check import is_plain

LEAST_GROWTH = 1.001  # below it, the table of cycles up to the largest count grows too long


def cycles(first: Any, t_mul: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts and the lengths of all cycles up to the largest count, as whole numbers.

    Raises:
        TypeError: an argument is an array.
        ValueError: the cycles grow too slowly.
    """
    if not (is_plain(first) and is_plain(t_mul)):
        fix = "give numbers, or leave t_mul at 1"
        raise TypeError(f"cosine_restarts: first_decay_steps or t_mul is an array, expected numbers; {fix}")
    if t_mul < LEAST_GROWTH:
        raise ValueError(f"cosine_restarts: t_mul = {t_mul!r}, expected 1 or at least {LEAST_GROWTH}; change t_mul")
    starts, lengths, length = [0], [int(first)], float(first)
    while starts[-1] + lengths[-1] <= INT32_MAX:
        starts.append(starts[-1] + lengths[-1])
        length *= t_mul
        lengths.append(min(round(length), INT32_MAX))
    return np.array(starts, np.int32), np.array(lengths, np.int32)


@schedule
def cosine_restarts(
    init_value: Value, first_decay_steps: int, t_mul: float = 1.0, m_mul: Value = 1.0, alpha: Value = 0.0
) -> At:
    """Go down along half a cosine wave again and again, each time for longer and from a lower peak.

    eta_t = init_value ((1 - alpha) m_mul^i (1 + cos(pi x)) / 2 + alpha), x the part done of cycle i = 0, 1, ...;
    cycle i takes round(first_decay_steps t_mul^i) updates, and a new one starts at its peak.

    Units: those of init_value.
    Differs from: TensorFlow's CosineDecayRestarts, which finds the cycle by a logarithm and can restart one step off;
    here the starts are whole numbers, computed once.

    Args:
        init_value: the first peak, >= 0.
        first_decay_steps: updates of the first cycle, > 0.
        t_mul: ratio of the lengths of neighbouring cycles: 1, or at least 1.001.
        m_mul: ratio of the heights of neighbouring cycles above the floor, in (0, 1].
        alpha: the floor as a part of `init_value`, in [0, 1].

    Raises:
        ValueError: an argument is out of its range.
        TypeError: t_mul is not 1 and is, or first_decay_steps is, an array.

    References:
        Loshchilov & Hutter 2017 (SGDR), section 3, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.cosine_restarts(1.0, first_decay_steps=10, t_mul=2, m_mul=0.5)
        >>> [round(rate(count).item(), 4) for count in (0, 5, 9, 10, 20, 30)]
        [1.0, 0.5, 0.0245, 0.5, 0.25, 0.25]
    """
    table = None if is_plain(t_mul) and t_mul == 1 else cycles(first_decay_steps, t_mul)

    def at(count: jax.Array) -> jax.Array:
        if table is None:
            length = whole(first_decay_steps)
            cycle = count // length
            position = count - cycle * length
        else:
            starts, lengths = jnp.asarray(table[0]), jnp.asarray(table[1])
            cycle = jnp.searchsorted(starts, count, side="right") - 1
            length, position = lengths[cycle], count - starts[cycle]
        floor = number(init_value) * number(alpha)
        peak = floor + (number(init_value) - floor) * integer_power(m_mul, cycle)
        return mix(peak, floor, *half_wave(*progress(position, length)))

    return at


def part(fraction: Any, steps: Any) -> Any:
    """Return a part of a number of steps, rounded down."""
    if is_plain(fraction) and is_plain(steps):
        return int(fraction * steps)
    return whole(jnp.floor(number(fraction) * number(steps)))


def through(values: list[Any], ends: list[Any], curve: Curve) -> At:
    """Return the way through `values`, the first at count 0 and the others at `ends`, then the last for good."""
    starts = [0, *ends][:-1]
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    ramps = [ramp(a, b, n, curve=curve) for a, b, n in zip(values[:-1], values[1:], lengths, strict=True)]
    return follow([*ramps, lambda count: number(values[-1])], lengths)


@schedule
def one_cycle(
    transition_steps: int,
    peak_value: Value,
    pct_start: Value = 0.3,
    div_factor: Value = 25.0,
    final_div_factor: Value = 1e4,
) -> At:
    """Rise along half a cosine wave to a peak, then go down along another to nearly nothing.

    From peak_value / div_factor at t = 0 to peak_value at floor(pct_start transition_steps), then to
    peak_value / (div_factor final_div_factor) at transition_steps and after.

    Units: those of peak_value.
    Equivalent to: optax's `cosine_onecycle_schedule`; PyTorch's OneCycleLR but for the momentum.

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
        >>> rate = gradtx.schedules.one_cycle(100, peak_value=1.0)
        >>> [f"{rate(count).item():.3g}" for count in (0, 15, 30, 65, 100)]
        ['0.04', '0.52', '1', '0.5', '4e-06']
    """
    first = quotient(peak_value, div_factor)
    values = [first, peak_value, quotient(first, final_div_factor)]
    return through(values, [part(pct_start, transition_steps), whole(transition_steps)], half_wave)


@schedule
def linear_one_cycle(
    transition_steps: int,
    peak_value: Value,
    pct_start: Value = 0.3,
    pct_final: Value = 0.85,
    div_factor: Value = 25.0,
    final_div_factor: Value = 1e4,
) -> At:
    """Rise in a straight line to a peak, go down to the start, then to nearly nothing.

    From peak_value / div_factor at t = 0 to peak_value at floor(pct_start transition_steps), back to
    peak_value / div_factor at floor(pct_final transition_steps), then to peak_value / (div_factor final_div_factor) at
    transition_steps and after.

    Units: those of peak_value.
    Equivalent to: optax's `linear_onecycle_schedule`.

    Args:
        transition_steps: length of the whole, > 0.
        peak_value: the value at the top, >= 0.
        pct_start: the part of `transition_steps` spent rising, in [0, 1].
        pct_final: the part of `transition_steps` at which the first value is reached again, in [pct_start, 1].
        div_factor: the peak over the first value, > 0.
        final_div_factor: the first value over the last, > 0.

    Raises:
        ValueError: an argument is out of its range, or pct_final < pct_start.

    References:
        Smith & Topin 2017, https://arxiv.org/abs/1708.07120

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.linear_one_cycle(100, peak_value=1.0, div_factor=4)
        >>> [round(rate(count).item(), 4) for count in (0, 15, 30, 85, 100)]
        [0.25, 0.625, 1.0, 0.25, 0.0]
    """
    if is_plain(pct_start) and is_plain(pct_final) and pct_final < pct_start:
        fix = "the way up must end before the way down"
        raise ValueError(f"linear_one_cycle: pct_final = {pct_final}, expected >= pct_start = {pct_start}; {fix}")
    first = quotient(peak_value, div_factor)
    values = [first, peak_value, first, quotient(first, final_div_factor)]
    ends = [part(pct_start, transition_steps), part(pct_final, transition_steps), whole(transition_steps)]
    return through(values, ends, straight)
