"""The arguments of schedules: their types, which carry their ranges, and the words that several docstrings share.

Numbers and concrete arrays are looked at; a traced array passes, since its value is not known yet.
"""

import contextlib
import dataclasses
import math
import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import jax
import numpy as np

from gradtx._core.arguments.ranges import is_number

INF = math.inf


class ArgumentError(Exception):
    """An argument is wrong; `named` puts the schedule's name before the text and raises the error that users see."""

    def __init__(self, text: str, kind: type[Exception] = ValueError) -> None:
        """Hold the text and the kind of the error."""
        super().__init__(text)
        self.kind = kind


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Raise what is refused inside as a ValueError or TypeError of the schedule `name`."""
    try:
        yield
    except ArgumentError as refused:
        raise refused.kind(f"{name}: {refused}") from None


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that an argument may take; NaN and the infinities never are among them.

    Attributes:
        expected: the range in words, for errors.
        fix: what to do about a value outside it.
        low: the least value.
        high: the largest value.
        open_low: whether `low` itself is refused.
        whole: whether only whole numbers are taken.
        exact: whether it is held as a Python number wherever it is known, also where an array was given.
        sign: how docstrings write the range.
    """

    expected: str
    fix: str
    low: float = -INF
    high: float = INF
    open_low: bool = False
    whole: bool = False
    exact: bool = False
    sign: str = "finite"

    def holds(self, value: Any) -> bool:
        """Return True if a number is in the range."""
        try:
            finite = math.isfinite(value)
        except OverflowError:  # an int beyond every float
            return False
        inside = value > self.low if self.open_low else value >= self.low
        return finite and inside and value <= self.high and not (self.whole and value != math.floor(value))

    def __repr__(self) -> str:
        """Print the range in words, as `help()` shows it beside the argument."""
        return self.expected


FINITE = Range("a finite number", "look for a NaN or an infinity in what it is computed from")
AT_LEAST_0 = Range("a finite number >= 0", "give a factor that is not negative", 0.0, sign=">= 0")
ABOVE_0 = Range("a finite number > 0", "give a factor above 0", 0.0, open_low=True, sign="> 0")
POWER = Range("a finite number >= 0", "a negative power is infinite at the end; 0 holds init_value", 0.0, sign=">= 0")
GROWTH = Range("a finite number >= 1", "1 makes all cycles equally long", 1.0, exact=True, sign="1")
PART = Range("a number in [0, 1]", "give a part of the whole, not a percentage", 0.0, 1.0, exact=True, sign="in [0, 1]")
SIZE = Range("a whole number > 0", "give the width of the model", 0, open_low=True, whole=True, exact=True, sign="> 0")
STRETCH = Range("a finite number of updates", "0 holds init_value for ever", exact=True, sign="updates")
LENGTH = Range(
    "a finite number of updates > 0",
    "give its length, or use constant() for none",
    0,
    open_low=True,
    exact=True,
    sign="> 0",
)
CYCLE = dataclasses.replace(LENGTH, expected="a whole number of updates > 0", whole=True)
PAUSE = Range("a finite number of updates >= 0", "give 0 to leave this part out", 0, exact=True, sign=">= 0")
MOMENT = Range("a finite count", "give the count of the update at which the next part starts", exact=True)

Value = Annotated[Any, FINITE]
Factor = Annotated[Any, AT_LEAST_0]
Divisor = Annotated[Any, ABOVE_0]
Power = Annotated[Any, POWER]
Growth = Annotated[Any, GROWTH]
Part = Annotated[Any, PART]
Size = Annotated[Any, SIZE]
Stretch = Annotated[Any, STRETCH]  # a number of updates that may be none
Length = Annotated[Any, LENGTH]  # a number of updates, at least some
Cycle = Annotated[Any, CYCLE]  # a whole number of updates, at least one
Pause = Annotated[Any, PAUSE]  # a number of updates, none left out

