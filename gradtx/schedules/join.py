"""Schedules in pieces: constant pieces, and schedules one after another."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.schedules.base import schedule
from gradtx.schedules.check import AT_LEAST_0, MOMENT, ArgumentError, Value, checked, is_plain
from gradtx.schedules.count import is_before, is_integer, largest, scalar
from gradtx.schedules.curve import ValueAt, as_value_at, in_turn


def steps_and_scales(boundaries_and_scales: Any) -> list[tuple[Any, Any]]:
    """Return the boundaries in order, each with its scale, all checked.

    Raises:
        ArgumentError: not a dict of numbers, a boundary is not finite, or a scale is negative, NaN or infinite.
    """
    if boundaries_and_scales is not None and not isinstance(boundaries_and_scales, Mapping):
        got = f"boundaries_and_scales is a {type(boundaries_and_scales).__name__}"
        raise ArgumentError(f"{got}, expected a dict of count to scale; write {{1000: 0.1}}", TypeError)
    pairs = []
    for boundary, scale in (boundaries_and_scales or {}).items():
        if isinstance(boundary, str):  # the keys of a dict that came from JSON
            got = f"boundaries_and_scales has the key {boundary!r}, a str"
            raise ArgumentError(f"{got}, expected a count of updates; write {{1000: 0.1}}", TypeError)
        moment = checked("boundaries_and_scales", boundary, MOMENT)
        pairs.append((moment, checked(f"boundaries_and_scales[{boundary!r}]", scale, AT_LEAST_0)))
    return sorted(pairs, key=lambda pair: pair[0])


def running_products(init_value: Any, scales: Sequence[Any]) -> list[Any]:
    """Return init_value, then its products with the first scale, the first two, and so on."""
    products = [init_value]
    for scale in scales:
        last = products[-1]
        products.append(last * scale if is_plain(last) and is_plain(scale) else scalar(last) * scalar(scale))
    return products


@schedule
def piecewise(init_value: Value, boundaries_and_scales: Mapping[Any, Any] | None = None) -> ValueAt:
    """Hold a value, and multiply it by a factor at each boundary: a staircase.

    eta_t = init_value times every scale whose boundary is <= t.

    Units: those of init_value.
    Equivalent to: optax's `piecewise_constant_schedule`; PyTorch's MultiStepLR.

    Args:
        init_value: the value before the first boundary, finite.
        boundaries_and_scales: {boundaries_and_scales}

    Raises:
        ValueError: an argument is out of its range.
        TypeError: boundaries_and_scales is no dict.

    References:
        He et al. 2015 (divide by 10 at 32k and 48k), section 4.2, https://arxiv.org/abs/1512.03385

    Examples:
        >>> import gradtx
        >>> rate = gradtx.schedules.piecewise(1.0, {32_000: 0.5, 48_000: 0.25})
        >>> [rate(count).item() for count in (31_999, 32_000, 48_000)]
        [1.0, 0.5, 0.125]
    """
    pairs = steps_and_scales(boundaries_and_scales)
    values = running_products(init_value, [scale for _, scale in pairs])

    def value_at(count: jax.Array) -> jax.Array:
        value = scalar(values[0])
        for (boundary, _), after in zip(pairs, values[1:], strict=True):
            if not is_integer(count) or boundary <= largest(count):
                value = jnp.where(is_before(count, boundary), value, scalar(after))
        return value

    return value_at


@schedule
def join(schedules: Sequence[Any], boundaries: Sequence[Any]) -> ValueAt:
    """Follow one schedule after another, each from its own count 0.

    eta_t = schedules[i](t - boundaries[i-1]) for boundaries[i-1] <= t < boundaries[i].

    Units: those of the schedules.
    Equivalent to: optax's `join_schedules` where its boundaries are in order.
    Differs from: optax's, which also evaluates a later schedule at negative counts, so that its derivative can be
    NaN; here each is evaluated only at counts that it is given. Numbers of schedules and boundaries that do not match,
    and boundaries out of order, are errors here; optax's drops a schedule in silence.

    Args:
        schedules: schedules of the count or numbers, at least one.
        boundaries: the counts at which the next one starts, finite, one less than `schedules`, none less than the one
            before; a schedule between two that are equal, or before one <= 0, is passed over.

    Raises:
        ValueError: none is given, the lengths do not match, or boundaries decrease.
        TypeError: one of them is neither a number nor a function of the count; at a call, a function that needs the
            number behind its count is traced.

    References:
        Goyal et al. 2017 (warm-up, then steps), section 2.2, https://arxiv.org/abs/1706.02677

    Examples:
        >>> import gradtx
        >>> from gradtx.schedules import linear
        >>> rate = gradtx.schedules.join([linear(0.0, 1.0, 4), linear(1.0, 0.5, 2)], [4])
        >>> [rate(count).item() for count in (3, 4, 5, 6)]
        [0.75, 1.0, 0.75, 0.5]
    """
    if len(schedules) == 0:
        raise ArgumentError("schedules has 0 members, expected at least 1; use constant() to hold a value")
    if len(boundaries) != len(schedules) - 1:
        expected = f"{len(schedules) - 1} for {len(schedules)} schedules"
        fix = "give the count at which each schedule but the first starts"
        raise ArgumentError(f"boundaries has {len(boundaries)} members, expected {expected}; {fix}")
    starts: list[Any] = []
    for i, boundary in enumerate(boundaries):
        starts.append(checked(f"boundaries[{i}]", boundary, MOMENT))
        if i and is_plain(starts[i]) and is_plain(starts[i - 1]) and starts[i] < starts[i - 1]:
            expected = f"at least boundaries[{i - 1}] = {starts[i - 1]}"
            fix = "give counts from the start of training, not the lengths of the parts"
            raise ArgumentError(f"boundaries[{i}] = {starts[i]}, expected {expected}; {fix}")
    return in_turn([as_value_at(f"schedules[{i}]", s) for i, s in enumerate(schedules)], starts)
