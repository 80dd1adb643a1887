"""Hyperparameters: what they may be, and the range that stands at an argument's annotation."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

Hyper = float | jax.Array | np.ndarray | Callable[[Any], Any]
"""A Python number, a scalar array, or a schedule `count -> value`."""


@runtime_checkable
class Event(Protocol):
    """A schedule that waits for something measured in training, not for a step; see `schedules.hold_until`.

    Attributes:
        argument: the extra argument of `update` that carries the measurement.
    """

    argument: str

    def happened(self, measured: jax.Array) -> jax.Array:
        """Return True if this measurement is the event."""
        ...

    def value(self, count: jax.Array, switched: jax.Array) -> jax.Array:
        """Return the value at `count`, the event having come at count `switched`, or never where that is < 0."""
        ...


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a hyperparameter may take, written as an interval: `Range("[0, 1)")`.

    Attributes:
        text: the interval; a round bracket leaves its end out.
        event: whether the hyperparameter may be an event schedule.
    """

    text: str
    event: bool = False

    def holds(self, value: float) -> bool:
        """Return True if a number lies in the interval; NaN never does."""
        low, high = (float(end) for end in self.text[1:-1].split(","))
        above = value >= low if self.text[0] == "[" else value > low
        below = value <= high if self.text[-1] == "]" else value < high
        return above and below

    @property
    def expected(self) -> str:
        """The interval in words."""
        return "a finite number" if self.text == FINITE else f"a number in {self.text}"


FINITE = "(-inf, inf)"
ANY = Range(FINITE)
Finite = Annotated[Hyper, ANY]
Decay = Annotated[Hyper, Range("[0, 1)")]
Momentum = Annotated[Hyper, Range("[0, 1]")]
NonNegative = Annotated[Hyper, Range("[0, inf)")]
Positive = Annotated[Hyper, Range("(0, inf)")]
Factor = Annotated[Hyper, Range(FINITE, event=True)]
LearningRate = Annotated[Hyper, Range("[0, inf)", event=True)]


def is_number(value: Any) -> bool:
    """Return True if `value` is a Python or NumPy number whose value can be checked now."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def as_float(value: Any) -> float:
    """Return a number as a float; an int beyond all floats as an infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_array(value: Any) -> bool:
    """Return True if `value` is an array whose numbers are known now."""
    return isinstance(value, (jax.Array, np.ndarray)) and not isinstance(value, jax.core.Tracer)


def check(transform: str, hypers: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Raise for each hyperparameter that is out of its range; tracers and schedules pass.

    Args:
        transform: name in errors.
        hypers: hyperparameters by name.
        ranges: their ranges by name; a name without one may be any finite number.

    Raises:
        ValueError: a number outside its range, NaN included, or an array that is not a scalar.
        TypeError: a value that is no number, array or schedule, or an event schedule where none can be.
    """
    for name, value in hypers.items():
        allowed = ranges.get(name, ANY)
        if isinstance(value, Event) and not allowed.event:
            raise TypeError(
                f"{transform}: {name} is an event schedule, expected a number, an array or a schedule of the count; "
                "only a learning rate or a step size can wait for an event"
            )
        if getattr(value, "shape", ()) != ():
            raise ValueError(
                f"{transform}: {name} has shape {tuple(value.shape)}, expected a scalar; "
                "give each group of parameters a transform of its own with partition"
            )
        if is_number(value) or is_array(value):
            number = as_float(value)
            if not allowed.holds(number):
                got = f"{name} = {number!r}" if is_array(value) or math.isinf(number) else f"{name} = {value!r}"
                fix = f"change {name} or give a schedule"
                raise ValueError(f"{transform}: {got}, expected {allowed.expected}; {fix}")
        elif not (callable(value) or isinstance(value, (Event, jax.core.Tracer))):
            what = "None" if value is None else f"a {type(value).__name__}"
            raise TypeError(
                f"{transform}: {name} is {what}, expected a number, a scalar array or a schedule; give a number"
            )


def check_value(function: str, name: str, value: Any, allowed: Range) -> None:
    """Raise unless an argument of a function, which has no count, is a number or a scalar array in a range."""
    if callable(value) or isinstance(value, Event):
        raise TypeError(f"{function}: {name} is a schedule, expected a number; call it with the count of this step")
    check(function, {name: value}, {name: allowed})


def check_dtype(transform: str, name: str, value: Any) -> None:
    """Raise unless `value` names a floating or complex dtype, or is None."""
    try:
        good = value is None or jnp.issubdtype(jnp.dtype(value), jnp.inexact)
    except TypeError:
        good = False
    if not good:
        raise TypeError(f"{transform}: {name} = {value!r}, expected a floating dtype or None; write jnp.float32")


def is_finite_number(value: Any) -> bool:
    """Return True if `value` is a finite Python or NumPy number."""
    return is_number(value) and math.isfinite(value)
