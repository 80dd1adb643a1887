"""Schedules in pieces: constant pieces, and schedules one after another."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.schedules.base import At, Value, as_at, follow, number, schedule, whole
from gradtx.schedules.check import check_argument, is_plain


def steps_and_scales(name: str, boundaries_and_scales: Any) -> list[tuple[Any, Any]]:
    """Return the boundaries in order, each with its scale, all checked.

    Raises:
        TypeError: not a dict of numbers.
        ValueError: a boundary is no whole number >= 0, a scale is negative, NaN or infinite.
    """
    if boundaries_and_scales is not None and not isinstance(boundaries_and_scales, Mapping):
        got = f"boundaries_and_scales is a {type(boundaries_and_scales).__name__}"
        raise TypeError(f"{name}: {got}, expected a dict of count to scale; write {{1000: 0.1}}")
    for boundary, scale in (boundaries_and_scales or {}).items():
        check_argument(name, "boundaries_and_scales", boundary, "boundary")
        check_argument(name, f"boundaries_and_scales[{boundary!r}]", scale, "scale")
    return sorted((boundaries_and_scales or {}).items())


def running_products(init_value: Value, scales: Sequence[Value]) -> list[Any]:
    """Return init_value, then its products with the first scale, the first two, and so on."""
    products = [init_value]
    for scale in scales:
        last = products[-1]
        products.append(last * scale if is_plain(last) and is_plain(scale) else number(last) * number(scale))
    return products


@schedule
def piecewise(init_value: Value, boundaries_and_scales: Mapping[int, Value] | None = None) -> At:
    """Hold a value, and multiply it by a factor at each boundary: a staircase.

    eta_t = init_value times every scale whose boundary is <= t.

    Units: those of init_value.
    Equivalent to: optax's `piecewise_constant_schedule`; PyTorch's MultiStepLR.

    Args:
        init_value: the value before the first boundary, >= 0.
        boundaries_and_scales: count to factor >= 0; None is no boundary. The order does not matter.

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
    pairs = steps_and_scales("piecewise", boundaries_and_scales)
    values = running_products(init_value, [scale for _, scale in pairs])

    def at(count: jax.Array) -> jax.Array:
        value = number(values[0])
        for (boundary, _), after in zip(pairs, values[1:], strict=True):
            value = jnp.where(count >= whole(boundary), number(after), value)
        return value

    return at


@schedule
def join(schedules: Sequence[Any], boundaries: Sequence[int]) -> At:
    """Follow one schedule after another, each from its own count 0.

    eta_t = schedules[i](t - boundaries[i-1]) for boundaries[i-1] <= t < boundaries[i].

    Units: those of the schedules.
    Differs from: optax's `join_schedules`, which also evaluates a later schedule at negative counts, so that its
    derivative can be NaN; here each is evaluated only at counts that it is given.

    Args:
        schedules: schedules of the count or numbers, at least one.
        boundaries: the counts at which the next one starts, one less than `schedules`, increasing, > 0.

    Raises:
        ValueError: none is given, the lengths do not match, or boundaries do not increase.
        TypeError: one of them is neither a number nor a function of the count.

    References:
        Goyal et al. 2017 (warm-up, then steps), section 2.2, https://arxiv.org/abs/1706.02677

    Examples:
        >>> import gradtx
        >>> from gradtx.schedules import linear
        >>> rate = gradtx.schedules.join([linear(0.0, 1.0, 4), linear(1.0, 0.5, 2)], [4])
        >>> [rate(count).item() for count in (3, 4, 5, 6)]
        [0.75, 1.0, 0.75, 0.5]
    """
    return follow(*parts_and_lengths("join", schedules, boundaries))


def parts_and_lengths(name: str, schedules: Sequence[Any], boundaries: Sequence[Any]) -> tuple[list[At], list[Any]]:
    """Return the functions of the schedules and the length of each but the last, all checked; see `join`."""
    if len(schedules) == 0:
        raise ValueError(f"{name}: schedules has 0 members, expected at least 1; use constant() to hold a value")
    if len(boundaries) != len(schedules) - 1:
        expected = f"{len(schedules) - 1} for {len(schedules)} schedules"
        fix = "give the count at which each schedule but the first starts"
        raise ValueError(f"{name}: boundaries has {len(boundaries)} members, expected {expected}; {fix}")
    lengths, last = [], 0
    for i, boundary in enumerate(boundaries):
        check_argument(name, f"boundaries[{i}]", boundary, "boundary")
        if is_plain(boundary) and is_plain(last) and boundary <= last:
            expected = f"more than {'boundaries[' + str(i - 1) + '] = ' if i else ''}{last}"
            fix = "give increasing counts, so that each schedule has a step"
            raise ValueError(f"{name}: boundaries[{i}] = {boundary}, expected {expected}; {fix}")
        lengths.append(whole(boundary) - whole(last))
        last = boundary
    return [as_at(name, f"schedules[{i}]", s) for i, s in enumerate(schedules)], lengths
