"""Check the arguments of schedules: one table of ranges by name; only Python and NumPy numbers are looked at."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from gradtx._core.arguments.ranges import is_number
from gradtx._core.arrays.numerics import INT32_MAX


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that an argument may take.

    Attributes:
        low: the lower end.
        high: the upper end.
        open_low: whether the lower end itself is out.
        open_high: whether the upper end itself is out.
        is_whole: whether only whole numbers are in.
        expected: the range in words.
        fix: what to do about a value outside it.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool
    is_whole: bool
    expected: str
    fix: str

    def holds(self, value: float) -> bool:
        """Say whether a number is in the range; NaN never is."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and (not self.is_whole or value == int(value))


LENGTH = Range(
    0, INT32_MAX, True, False, True, "a whole number of updates > 0", "give its length, or use constant() for none"
)
PAUSE = Range(0, INT32_MAX, False, False, True, "a whole number of updates >= 0", "give 0 to leave this part out")
SIZE = Range(0, INT32_MAX, True, False, True, "a whole number > 0", "give the width of the model")
RATE = Range(0.0, math.inf, False, True, False, "a finite number >= 0", "give the size of a step, without a sign")
POSITIVE = Range(0.0, math.inf, True, True, False, "a finite number > 0", "constant() holds a value for ever")
FACTOR = Range(0.0, math.inf, False, True, False, "a finite number >= 0", "1 leaves the value as it is")
MOMENT = Range(0, INT32_MAX, False, False, True, "a whole number >= 0", "give the count of the update")
PART = Range(0.0, 1.0, False, False, False, "a number in [0, 1]", "give a part of the whole, not a percentage")
GROWTH = Range(1.0, math.inf, False, True, False, "a finite number >= 1", "1 makes all cycles equally long")
SHRINK = Range(0.0, 1.0, True, False, False, "a number in (0, 1]", "1 makes all cycles equally high")
FINITE = Range(-math.inf, math.inf, True, True, False, "a finite number", "give the measurement to wait for")

RANGES: dict[str, Range] = {
    "transition_steps": LENGTH,
    "decay_steps": LENGTH,
    "first_decay_steps": LENGTH,
    "transition_begin": PAUSE,
    "warmup_steps": PAUSE,
    "stable_steps": PAUSE,
    "boundary": MOMENT,
    "d_model": SIZE,
    "value": RATE,
    "init_value": RATE,
    "peak_value": RATE,
    "end_value": RATE,
    "scale": FACTOR,
    "factor": FACTOR,
    "power": POSITIVE,
    "exponent": POSITIVE,
    "decay_rate": POSITIVE,
    "div_factor": POSITIVE,
    "final_div_factor": POSITIVE,
    "alpha": PART,
    "pct_start": PART,
    "pct_final": PART,
    "t_mul": GROWTH,
    "m_mul": SHRINK,
    "below": FINITE,
}


def is_plain(value: Any) -> bool:
    """Say whether `value` is a Python or NumPy number, known now."""
    return is_number(value)


def check_argument(name: str, argument: str, value: Any, range_of: str | None = None) -> None:
    """Raise unless `value` may be given as this argument; arrays and tracers pass.

    Args:
        name: the schedule, for the error.
        argument: the argument, for the error.
        value: what was given.
        range_of: the name in `RANGES` whose range it has; None is `argument` itself.

    Raises:
        ValueError: a number outside the range.
        TypeError: neither a number nor an array.
    """
    allowed = RANGES.get(range_of or argument)
    if allowed is None or isinstance(value, (jax.Array, np.ndarray)):
        return
    if not is_plain(value):
        got = f"{argument} is a {type(value).__name__}"
        raise TypeError(f"{name}: {got}, expected {allowed.expected}; {allowed.fix}")
    if not allowed.holds(value):
        raise ValueError(f"{name}: {argument} = {value!r}, expected {allowed.expected}; {allowed.fix}")
