"""Schedules that wait for something measured in training, not for a step.

The event is remembered by the transform that uses the schedule (`LeafState.event`, the count at which it came), so
it is jitted, scanned and saved with the rest of the state.
"""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import scalar_dtype
from gradtx.schedules.base import Schedule, is_pure, reader
from gradtx.schedules.check import ArgumentError, Value, named, with_shared_words
from gradtx.schedules.count import scalar
from gradtx.schedules.curve import as_value_at

P = ParamSpec("P")


class HoldUntil:
    """A value until an event, then another value or schedule; see `hold_until`.

    Attributes:
        init_value: the value before the event.
        then: number, or schedule of the updates since the event.
        below: the event is a measurement below this.
        argument: the extra argument of `update` that carries the measurement.
        text: the call that made it.
        pure: whether `then` gives the same value for the same count always; see `Schedule`.
    """

    def __init__(self, init_value: Any, then: Any, below: Any, argument: str) -> None:
        """Hold the settings."""
        self.init_value, self.then, self.below, self.argument = init_value, then, below, argument
        self.text, self.pure = "hold_until", is_pure([then])
        self.after = as_value_at("then", then)

    def happened(self, measured: jax.Array) -> jax.Array:
        """Return True if this measurement is the event; NaN never is.

        Raises:
            ValueError: the measurement is not a scalar.
        """
        measured = jnp.asarray(measured)
        if measured.shape != ():
            got = f"{self.argument} has shape {measured.shape}"
            raise ValueError(f"{self.text}: {got}, expected a scalar; give its mean, {self.argument}=x.mean()")
        if not jnp.issubdtype(measured.dtype, jnp.floating):
            measured = measured.astype(scalar_dtype())
        return measured < jnp.asarray(self.below, measured.dtype)

    def value(self, count: jax.Array, switched: jax.Array) -> jax.Array:
        """Return the value at `count`, the event having come at count `switched`, or never where that is < 0."""
        with named(self.text):
            start = lax.convert_element_type(jnp.maximum(switched, 0), count.dtype)
            after = scalar(self.after(jnp.maximum(count - start, 0)))
        return jnp.where(switched < 0, scalar(self.init_value), after)

    def if_at(self, switched: int) -> Schedule:
        """Return the schedule of the count that this becomes when the event comes at count `switched`."""

        def value_at(count: jax.Array) -> jax.Array:
            return self.value(count, jnp.where(count < switched, -1, switched))

        return Schedule(value_at, f"{self.text}.if_at({switched})", self.pure)

    def __call__(self, count: Any) -> Any:
        """Refuse: the value is not a function of the count alone.

        Raises:
            TypeError: always.
        """
        wanted = f"a measurement {self.argument} of each update; give it to a transform that takes event schedules"
        raise TypeError(
            f"{self.text}: called with a count alone, expected {wanted}, such as sgd(learning_rate), "
            f"or choose the count of the event by .if_at(count)"
        )

    def __repr__(self) -> str:
        """Print as it was written."""
        return self.text


def event(make: Callable[P, HoldUntil]) -> Callable[P, HoldUntil]:
    """Decorate a function that makes an event schedule: check its arguments by name, remember how it was written."""
    read = reader(make, make.__name__)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> HoldUntil:
        with named(make.__name__):
            text, bound = read(args, kwargs)
            hold = make(*bound.args, **bound.kwargs)
        hold.text = text
        return hold

    made.__doc__ = with_shared_words(make.__doc__ or "")
    return made


@event
def hold_until(init_value: Value, then: Any, below: Value, argument: str = "error") -> HoldUntil:
    """Hold a value until a measurement falls below a bound, then follow another for good.

    eta_t = init_value before the first update n whose measurement e_n < below; from that update on, then(t - n).

    Units: those of init_value; below has those of the measurement.
    Differs from: schedules of the count, in that `update` must be given the measurement:
    `update(grads, state, params, error=...)`. A measurement of NaN or one that rises again changes nothing.

    Args:
        init_value: the value before the event, finite.
        then: a finite number, or a schedule of the updates since the event.
        below: the event is a measurement below this, finite.
        argument: name of the extra argument of `update` that carries the measurement, a scalar.

    Raises:
        ValueError: an argument is out of its range; at update, the measurement is missing or not a scalar.
        TypeError: the schedule is called with a count alone, or `then` is itself an event schedule.

    References:
        He et al. 2015, section 4.2, https://arxiv.org/abs/1512.03385

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_schedule(gradtx.schedules.hold_until(1.0, 10.0, below=0.8))
        >>> state, steps = tx.init(jnp.array(0.0)), []
        >>> for error in (0.9, 0.85, 0.7, 0.9):
        ...     step, state = tx.update(jnp.array(1.0), state, error=error)
        ...     steps.append(step.item())
        >>> steps
        [1.0, 1.0, 10.0, 10.0]
    """
    if not (isinstance(argument, str) and argument.isidentifier()):
        fix = "it is a keyword of update(grads, state, params, ...)"
        raise ArgumentError(f"argument = {argument!r}, expected a name; {fix}")
    return HoldUntil(init_value, then, below, argument)


@event
def resnet110() -> HoldUntil:
    """Hold 0.01 until the training error is below 80 %, then take 0.1: how ResNet-110 was warmed up.

    eta_t = 0.01 before the first update whose `error` < 0.8 (about 400 updates in the paper), 0.1 from it on.

    Units: those of p over those of g; the error is a part of 1.
    Equivalent to: `hold_until(0.01, 0.1, below=0.8)`. The paper then divides by 10 at 32k and 48k updates:
    `hold_until(0.01, piecewise(0.1, {31_600: 0.1, 47_600: 0.1}), below=0.8)`.

    Args:
        none.

    Raises:
        ValueError: at update, `error` is missing or not a scalar.

    References:
        He et al. 2015, section 4.2, https://arxiv.org/abs/1512.03385

    Examples:
        >>> import gradtx
        >>> gradtx.schedules.resnet110()
        resnet110()
        >>> rate = gradtx.schedules.resnet110().if_at(400)
        >>> [round(rate(count).item(), 4) for count in (399, 400)]
        [0.01, 0.1]
    """
    return HoldUntil(0.01, 0.1, 0.8, "error")
