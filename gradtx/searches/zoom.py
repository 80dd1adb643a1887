"""The zoom line search: a step size that decreases the objective enough and leaves a small slope.

Nocedal & Wright's Algorithms 3.5 and 3.6: step sizes grow until an interval must hold one that is good, then it is
narrowed at the minimum of the cubic, or of the parabola, through what is known. The functions here see numbers alone;
what evaluates the objective is `ZoomLinesearch`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import divide, scalar_dtype

MARGIN_OF_CUBIC, MARGIN_OF_PARABOLA = 0.2, 0.1  # shares of the interval; a minimum nearer to its ends is not taken


class Settings(NamedTuple):
    """The numbers that a search is run with; see `scale_by_zoom_linesearch`."""

    tol: Any
    increase_factor: Any
    slope_rtol: Any
    curv_rtol: Any
    approx_dec_rtol: Any
    stepsize_precision: Any
    max_learning_rate: Any
    steps: Any


class Point(NamedTuple):
    """A step size with the objective's value and slope there."""

    at: jax.Array
    value: jax.Array
    slope: jax.Array


class Search(NamedTuple):
    """What a search knows so far.

    Attributes:
        evaluations: made so far, int32.
        trial: the step size to try next.
        origin: step size 0.
        low: the end of the interval with the smaller value; before there is one, the last point tried.
        high: its other end.
        third: a point besides these for the cubic; `low` where there is none.
        best: the point that is accepted, or else the lowest that decreases the objective enough, or else `origin`.
        decrease_error: by how much `best`, or the last point where there is none, decreases the objective too little.
        curvature_error: by how much the slope there is too large.
        interval_found: whether there is an interval.
        done: whether a point was accepted, or nothing is left to try.
        failed: whether it ends without a point that was accepted.
    """

    evaluations: jax.Array
    trial: jax.Array
    origin: Point
    low: Point
    high: Point
    third: Point
    best: Point
    decrease_error: jax.Array
    curvature_error: jax.Array
    interval_found: jax.Array
    done: jax.Array
    failed: jax.Array


