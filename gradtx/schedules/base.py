"""A schedule is a pure function of the int32 count that prints as it was written.

Exact to the last step: differences of counts are taken in integers, and only what is left is made a float, so that
the last of 10 million steps still differs from the end in float32. Every value is measured from the nearer end.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arguments.ranges import Event
from gradtx._core.arrays.numerics import INT32_MAX, scalar_dtype
from gradtx._core.contract.writing import written
from gradtx.schedules.check import check_argument, is_plain

P = ParamSpec("P")
Count = Any  # int, NumPy integer or integer array: updates made so far, the first update sees 0
Value = Any  # a Python number, which is checked, or a scalar array, which is not
At = Callable[[jax.Array], Any]  # the value at a count that is int32 and not negative
Curve = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]  # parts left and done -> weights of start and end


class Schedule:
    """A function `count -> value` that remembers how it was written.

    Attributes:
        at: the value at a count that is int32 and not negative.
        text: the call that made it.
        pure: whether the same count gives the same value always; False where it is made of a user's function.
    """

    def __init__(self, at: At, text: str = "schedule", pure: bool = True) -> None:
        """Hold the function of the int32 count and its text."""
        self.at, self.text, self.pure = at, text, pure

    def __call__(self, count: Count) -> jax.Array:
        """Return the value at `count`; a negative count is taken as 0, an array gives an array of its shape.

        Raises:
            TypeError: the count is not of an integer dtype.
        """
        steps = as_count(count, self.text)
        value = number(self.at(steps))
        return jnp.broadcast_to(value, jnp.broadcast_shapes(value.shape, steps.shape))

    def __repr__(self) -> str:
        """Print as it was written."""
        return self.text


def as_count(count: Count, text: str) -> jax.Array:
    """Return `count` as int32, held in [0, 2**31 - 1]."""
    count = count if isinstance(count, jax.Array) else np.asarray(count)
    if not np.issubdtype(count.dtype, np.integer):
        raise TypeError(f"{text}: count is {count.dtype}, expected an integer; count whole updates from 0")
    if isinstance(count, np.ndarray):
        return jnp.asarray(np.clip(count.astype(np.int64), 0, INT32_MAX), jnp.int32)
    if jnp.iinfo(count.dtype).max > INT32_MAX:
        count = jnp.minimum(count, jnp.asarray(INT32_MAX, count.dtype))
    return jnp.maximum(lax.convert_element_type(count, jnp.int32), 0)


def schedule(make: Callable[P, At]) -> Callable[P, Schedule]:
    """Decorate a function that makes a schedule: check its arguments by name, remember how it was written."""
    signature = inspect.signature(make)
    name = make.__name__

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        text, args_, kwargs_ = bind(name, signature, args, kwargs)
        return Schedule(make(*args_, **kwargs_), text, is_pure((args_, kwargs_)))

    return made


def is_pure(value: Any) -> bool:
    """Return True if no user's function is among the arguments of a schedule."""
    if isinstance(value, Mapping):
        return all(map(is_pure, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_pure, value))
    return not callable(value) or bool(getattr(value, "pure", False))


