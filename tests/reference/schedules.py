"""Schedules as their formulas say, count by count, in exact fractions and 50-digit decimals, rounded once at the end.

Each function takes a schedule's arguments and returns its value as a function of one count.
"""

import decimal
import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

At = Callable[[int], float]
DIGITS = decimal.Context(prec=50)
PI = decimal.Decimal("3.14159265358979323846264338327950288419716939937510")


def decimal_of(x: Fraction) -> decimal.Decimal:
    """Return a fraction to 50 digits."""
    return DIGITS.divide(decimal.Decimal(x.numerator), decimal.Decimal(x.denominator))


def cos_pi(x: Fraction) -> decimal.Decimal:
    """Return cos(pi x) for x in [0, 1] by its power series, to 40 places."""
    angle = DIGITS.multiply(PI, decimal_of(x))
    square = DIGITS.multiply(angle, angle)
    term, total, n = decimal.Decimal(1), decimal.Decimal(1), 0
    while term.copy_abs() > decimal.Decimal("1e-48"):
        n += 2
        term = DIGITS.divide(DIGITS.multiply(DIGITS.minus(term), square), decimal.Decimal(n * (n - 1)))
        total = DIGITS.add(total, term)
    return total.quantize(decimal.Decimal("1e-40"), context=DIGITS)


def half_cosine(x: Fraction) -> Fraction:
    """Return (1 + cos(pi x)) / 2."""
    return (1 + Fraction(cos_pi(x))) / 2


def power(x: Fraction, exponent: float) -> Fraction:
    """Return x^exponent."""
    if exponent == int(exponent):
        return x ** int(exponent)
    return Fraction(DIGITS.power(decimal_of(x), decimal.Decimal(exponent)) if x else 0)


def done(t: int, steps: int, begin: int = 0) -> Fraction:
    """Return the part of a stretch that is done, in [0, 1]."""
    return min(max(Fraction(t - begin, steps), Fraction(0)), Fraction(1))


def constant(value: float) -> At:
    return lambda t: float(value)


def polynomial(init_value: float, end_value: float, power_: float, transition_steps: int, begin: int = 0) -> At:
    a, b = Fraction(init_value), Fraction(end_value)
    return lambda t: float(b + (a - b) * power(1 - done(t, transition_steps, begin), power_))


