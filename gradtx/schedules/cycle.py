"""Schedules that rise and fall: warm restarts and one cycle."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx.schedules.base import schedule
from gradtx.schedules.check import ArgumentError, Cycle, Divisor, Factor, Growth, Length, Part, Value, is_plain
from gradtx.schedules.count import divided, integer_power, is_integer, laps, largest, left_and_done, progress, scalar
from gradtx.schedules.curve import ValueAt, half_wave, mix, straight, through

LEAST_GROWTH = 1.001  # below it, the table of cycles up to the largest count grows too long
LAST_START = 2**62


def cycles(first: Any, t_mul: Any) -> tuple[list[int], list[int]]:
    """Return the starts and the lengths of all cycles, as whole numbers.

    Raises:
        ArgumentError: an argument is an array whose value is not known, or the cycles grow too slowly.
    """
    if not (is_plain(first) and is_plain(t_mul)):
        fix = "give numbers, or leave t_mul at 1"
        raise ArgumentError(f"first_decay_steps or t_mul is an array, expected numbers; {fix}", TypeError)
    if t_mul < LEAST_GROWTH:
        raise ArgumentError(f"t_mul = {t_mul!r}, expected 1 or at least {LEAST_GROWTH}; change t_mul")
    starts, lengths, length = [0], [first], float(first)
    while starts[-1] + lengths[-1] <= LAST_START:
        starts.append(starts[-1] + lengths[-1])
        length *= t_mul
        lengths.append(round(length))
    return starts, lengths


def place(count: jax.Array, starts: list[int], lengths: list[int]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the cycle that `count` is in, and the parts of it left and done."""
    most = largest(count) if is_integer(count) else LAST_START
    seen = [i for i, start in enumerate(starts) if start <= most]
    table = np.array([starts[i] for i in seen], np.int64).astype(count.dtype)
    cycle = jnp.searchsorted(jnp.asarray(table), count, side="right") - 1
    gone = count - jnp.asarray(table)[cycle]
    if is_integer(count):
        whole = [min(lengths[i], most) for i in seen]
        rest = [float(lengths[i] - n) for i, n in zip(seen, whole, strict=True)]
        beyond = scalar(np.array(rest))[cycle] if any(rest) else 0.0  # a cycle that is longer than any count
        return cycle, *left_and_done(gone, jnp.asarray(np.array(whole, np.int64).astype(count.dtype))[cycle], beyond)
    return cycle, *progress(gone, scalar(np.array([float(lengths[i]) for i in seen]))[cycle])


@schedule
def cosine_restarts(
    init_value: Value, first_decay_steps: Cycle, t_mul: Growth = 1.0, m_mul: Factor = 1.0, alpha: Value = 0.0
) -> ValueAt:
    """Go down along half a cosine wave again and again, each time for longer and from another peak.

    eta_t = init_value ((1 - alpha) m_mul^i (1 + cos(pi x)) / 2 + alpha), x the part done of cycle i = 0, 1, ...;
    cycle i takes round(first_decay_steps t_mul^i) updates, and a new one starts at its peak.

    Units: those of init_value.
    Differs from: TensorFlow's CosineDecayRestarts, which finds the cycle by a logarithm and can restart one step off;
    here the starts are whole numbers, computed once.

    Args:
        init_value: the first peak, finite.
        first_decay_steps: updates of the first cycle, a whole number > 0.
        t_mul: ratio of the lengths of neighbouring cycles: 1, or at least 1.001.
        m_mul: ratio of the heights of neighbouring cycles above the floor, >= 0; below 1 they shrink.
        alpha: the floor as a part of `init_value`, finite.

    Raises:
        ValueError: an argument is out of its range.
        TypeError: t_mul is not 1 and is, or first_decay_steps is, a traced array.

    References:
        Loshchilov & Hutter 2017 (SGDR), section 3, https://arxiv.org/abs/1608.03983

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.cosine_restarts(1.0, first_decay_steps=10, t_mul=2, m_mul=0.5)
        >>> [round(rate(count).item(), 4) for count in (0, 5, 9, 10, 20, 30)]
        [1.0, 0.5, 0.0245, 0.5, 0.25, 0.25]
    """
    table = None if is_plain(t_mul) and t_mul == 1 else cycles(first_decay_steps, t_mul)

    def value_at(count: jax.Array) -> jax.Array:
        if table is None:
            cycle, gone = laps(count, first_decay_steps)
            left, done = progress(gone, first_decay_steps)
        else:
            cycle, left, done = place(count, *table)
        floor = scalar(init_value) * scalar(alpha)
        peak = floor + (scalar(init_value) - floor) * integer_power(m_mul, cycle)
        return mix(peak, floor, *half_wave(left, done))

    return value_at


def floor_of(fraction: Any, steps: Any) -> Any:
    """Return a part of a number of steps, rounded down to a whole number."""
    if is_plain(fraction) and is_plain(steps):
        return int(fraction * steps)
    return lax.convert_element_type(jnp.floor(scalar(fraction) * scalar(steps)), np.int32)


@schedule
def one_cycle(
    transition_steps: Length,
    peak_value: Value,
    pct_start: Part = 0.3,
    div_factor: Divisor = 25.0,
    final_div_factor: Divisor = 1e4,
) -> ValueAt:
    """Rise along half a cosine wave to a peak, then go down along another to nearly nothing.

    From peak_value / div_factor at t = 0 to peak_value at floor(pct_start transition_steps), then to
    peak_value / (div_factor final_div_factor) at transition_steps and after.

    Units: those of peak_value.
    Equivalent to: optax's `cosine_onecycle_schedule`; PyTorch's OneCycleLR but for the momentum.
    Differs from: optax's where the rise takes all steps, pct_start = 1: optax's then never rises.

    Args:
        transition_steps: length of the whole, > 0.
        peak_value: {peak_value}
        pct_start: {pct_start}
        div_factor: {div_factor}
        final_div_factor: {final_div_factor}

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
    first = divided(peak_value, div_factor)
    values = [first, peak_value, divided(first, final_div_factor)]
    return through(values, [floor_of(pct_start, transition_steps), transition_steps], half_wave)


@schedule
def linear_one_cycle(
    transition_steps: Length,
    peak_value: Value,
    pct_start: Part = 0.3,
    pct_final: Part = 0.85,
    div_factor: Divisor = 25.0,
    final_div_factor: Divisor = 1e4,
) -> ValueAt:
    """Rise in a straight line to a peak, go down to the start, then to nearly nothing.

    From peak_value / div_factor at t = 0 to peak_value at floor(pct_start transition_steps), back to
    peak_value / div_factor at floor(pct_final transition_steps), then to peak_value / (div_factor final_div_factor) at
    transition_steps and after.

    Units: those of peak_value.
    Equivalent to: optax's `linear_onecycle_schedule`.
    Differs from: optax's where two of the three ends fall on one step: optax's then loses a factor, here the part of
    no steps is passed over.

    Args:
        transition_steps: length of the whole, > 0.
        peak_value: {peak_value}
        pct_start: {pct_start}
        pct_final: the part of `transition_steps` at which the first value is reached again, in [0, 1], >= pct_start.
        div_factor: {div_factor}
        final_div_factor: {final_div_factor}

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
        raise ArgumentError(f"pct_final = {pct_final}, expected >= pct_start = {pct_start}; {fix}")
    first = divided(peak_value, div_factor)
    values = [first, peak_value, first, divided(first, final_div_factor)]
    ends = [floor_of(pct_start, transition_steps), floor_of(pct_final, transition_steps), transition_steps]
    return through(values, ends, straight)