def bind(
    name: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the text of a call and its arguments, iterators made lists, all checked by name."""
    args = [list(a) if isinstance(a, Iterator) else a for a in args]
    kwargs = {k: list(v) if isinstance(v, Iterator) else v for k, v in kwargs.items()}
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{name}: {error}; it takes {name}{signature}") from None
    bound.apply_defaults()
    for argument, value in bound.arguments.items():
        if value is not None or signature.parameters[argument].default is not None:
            check_argument(name, argument, value)
    return (
        f"{name}({', '.join([*map(text_of, args), *(f'{k}={text_of(v)}' for k, v in kwargs.items())])})",
        args,
        kwargs,
    )


def text_of(value: Any) -> str:
    """Write an argument as it was given, going into lists and dicts so that functions in them print by name."""
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{text_of(k)}: {text_of(v)}' for k, v in value.items())}}}"
    return written(value)


def number(value: Any) -> jax.Array:
    """Return `value` in the dtype of scalars."""
    return jnp.asarray(value, scalar_dtype())


def quotient(value: Value, divisor: Value) -> Value:
    """Return a quotient, in double precision where both are Python numbers."""
    return value / divisor if is_plain(value) and is_plain(divisor) else number(value) / number(divisor)


def whole(value: Any) -> Any:
    """Return a number of steps as a Python int, or as int32 where it is an array."""
    return int(value) if is_plain(value) else lax.convert_element_type(jnp.asarray(value), jnp.int32)


def progress(count: jax.Array, steps: Any, begin: Any = 0) -> tuple[jax.Array, jax.Array]:
    """Return the parts left and done of a stretch of `steps` from `begin`; each is exactly 0 at its end."""
    steps = whole(steps)
    done = jnp.clip(count - whole(begin), 0, steps)
    total = number(jnp.maximum(steps, 1))
    return number(steps - done) / total, number(done) / total


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


def raised(curve: Curve, power: Value) -> Curve:
    """Return the curve with its weight of the start raised to a power > 0."""
    if is_plain(power) and power == 1:
        return curve

    def weights(left: jax.Array, done: jax.Array) -> tuple[jax.Array, jax.Array]:
        w, v = curve(left, done)
        near, gone = w > 0.5, w == 0  # near the start log(w) is taken from v, which is small and has all its digits
        log = jnp.where(near, jnp.log1p(-jnp.where(near, v, 0.5)), jnp.log(jnp.where(near | gone, 0.5, w)))
        integer = is_plain(power) and power == int(power) and power <= 64
        high = lax.integer_pow(w, int(power)) if integer else jnp.power(w, number(power))
        return jnp.where(gone, 0.0, high), jnp.where(gone, 1.0, -jnp.expm1(number(power) * log))

    return weights


def mix(init: Value, end: Value, w: jax.Array, v: jax.Array) -> jax.Array:
    """Return `init w + end v` for weights that add up to 1, from the nearer end: exact at both, between them always."""
    a, b = number(init), number(end)
    first = v <= w
    x = jnp.where(first, a + (b - a) * v, b + (a - b) * w)
    near, middle = jnp.where(first, a, b), a + (b - a) * 0.5
    held = jnp.clip(x, jnp.minimum(near, middle), jnp.maximum(near, middle))  # so that rounding makes no wrong step
    return x + lax.stop_gradient(held - x)


def ramp(init: Value, end: Value, steps: Any, begin: Any = 0, curve: Curve = straight) -> At:
    """Return the way from `init` to `end` along a curve, in `steps` from `begin`."""
    return lambda count: mix(init, end, *curve(*progress(count, steps, begin)))


def follow(parts: Sequence[At], lengths: Sequence[Any]) -> At:
    """Return parts one after another, the last without end; each sees counts from its own start, in its own range."""
    kept = [i for i in range(len(parts)) if i == len(lengths) or not (is_plain(lengths[i]) and lengths[i] == 0)]
    chosen, spans = [parts[i] for i in kept], [whole(lengths[i]) for i in kept[:-1]]

    def at(count: jax.Array) -> jax.Array:
        counts = [count]
        for span in spans:
            counts.append(jnp.maximum(counts[-1] - span, 0))
        value = number(chosen[-1](counts[-1]))
        for part, span, own in reversed(list(zip(chosen, spans, counts, strict=False))):
            value = jnp.where(own < span, number(part(jnp.minimum(own, jnp.maximum(span - 1, 0)))), value)
        return value

    return at


def as_at(name: str, argument: str, value: Any) -> At:
    """Return the function of the count behind a number or a schedule.

    Raises:
        TypeError: it is an event schedule, or neither a number nor callable.
    """
    if isinstance(value, Event):
        fix = "put what follows the event into its argument `then`"
        raise TypeError(f"{name}: {argument} is an event schedule, expected a schedule of the count; {fix}")
    if callable(value):
        return lambda count: value(count)
    check_argument(name, argument, value, "value")
    return lambda count: number(value)


def integer_power(base: Value, exponent: jax.Array, largest: int = INT32_MAX) -> jax.Array:
    """Return `base**exponent` for whole exponents in [0, largest], right to the last digit but one.

    Float32 loses a digit per decade of the exponent. Here the powers of each base-256 digit are tables made in
    double precision, so that only three products round.
    """
    if not is_plain(base):
        return jnp.power(number(base), number(exponent))
    power, place = number(1.0), 1
    while place <= largest:
        with np.errstate(over="ignore", under="ignore"):
            table = np.power(np.float64(base), np.arange(256.0) * place).astype(scalar_dtype())
        power = power * jnp.asarray(table)[(exponent // place) % 256]
        place *= 256
    return power