SHARED = {  # what an argument means wherever a docstring has `argument: {argument}`
    "init_value": "the value at count 0, finite",
    "init_value_or_none": "the value at count 0, finite; None is peak_value / (warmup_steps + 1), not 0",
    "end_value": "the value at the end and after, finite",
    "peak_value": "the value at the top, finite",
    "transition_steps": "updates the way takes; 0 or less holds init_value for ever",
    "transition_begin": "updates before it starts; less than 0 is 0",
    "power": ">= 0; 1 is a straight line, 2 slows down towards the end, 0.5 speeds up, 0 holds init_value",
    "exponent": ">= 0; above 1 it falls sooner, below 1 later, 0 does not fall",
    "decay_rate": "finite; below 1 the value falls, above 1 it grows, 0 holds it; below 0 it needs `staircase`",
    "staircase": "whether the value changes only at whole multiples of `transition_steps`",
    "warmup_steps": "updates before the top, >= 0; 0 starts there",
    "decay_steps": "length of the WHOLE schedule, warm-up included, > 0 and > warmup_steps",
    "pct_start": "the part of `transition_steps` spent rising, in [0, 1]",
    "div_factor": "the peak over the first value, > 0",
    "final_div_factor": "the first value over the last, > 0",
    "boundaries_and_scales": "count to factor >= 0, in any order; one at 0 or before is passed at the start",
}


def with_shared_words(doc: str) -> str:
    """Return a docstring with each `argument: {argument}` written out from `SHARED`."""
    return re.sub(r"^( +\w+: )\{(\w+)\}$", lambda m: f"{m[1]}{SHARED[m[2]]}.", doc, flags=re.MULTILINE)


def is_plain(value: Any) -> bool:
    """Return True if `value` is a Python or NumPy number, known now."""
    return is_number(value)


def range_of(annotation: Any) -> Range | None:
    """Return the range that an annotation carries, also inside `... | None`; None if it carries none."""
    found = [x for x in getattr(annotation, "__metadata__", ()) if isinstance(x, Range)]
    found += [inner for x in get_args(annotation) if (inner := range_of(x))]
    return found[0] if found else None


def checked(argument: str, value: Any, allowed: Range) -> Any:
    """Return `value`, as a Python int or float where it is known and its range asks for it.

    Args:
        argument: its name, for the error.
        value: what was given.
        allowed: the range.

    Raises:
        ArgumentError: a number outside the range, or neither a number nor an array.
    """
    if isinstance(value, (jax.Array, np.ndarray)):
        if not is_known(value):
            return value
        for one in np.asarray(value).ravel().tolist():
            check_number(argument, one, allowed)
        if value.shape != ():
            return value
        return as_python(value.item()) if allowed.exact else value
    check_number(argument, value, allowed)
    return as_python(value) if allowed.exact else value


def check_number(argument: str, value: Any, allowed: Range) -> None:
    """Refuse what is no number, or one outside the range."""
    if not is_plain(value):
        raise ArgumentError(
            f"{argument} is a {type(value).__name__}, expected {allowed.expected}; {allowed.fix}", kind=TypeError
        )
    if not allowed.holds(value):
        raise ArgumentError(f"{argument} = {value!r}, expected {allowed.expected}; {allowed.fix}")


def is_known(array: Any) -> bool:
    """Return True if the values of an array can be read here and now."""
    if isinstance(array, jax.core.Tracer):
        return False
    return isinstance(array, np.ndarray) or array.is_fully_addressable or array.is_fully_replicated


def as_python(number: Any) -> int | float:
    """Return a number as a Python int if it is whole, else as a float.

    A double that misses a whole number by its rounding alone, as 0.07 * 100 does, is taken as that number: a boundary
    there would otherwise come one update late.
    """
    whole = round(number)
    rounding = 4 * sys.float_info.epsilon * abs(whole) if isinstance(number, float) else 0.0
    return whole if abs(number - whole) <= rounding else float(number)
