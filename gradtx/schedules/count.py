"""The arithmetic of counts: what is done of a stretch and what is left, exact to the last step.

A whole count stays an integer for as long as differences are taken, and only what is left of it is made a float: the
last of 10 million steps still differs from the end in float32. A count that is a float (an epoch, say) stays a float.
Lengths may be fractional or beyond the largest integer: they are held as a whole part and a rest.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arguments.ranges import as_float
from gradtx._core.arrays.numerics import INT32_MAX, scalar_dtype
from gradtx.schedules.check import ArgumentError, is_plain

INT64_MAX = np.iinfo(np.int64).max
LARGEST_FLOAT = 2.0**62  # an infinite count is held here, so that no infinity is taken from another


def scalar(value: Any) -> jax.Array:
    """Return `value` in the dtype of scalars."""
    return jnp.asarray(value, scalar_dtype())


def divided(value: Any, divisor: Any) -> Any:
    """Return a quotient, in double precision where both are Python numbers."""
    return value / divisor if is_plain(value) and is_plain(divisor) else scalar(value) / scalar(divisor)


def minus(a: Any, b: Any) -> Any:
    """Return a difference of counts: exact for Python numbers, and for integer arrays of any width."""
    if is_plain(a) and is_plain(b):
        return a - b
    if all((isinstance(x, int) and abs(x) <= INT32_MAX) or is_integer(x) for x in (a, b)):
        wide = np.int64 if scalar_dtype() == np.float64 else np.int32
        return lax.convert_element_type(a, wide) - lax.convert_element_type(b, wide)
    return scalar(a) - scalar(b)


def plus(a: Any, b: Any) -> Any:
    """Return a sum of counts, as exact as `minus`."""
    return minus(a, minus(0, b))


def is_integer(x: Any) -> bool:
    """Return True for an array of integers."""
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.integer)


def is_zero(rest: Any) -> bool:
    """Return True if a rest is known to be 0."""
    return is_plain(rest) and rest == 0


def as_count(count: Any) -> jax.Array:
    """Return `count`, which is held at 0 or more, as int32; as int64 or a float where it does not fit.

    Raises:
        ArgumentError: the count is neither an integer nor a float.
    """
    if isinstance(count, int) and not isinstance(count, bool) and abs(count) > INT64_MAX:
        count = as_float(count)
    if not isinstance(count, jax.Array):
        count = np.asarray(count)
    if jnp.issubdtype(count.dtype, jnp.floating):
        return jnp.clip(scalar(count), 0.0, LARGEST_FLOAT)
    if not jnp.issubdtype(count.dtype, jnp.integer):
        raise ArgumentError(
            f"count is {count.dtype}, expected a number; give the updates made so far, from 0", TypeError
        )
    x64 = scalar_dtype() == np.float64
    if isinstance(count, np.ndarray):
        most = count.max(initial=0)
        if most > (INT64_MAX if x64 else INT32_MAX):
            return scalar(np.maximum(count.astype(np.float64), 0.0))
        return jnp.asarray(np.maximum(count, 0), np.int32 if most <= INT32_MAX else np.int64)
    dtype = np.int64 if x64 and jnp.iinfo(count.dtype).max > INT32_MAX else np.int32
    if jnp.iinfo(count.dtype).max > np.iinfo(dtype).max:
        count = jnp.minimum(count, jnp.asarray(np.iinfo(dtype).max, count.dtype))
    return jnp.maximum(lax.convert_element_type(count, dtype), 0)


def largest(count: jax.Array) -> int:
    """Return the largest count of this integer dtype."""
    return int(jnp.iinfo(count.dtype).max)


def split(length: Any, like: jax.Array) -> tuple[Any, Any]:
    """Return the whole part of a number of updates, in the integer dtype of `like`, and the rest, a float >= 0.

    The rest is the Python number 0.0 where nothing remains, which is known for all whole numbers that fit.
    """
    most = largest(like)
    if is_plain(length):
        whole = max(min(math.floor(length), most), -most)
        return whole, float(length - whole)
    length = jnp.asarray(length)
    if is_integer(length):
        info = jnp.iinfo(length.dtype)
        if info.max <= most:
            return lax.convert_element_type(length, like.dtype), 0.0
        held = jnp.clip(length, max(info.min, -most), most)
        return lax.convert_element_type(held, like.dtype), scalar(length - held)
    length = scalar(length)
    edge = np.nextafter(np.asarray(2.0 ** (most.bit_length()), length.dtype), 0)  # the last float that fits
    whole = lax.convert_element_type(jnp.clip(jnp.floor(length), -edge, edge), like.dtype)
    return whole, length - scalar(whole)


def since(count: jax.Array, start: Any) -> jax.Array:
    """Return the updates made since `start`, 0 before it: an integer if both are whole. `start` may be negative."""
    if is_plain(start) and start == 0:
        return count
    if not is_integer(count):
        return jnp.maximum(count - scalar(start), 0.0)
    whole, rest = split(start, count)
    if not is_plain(start):
        count = jnp.minimum(count, largest(count) + jnp.minimum(whole, 0))
    elif start < 0:
        count = jnp.minimum(count, largest(count) + whole)  # the difference would wrap round
    gone = count - whole
    return jnp.maximum(gone, 0) if is_zero(rest) else jnp.maximum(scalar(gone) - rest, 0.0)


def is_before(count: jax.Array, end: Any) -> jax.Array:
    """Return True where count < end."""
    if not is_integer(count):
        return jnp.less(count, scalar(end))
    if is_plain(end):
        return jnp.less(count, math.ceil(end))
    whole, rest = split(end, count)
    below = jnp.less(count, whole)
    return below if is_zero(rest) else below | (jnp.equal(count, whole) & (rest > 0))


def held_before(count: jax.Array, start: Any, end: Any) -> jax.Array:
    """Return `since(count, start)`, held at the last count before `end`."""
    if not is_integer(count):
        return since(jnp.where(count < scalar(end), count, scalar(start)), start)
    if is_plain(end):
        return since(jnp.minimum(count, math.ceil(end) - 1), start)
    whole, rest = split(end, count)
    last = whole - 1 if is_zero(rest) else jnp.where(rest > 0, whole, whole - 1)
    return since(jnp.minimum(count, jnp.maximum(last, 0)), start)


def whole_laps(done: jax.Array, length: Any) -> jax.Array:
    """Return how many whole stretches of `length` are done, as an integer."""
    if is_integer(done) and is_plain(length) and length > largest(done):
        return jnp.zeros_like(done)
    if is_integer(done) and (isinstance(length, int) or is_integer(length)):
        return done // (length if is_plain(length) else jnp.maximum(split(length, done)[0], 1))
    times = jnp.floor(scalar(done) / scalar(above_0(length)))
    edge = float(np.nextafter(np.float32(2.0**31), np.float32(0)))  # the last float32 that fits an int32
    return lax.convert_element_type(jnp.minimum(times, edge), np.int32)


def laps(done: jax.Array, length: Any) -> tuple[jax.Array, jax.Array]:
    """Return how many whole stretches of `length` are done, as an integer, and the updates made of the next one."""
    times = whole_laps(done, length)
    if is_integer(done) and is_plain(length) and length > largest(done):
        return times, done
    if is_integer(done) and (isinstance(length, int) or is_integer(length)):
        return times, done - times * (length if is_plain(length) else jnp.maximum(split(length, done)[0], 1))
    length = scalar(above_0(length))
    return times, jnp.clip(scalar(done) - scalar(times) * length, 0.0, length)


def most_laps(count: jax.Array, times: jax.Array, length: Any) -> int:
    """Return the most stretches of `length` that a count of this dtype can hold; `times` is what `laps` returned."""
    return largest(times) // length if is_integer(count) and isinstance(length, int) else largest(times)


def above_0(steps: Any) -> Any:
    """Return a number of updates that can be divided by: 1 for a traced one that is not above 0."""
    return steps if is_plain(steps) else jnp.where(jnp.asarray(steps) > 0, steps, 1)


def progress(count: jax.Array, steps: Any, begin: Any = 0) -> tuple[jax.Array, jax.Array]:
    """Return the parts left and done of a stretch of `steps` from `begin`; each is exactly 0 at its end.

    A traced stretch of no steps, or fewer, never gets anything done.
    """
    done = since(count, begin)
    if not is_integer(done):
        total = scalar(steps)
        reached = jnp.minimum(done, total)
        if not is_plain(steps):
            total, reached = jnp.where(total > 0, total, 1.0), jnp.where(total > 0, reached, 0.0)
        return (total - reached) / total, reached / total
    if is_plain(steps):
        return left_and_done(done, *split(steps, done))
    left, done = left_and_done(done, *split(jnp.maximum(steps, 0), done))
    return jnp.where(jnp.asarray(steps) > 0, left, 1.0), jnp.where(jnp.asarray(steps) > 0, done, 0.0)


def left_and_done(done: jax.Array, whole: Any, rest: Any) -> tuple[jax.Array, jax.Array]:
    """Return the parts left and done of a stretch of `whole + rest` updates, `done` of them made, an integer."""
    if is_zero(rest):
        reached = jnp.minimum(done, whole)
        total = scalar(whole)
        if not is_plain(whole):
            total = jnp.maximum(total, 1.0)
        return scalar(whole - reached) / total, scalar(reached) / total
    above = min(whole, largest(done) - 1) + 1 if is_plain(whole) else jnp.minimum(whole, largest(done) - 1) + 1
    reached, total = jnp.minimum(done, above), scalar(whole) + rest
    if not is_plain(whole):
        total = jnp.where(total > 0, total, 1.0)
    left = jnp.maximum(scalar(whole - reached) + rest, 0.0)  # whole numbers first: no digit cancels
    return left / total, jnp.minimum(scalar(reached), total) / total


def integer_power(base: Any, exponent: jax.Array, most: int = INT32_MAX) -> jax.Array:
    """Return `base**exponent` for whole exponents in [0, most], right to the last digit but one.

    Float32 loses a digit per decade of the exponent. Here the powers of each base-256 digit are tables made in
    double precision, so that only three products round.
    """
    if not is_plain(base):
        return jnp.power(scalar(base), scalar(exponent))
    power, place = scalar(1.0), 1
    while place <= min(most, largest(exponent)):
        with np.errstate(over="ignore", under="ignore"):
            table = np.power(np.float64(base), np.arange(256.0) * place).astype(scalar_dtype())
        power = power * jnp.asarray(table)[(exponent // place) % 256]
        place *= 256
    return power