def polynomial_named(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> At:
    return polynomial(init_value, end_value, power, transition_steps, transition_begin)


def linear(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> At:
    return polynomial(init_value, end_value, 1, transition_steps, transition_begin)


def cosine(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> At:
    a, floor = Fraction(init_value), Fraction(alpha)
    return lambda t: float(a * ((1 - floor) * power(half_cosine(done(t, decay_steps)), exponent) + floor))


def exponential(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> At:
    def at(t: int) -> float:
        times = max(t - transition_begin, 0) / transition_steps
        try:
            value = init_value * decay_rate ** (math.floor(times) if staircase else times)
        except OverflowError:
            value = math.inf
        if end_value is None:
            return value
        return max(value, end_value) if decay_rate < 1 else min(value, end_value)

    return at


def inverse_time(init_value: float, transition_steps: int, decay_rate: float, staircase: bool = False) -> At:
    def at(t: int) -> float:
        times = t / transition_steps
        return init_value / (1 + decay_rate * (math.floor(times) if staircase else times))

    return at


def inverse_sqrt(d_model: int, warmup_steps: int = 4000, factor: float = 1.0) -> At:
    def at(t: int) -> float:
        step = t + 1
        rising = step * warmup_steps**-1.5 if warmup_steps else math.inf
        return factor * d_model**-0.5 * min(step**-0.5, rising)

    return at


def rise(peak_value: float, warmup_steps: int, init_value: float | None, t: int) -> Fraction:
    """Return the warm-up at t <= warmup_steps."""
    peak = Fraction(peak_value)
    if init_value is None:
        return peak * (t + 1) / (warmup_steps + 1)
    start = Fraction(init_value)
    return start + (peak - start) * Fraction(t, warmup_steps)


def warmup_constant(peak_value: float, warmup_steps: int, init_value: float | None = None) -> At:
    return lambda t: float(peak_value if t >= warmup_steps else rise(peak_value, warmup_steps, init_value, t))


def warmup_linear(
    peak_value: float, warmup_steps: int, decay_steps: int, end_value: float = 0.0, init_value: float | None = None
) -> At:
    def at(t: int) -> float:
        if t < warmup_steps:
            return float(rise(peak_value, warmup_steps, init_value, t))
        return linear(peak_value, end_value, decay_steps - warmup_steps)(t - warmup_steps)

    return at


def warmup_cosine(
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    init_value: float | None = None,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> At:
    def at(t: int) -> float:
        if t < warmup_steps:
            return float(rise(peak_value, warmup_steps, init_value, t))
        part = half_cosine(done(t, decay_steps - warmup_steps, warmup_steps))
        a, b = Fraction(peak_value), Fraction(end_value)
        return float(b + (a - b) * power(part, exponent))

    return at


def warmup_stable_decay(
    peak_value: float,
    warmup_steps: int,
    stable_steps: int,
    decay_steps: int,
    init_value: float | None = None,
    end_value: float = 0.0,
    shape: str = "linear",
) -> At:
    def at(t: int) -> float:
        if t < warmup_steps:
            return float(rise(peak_value, warmup_steps, init_value, t))
        x = done(t, decay_steps, warmup_steps + stable_steps)
        if shape == "linear":
            f = 1 - x
        elif shape == "cosine":
            f = half_cosine(x)
        else:
            f = 1 - Fraction(DIGITS.sqrt(decimal_of(x)))
        a, b = Fraction(peak_value), Fraction(end_value)
        return float(b + (a - b) * f)

    return at


def cosine_restarts(
    init_value: float, first_decay_steps: int, t_mul: float = 1.0, m_mul: float = 1.0, alpha: float = 0.0
) -> At:
    def at(t: int) -> float:
        cycle, start, length = 0, 0, first_decay_steps
        if t_mul == 1:
            cycle, start = t // length, t // length * length
        while t >= start + length:
            cycle, start = cycle + 1, start + length
            length = round(first_decay_steps * t_mul**cycle)
        height = (1 - alpha) * m_mul**cycle
        return init_value * (height * float(half_cosine(done(t, length, start))) + alpha)

    return at


def through(points: Sequence[tuple[int, float]], cosine_shape: bool) -> At:
    """Return the way through points (count, value), and the last value after them."""

    def at(t: int) -> float:
        for (start, a), (end, b) in itertools.pairwise(points):
            if start <= t < end:
                x = Fraction(t - start, end - start)
                left = half_cosine(x) if cosine_shape else 1 - x
                return float(Fraction(a) * left + Fraction(b) * (1 - left))
        return float(points[-1][1])

    return at


def one_cycle(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> At:
    first = peak_value / div_factor
    points = [(0, first), (int(pct_start * transition_steps), peak_value), (transition_steps, first / final_div_factor)]
    return through(points, True)


def linear_one_cycle(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> At:
    first = peak_value / div_factor
    top, back = int(pct_start * transition_steps), int(pct_final * transition_steps)
    points = [(0, first), (top, peak_value), (back, first), (transition_steps, first / final_div_factor)]
    return through(points, False)


def piecewise(init_value: float, boundaries_and_scales: dict[int, float] | None = None) -> At:
    def at(t: int) -> float:
        value = init_value
        for boundary, scale in (boundaries_and_scales or {}).items():
            if t >= boundary:
                value *= scale
        return value

    return at


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: float, boundaries_and_scales: dict[int, float] | None = None
) -> At:
    points = [(0, init_value)]
    for boundary, scale in sorted((boundaries_and_scales or {}).items()):
        points.append((boundary, points[-1][1] * scale))
    return through(points, interpolate_type == "cosine")


def join(schedules: Sequence[Any], boundaries: Sequence[int]) -> At:
    def at(t: int) -> float:
        start, chosen = 0, schedules[0]
        for boundary, schedule in zip(boundaries, schedules[1:], strict=True):
            if t >= boundary:
                start, chosen = boundary, schedule
        return chosen(t - start) if callable(chosen) else float(chosen)

    return at


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> At:
    return warmup_constant(peak_value, warmup_steps, init_value)


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> At:
    return warmup_cosine(peak_value, warmup_steps, decay_steps, init_value, end_value, exponent)


def warmup_exponential_decay_schedule(
    init_value: float, peak_value: float, warmup_steps: int, transition_steps: int, decay_rate: float, **rest: Any
) -> At:
    up = warmup_constant(peak_value, warmup_steps, init_value)
    return join([up, exponential(peak_value, transition_steps, decay_rate, **rest)], [warmup_steps])


def sgdr_schedule(cosine_kwargs: Sequence[dict[str, Any]]) -> At:
    ends = [sum(kwargs["decay_steps"] for kwargs in cosine_kwargs[: i + 1]) for i in range(len(cosine_kwargs))]
    return join([warmup_cosine_decay_schedule(**kwargs) for kwargs in cosine_kwargs], ends[:-1])


NAMES: dict[str, Callable[..., At]] = {
    **{name: f for name, f in list(globals().items()) if callable(f) and name.islower()},
    "polynomial": polynomial_named,
    "polynomial_schedule": polynomial_named,
    "constant_schedule": constant,
    "cosine_decay_schedule": cosine,
    "cosine_onecycle_schedule": one_cycle,
    "exponential_decay": exponential,
    "join_schedules": join,
    "linear_onecycle_schedule": linear_one_cycle,
    "linear_schedule": linear,
    "piecewise_constant_schedule": piecewise,
}
