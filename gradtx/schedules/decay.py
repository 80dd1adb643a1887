"""Schedules that go from one value to another, or down for ever."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.schedules.base import schedule
from gradtx.schedules.check import ArgumentError, Length, Power, Stretch, Value, is_plain
from gradtx.schedules.count import above_0, integer_power, laps, most_laps, scalar, since, whole_laps
from gradtx.schedules.curve import ValueAt, half_wave, held, raised, ramp, straight


def not_before_0(begin: Any) -> Any:
    """Return a count at which something begins, 0 where it is negative."""
    return max(begin, 0) if is_plain(begin) else jnp.maximum(begin, 0)


@schedule
def constant(value: Value) -> ValueAt:
    """Hold one value.

    eta_t = value.

    Units: those of value.
    Equivalent to: optax's `constant_schedule`.

    Args:
        value: the value, finite.

    Raises:
        ValueError: value is NaN or infinite.

    References:
        none.

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.constant(0.25)(1_000_000).item()
        0.25
    """
    return held(value)


@schedule
def linear(init_value: Value, end_value: Value, transition_steps: Stretch, transition_begin: Stretch = 0) -> ValueAt:
    """Go from one value to another in a straight line, and stay there.

    eta_t = init_value + (end_value - init_value) s, s = clip((t - transition_begin) / transition_steps, 0, 1).

    Units: those of init_value.
    Equivalent to: optax's `linear_schedule`; PyTorch's LinearLR.

    Args:
        init_value: {init_value}
        end_value: {end_value}
        transition_steps: {transition_steps}
        transition_begin: {transition_begin}

    Raises:
        ValueError: an argument is NaN or infinite.

    References:
        Defazio et al. 2023, https://arxiv.org/abs/2310.07831

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.linear(1.0, 0.5, 4, transition_begin=2)
        >>> [rate(count).item() for count in (0, 2, 3, 6, 100)]
        [1.0, 1.0, 0.875, 0.5, 0.5]
    """
    return ramp(init_value, end_value, transition_steps, not_before_0(transition_begin))


@schedule
def polynomial(
    init_value: Value, end_value: Value, power: Power, transition_steps: Stretch, transition_begin: Stretch = 0
) -> ValueAt:
    """Go from one value to another along a power of what is left of the way, and stay there.

    eta_t = end_value + (init_value - end_value) (1 - s)^power, s = clip((t - b) / transition_steps, 0, 1),
    b = transition_begin.

    Units: those of init_value.
    Equivalent to: optax's `polynomial_schedule`; PyTorch's PolynomialLR.

    Args:
        init_value: {init_value}
        end_value: {end_value}
        power: {power}
        transition_steps: {transition_steps}
        transition_begin: {transition_begin}

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
    if is_plain(power) and power == 0:  # (1 - s)^0 is 1 on the whole way, and 0^0 is 1 at its end
        return held(init_value)
    return ramp(init_value, end_value, transition_steps, not_before_0(transition_begin), raised(straight, power))


@schedule
def cosine(init_value: Value, decay_steps: Length, alpha: Value = 0.0, exponent: Power = 1.0) -> ValueAt:
    """Go to a part of a value along half a cosine wave, and stay there.

    eta_t = init_value ((1 - alpha) c^exponent + alpha), c = (1 + cos(pi min(t / decay_steps, 1))) / 2.

    Units: those of init_value.
    Equivalent to: optax's `cosine_decay_schedule`; PyTorch's CosineAnnealingLR. Computed as the sine squared of what
    is left, so that the last updates keep their digits.

    Args:
        init_value: {init_value}
        decay_steps: updates the way takes, > 0.
        alpha: the last value over the first, finite; above 1 the value grows, below 0 it changes its sign.
        exponent: {exponent}

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
    if is_plain(exponent) and exponent == 0:
        return held(init_value)
    end = init_value * alpha if is_plain(init_value) and is_plain(alpha) else None

    def value_at(count: jax.Array) -> jax.Array:
        low = scalar(init_value) * scalar(alpha) if end is None else end
        value: jax.Array = ramp(init_value, low, decay_steps, curve=raised(half_wave, exponent))(count)
        return value

    return value_at


@schedule
def exponential(
    init_value: Value,
    transition_steps: Stretch,
    decay_rate: Value,
    transition_begin: Stretch = 0,
    staircase: bool = False,
    end_value: Value | None = None,
) -> ValueAt:
    """Multiply by a factor in every stretch of steps.

    eta_t = init_value decay_rate^s, s = max(t - transition_begin, 0) / transition_steps, with `staircase` floor(s).

    Units: those of init_value.
    Equivalent to: optax's `exponential_decay`; PyTorch's StepLR with `staircase`, ExponentialLR without.
    Differs from: optax's in refusing a negative `decay_rate` without `staircase`, which has no real power between two
    whole stretches (optax gives NaN).

    Args:
        init_value: {init_value}
        transition_steps: updates in which the value is multiplied by `decay_rate` once; 0 or less holds init_value.
        decay_rate: {decay_rate}
        transition_begin: {transition_begin}
        staircase: {staircase}
        end_value: where it stops, finite: the least value if decay_rate < 1, else the largest; None is nowhere. It
            bounds nothing where init_value is held because transition_steps <= 0 or decay_rate = 0.

    Raises:
        ValueError: an argument is out of its range, or decay_rate < 0 without `staircase`.

    References:
        Li & Arora 2019, https://arxiv.org/abs/1910.07454

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.exponential(1.0, 10, 0.5, staircase=True, end_value=0.2)
        >>> [round(rate(count).item(), 4) for count in (0, 9, 10, 20, 30)]
        [1.0, 1.0, 0.5, 0.25, 0.2]
    """
    return falling(init_value, transition_steps, decay_rate, transition_begin, staircase, end_value)


def falling(
    init_value: Any, transition_steps: Any, decay_rate: Any, transition_begin: Any, staircase: bool, end_value: Any
) -> ValueAt:
    """Return the function of the count of `exponential`."""
    if (is_plain(transition_steps) and transition_steps <= 0) or (is_plain(decay_rate) and decay_rate == 0):
        return held(init_value)
    if is_plain(decay_rate) and decay_rate < 0 and not staircase:
        fix = "give the size of the factor, or staircase=True, where the sign changes from stretch to stretch"
        raise ArgumentError(f"decay_rate = {decay_rate!r}, expected a number >= 0 without staircase; {fix}")
    log = np.log(decay_rate) if is_plain(decay_rate) and not staircase else None

    def value_at(count: jax.Array) -> jax.Array:
        rate = decay_rate if is_plain(decay_rate) else jnp.where(scalar(decay_rate) == 0, 1.0, scalar(decay_rate))
        gone = since(count, not_before_0(transition_begin))
        times, done = (whole_laps(gone, transition_steps), None) if staircase else laps(gone, transition_steps)
        factor = integer_power(rate, times, most_laps(count, times, transition_steps))
        if done is not None:
            part = scalar(done) / scalar(above_0(transition_steps))
            factor = factor * jnp.exp(part * (jnp.log(rate) if log is None else scalar(log)))
        value: jax.Array = scalar(init_value) * factor
        if end_value is not None:
            least, most = jnp.maximum(value, scalar(end_value)), jnp.minimum(value, scalar(end_value))
            value = jnp.where(scalar(decay_rate) < 1.0, least, most)
        if is_plain(transition_steps) and (is_plain(decay_rate) or end_value is None):
            return value
        moves = (jnp.asarray(transition_steps) > 0) & (scalar(decay_rate) != 0)
        return jnp.where(moves, value, scalar(init_value))

    return value_at
