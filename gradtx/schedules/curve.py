"""What schedules are made of: ways from one value to another along a curve, and functions of the count in turn."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arguments.ranges import Event
from gradtx.schedules.check import FINITE, ArgumentError, Range, checked, is_plain
from gradtx.schedules.count import held_before, is_before, is_integer, largest, minus, progress, scalar, since

ValueAt = Callable[[jax.Array], Any]  # the value at a count that is not negative, an integer or a float
Curve = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]  # parts left and done -> weights of start and end
UNTRACED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)  # what Python's `if`, float(), a list's index and NumPy raise for a traced count


def held(value: Any) -> ValueAt:
    """Return the function that holds one value."""
    return lambda count: scalar(value)


def straight(left: jax.Array, done: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the weights of a straight line: the parts themselves."""
    return left, done


def half_wave(left: jax.Array, done: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the weights (1 + cos(pi done)) / 2 and its complement, as squared sines so that no digit cancels."""
    return jnp.square(jnp.sin(left * (np.pi / 2))), jnp.square(jnp.sin(done * (np.pi / 2)))


def root_curve(left: jax.Array, done: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the weights 1 - sqrt(done) and its complement, the first from what is left so that no digit cancels."""
    root = jnp.sqrt(jnp.where(done > 0, done, 1.0))
    return jnp.where(done > 0, left / (root + 1.0), 1.0), jnp.where(done > 0, root, 0.0)


def raised(curve: Curve, power: Any) -> Curve:
    """Return the curve with its weight of the start raised to a power >= 0; the power 0 gives 1, also at the end."""
    if is_plain(power) and power == 1:
        return curve

    def weights(left: jax.Array, done: jax.Array) -> tuple[jax.Array, jax.Array]:
        w, v = curve(left, done)
        near, gone = w > 0.5, w == 0  # near the start log(w) is taken from v, which is small and has all its digits
        if not is_plain(power):
            gone = gone & (scalar(power) != 0)
        log = jnp.where(near, jnp.log1p(-jnp.where(near, v, 0.5)), jnp.log(jnp.where(near | (w == 0), 0.5, w)))
        integer = is_plain(power) and power == int(power) and power <= 64
        high = lax.integer_pow(w, int(power)) if integer else jnp.power(w, scalar(power))
        return jnp.where(gone, 0.0, high), jnp.where(gone, 1.0, -jnp.expm1(scalar(power) * log))

    return weights


def mix(init: Any, end: Any, w: jax.Array, v: jax.Array) -> jax.Array:
    """Return `init w + end v` for weights that add up to 1, from the nearer end: exact at both, between them always."""
    a, b = scalar(init), scalar(end)
    first = v <= w
    x = jnp.where(first, a + (b - a) * v, b + (a - b) * w)
    near, middle = jnp.where(first, a, b), a + (b - a) * 0.5
    inside = jnp.clip(x, jnp.minimum(near, middle), jnp.maximum(near, middle))  # so that rounding makes no wrong step
    return x + lax.stop_gradient(inside - x)


def ramp(init: Any, end: Any, steps: Any, begin: Any = 0, curve: Curve = straight) -> ValueAt:
    """Return the way from `init` to `end` along a curve, in `steps` from `begin`; with no steps, `init` for ever."""
    if is_plain(steps) and steps <= 0:
        return held(init)
    return lambda count: mix(init, end, *curve(*progress(count, steps, begin)))


def in_turn(functions: Sequence[ValueAt], starts: Sequence[Any]) -> ValueAt:
    """Return functions of the count one after another, each from its own count 0; the first starts at 0.

    Each is evaluated only at counts of its own stretch, so that no value or derivative outside it can be NaN.

    Args:
        functions: at least one.
        starts: the counts at which those after the first start, in order; one that starts at 0 or before is
            under way at 0, and one that has no step is passed over.
    """
    begins, ends = [0, *starts], [*starts, None]
    lived = [
        (function, begin, end)
        for function, begin, end in zip(functions, begins, ends, strict=True)
        if end is None or not (is_plain(end) and (end <= 0 or (is_plain(begin) and end <= begin)))
    ]

    def value_at(count: jax.Array) -> jax.Array:
        reached = lived
        if is_integer(count):  # what starts after the largest count is never reached
            ends = [i for i, (_, _, end) in enumerate(lived) if is_plain(end) and end > largest(count)]
            reached = lived[: ends[0] + 1] if ends else lived
        (function, begin, _), others = reached[-1], reached[:-1]
        value = scalar(function(since(count, begin)))
        for function, begin, end in reversed(others):
            value = jnp.where(is_before(count, end), scalar(function(held_before(count, begin, end))), value)
        return value

    return value_at


def through(values: Sequence[Any], ends: Sequence[Any], curve: Curve) -> ValueAt:
    """Return the way through `values`, the first at count 0 and the others at `ends`, then the last for good."""
    lengths = [minus(end, start) for start, end in zip([0, *ends], ends, strict=False)]
    ramps = [ramp(a, b, n, curve=curve) for a, b, n in zip(values[:-1], values[1:], lengths, strict=True)]
    return in_turn([*ramps, held(values[-1])], ends)


def as_value_at(argument: str, value: Any, allowed: Range = FINITE) -> ValueAt:
    """Return the function of the count behind a number or a schedule.

    Raises:
        ArgumentError: it is an event schedule, or neither a number nor callable.
    """
    if isinstance(value, Event):
        fix = "put what follows the event into its argument `then`"
        raise ArgumentError(f"{argument} is an event schedule, expected a schedule of the count; {fix}", TypeError)
    if not callable(value):
        return held(checked(argument, value, allowed))

    def value_at(count: jax.Array) -> Any:
        try:
            return value(count)
        except UNTRACED as error:
            fix = "use jnp.where for `if`, jnp for NumPy, jnp.asarray(x)[count] for x[count]"
            raise ArgumentError(
                f"{argument} needs the number behind a count that is traced by jit, vmap or scan; {fix}", TypeError
            ) from error

    return value_at