def either(condition: jax.Array, a: Any, b: Any) -> Any:
    """Return one tree or another of the same structure."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def start(value: jax.Array, slope: jax.Array, guess: jax.Array, k: Settings) -> Search:
    """Return the search before its first evaluation; it ends at once where the objective does not fall."""
    origin = Point(jnp.zeros((), scalar_dtype()), value, slope)
    no, hopeless = jnp.zeros((), bool), ~(slope <= 0) | ~jnp.isfinite(value)
    error = jnp.where(hopeless, jnp.inf, origin.at)
    trial = at_most(lax.convert_element_type(guess, scalar_dtype()), k.max_learning_rate)
    return Search(jnp.zeros((), jnp.int32), trial, *(origin,) * 5, error, error, no, hopeless, hopeless)


def at_most(at: jax.Array, bound: Any) -> jax.Array:
    """Return a step size, at most a bound unless that is None."""
    return at if bound is None else jnp.minimum(at, bound)


def parabola(low: Point, high: Point) -> jax.Array:
    """Return where the parabola with the value and slope of one point and the value of another is least.

    Where there is none, at the first point, which is not inside; so that no check for NaN or division by 0 finds one.
    """
    width = high.at - low.at
    bend = divide(high.value - low.value - low.slope * width, width * width)
    return low.at - divide(low.slope, 2.0 * bend)


def cubic(low: Point, high: Point, third: Point) -> jax.Array:
    """Return where the cubic with the value and slope of one point and the values of two others is least.

    Where there is none, at the first point, as `parabola`.
    """
    b, c = high.at - low.at, third.at - low.at
    at_b, at_c = high.value - low.value - low.slope * b, third.value - low.value - low.slope * c
    unit = b * b * c * c * (b - c)
    third_order = divide(c * c * at_b - b * b * at_c, unit)
    second_order = divide(b * b * b * at_c - c * c * c * at_b, unit)
    radical = second_order * second_order - 3.0 * third_order * low.slope
    # (-b + root) / 3a in the form that keeps its digits where a is all but 0
    step = divide(low.slope, second_order + jnp.sqrt(jnp.maximum(radical, 0.0)))
    return jnp.where(radical < 0, low.at, low.at - step)


def narrowed(low: Point, high: Point, third: Point) -> jax.Array:
    """Return where to narrow an interval: at the minimum of the cubic, else of the parabola, else in the middle."""
    left, right = jnp.minimum(low.at, high.at), jnp.maximum(low.at, high.at)

    def inside(at: jax.Array, margin: float) -> jax.Array:
        room = margin * (right - left)
        return (at > left + room) & (at < right - room)  # False where it is NaN

    middle, of_parabola, of_cubic = (left + right) / 2.0, parabola(low, high), cubic(low, high, third)
    at = jnp.where(inside(of_parabola, MARGIN_OF_PARABOLA), of_parabola, middle)
    return jnp.where(inside(of_cubic, MARGIN_OF_CUBIC), of_cubic, at)


def errors(search: Search, new: Point, k: Settings) -> tuple[jax.Array, jax.Array]:
    """Return by how much a point decreases the objective too little, and by how much its slope is too large."""
    first = search.origin
    decrease = new.value - (first.value + k.slope_rtol * new.at * first.slope)
    if k.approx_dec_rtol is not None:
        # Hager & Zhang: near the minimum f(0) - f(eta) is lost in rounding, and the slopes tell
        flat = new.value - (first.value + k.approx_dec_rtol * jnp.abs(first.value))
        decrease = jnp.minimum(decrease, jnp.maximum(new.slope - (2.0 * k.slope_rtol - 1.0) * first.slope, flat))
    curvature = jnp.where(k.curv_rtol < jnp.inf, jnp.abs(new.slope) - k.curv_rtol * jnp.abs(first.slope), 0.0)
    finite = jnp.isfinite(new.value) & jnp.isfinite(new.slope)

    def beyond(error: jax.Array) -> jax.Array:
        return jnp.where(finite, jnp.maximum(error - k.tol, 0.0), jnp.inf)

    return beyond(decrease), beyond(curvature)


def judge(search: Search, new: Point, k: Settings) -> tuple[Search, jax.Array]:
    """Return the search after the evaluation of a point, and whether that point is the best so far."""
    low, high, was_found = search.low, search.high, search.interval_found
    decrease_error, curvature_error = errors(search, new, k)
    enough = decrease_error <= 0
    accepted = enough & (curvature_error <= 0)
    is_best = accepted | (enough & (new.value < search.best.value))
    best = either(is_best, new, search.best)
    is_told = is_best | (search.best.at == 0)

    is_high = ~enough | ((new.value >= low.value) & (search.evaluations > 0))
    rises = new.slope * jnp.where(was_found, high.at - low.at, 1.0) >= 0  # towards the other end
    found = was_found | is_high | rises
    next_low = either(is_high, low, new)
    next_high = either(is_high, new, either(rises, low, high))
    third = either(was_found, either(is_high | rises, high, low), next_low)

    evaluations = search.evaluations + 1
    narrow = found & (jnp.abs(next_high.at - next_low.at) <= k.stepsize_precision) & (best.at > 0)
    largest = jnp.zeros((), bool) if k.max_learning_rate is None else ~found & (new.at >= k.max_learning_rate)
    exhausted = narrow | largest | (evaluations >= k.steps)
    larger = at_most(k.increase_factor * new.at, k.max_learning_rate)
    return Search(
        evaluations,
        jnp.where(found, narrowed(next_low, next_high, third), larger),
        search.origin,
        next_low,
        next_high,
        third,
        best,
        jnp.where(is_told, decrease_error, search.decrease_error),
        jnp.where(is_told, curvature_error, search.curvature_error),
        found,
        accepted | exhausted,
        exhausted & ~accepted,
    ), is_best
