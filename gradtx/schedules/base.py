"""A schedule is a pure function of the count that prints as it was written."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from gradtx._core.contract.writing import plain_signature, written
from gradtx.schedules.check import ArgumentError, checked, named, range_of, with_shared_words
from gradtx.schedules.count import as_count, is_integer, scalar
from gradtx.schedules.curve import ValueAt

P = ParamSpec("P")
Count = Any  # updates made so far, the first update sees 0: a number or an array, whole or between two updates


class Schedule:
    """A function `count -> value` that remembers how it was written.

    Attributes:
        value_at: the value at a count that is an array and not negative.
        text: the call that made it.
        pure: whether the same count gives the same value always; False where it is made of a user's function.
    """

    def __init__(self, value_at: ValueAt, text: str = "schedule", pure: bool = True) -> None:
        """Hold the function of the count and its text."""
        self.value_at, self.text, self.pure = value_at, text, pure

    def __call__(self, count: Count) -> jax.Array:
        """Return the value at `count`; a negative count is taken as 0, an array gives an array of its shape.

        Whole counts give values that are exact to the last step; a float count gives what lies between two updates.

        Raises:
            TypeError: the count is no number.
        """
        with named(self.text):
            steps = as_count(count)
            value = scalar(self.value_at(steps))
        if not is_integer(steps):
            value = jnp.where(jnp.isnan(steps), steps, value)  # comparisons would choose a part for it
        return jnp.broadcast_to(value, jnp.broadcast_shapes(value.shape, steps.shape))

    def __repr__(self) -> str:
        """Print as it was written."""
        return self.text


def schedule(make: Callable[P, ValueAt]) -> Callable[P, Schedule]:
    """Decorate a function that makes a schedule: check its arguments by name, remember how it was written."""
    return by_name(make, make.__name__, make.__doc__ or "")


def also_named(name: str, made: Callable[P, Schedule], module: str) -> Callable[P, Schedule]:
    """Return a public function that makes schedules, under a second name that its text and errors use.

    Args:
        name: the second name.
        made: what `schedule` returned.
        module: where the second name stands.
    """
    old = made.__name__
    first, _, rest = (made.__doc__ or "").partition("\n")
    doc = f"{first.removesuffix('.')}: `{old}` by optax's name.\n{rest}".replace(
        f"schedules.{old}(", f"schedules.{name}("
    )
    other = by_name(inspect.unwrap(made), name, doc)
    other.__name__ = other.__qualname__ = name
    other.__module__ = module
    return other


def by_name(make: Callable[P, ValueAt], name: str, doc: str) -> Callable[P, Schedule]:
    """Return the public function `name` that checks its arguments, then makes a schedule."""
    read = reader(make, name)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        with named(name):
            text, bound = read(args, kwargs)
            return Schedule(make(*bound.args, **bound.kwargs), text, is_pure((bound.args, bound.kwargs)))

    made.__doc__ = with_shared_words(doc)
    made.__signature__ = inspect.signature(make).replace(return_annotation=Schedule)  # type: ignore[attr-defined]
    return made


def is_pure(value: Any) -> bool:
    """Return True if no user's function is among the arguments of a schedule."""
    if isinstance(value, Mapping):
        return all(map(is_pure, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(is_pure, value))
    return not callable(value) or bool(getattr(value, "pure", False))


def reader(
    make: Callable[..., Any], name: str
) -> Callable[[Sequence[Any], Mapping[str, Any]], tuple[str, inspect.BoundArguments]]:
    """Return what reads a call: its text, and its arguments with iterators made lists, all checked.

    The range of an argument stands at its annotation.
    """
    signature = inspect.signature(make)
    defaults = {k: p.default for k, p in signature.parameters.items()}
    ranges = {k: found for k, p in signature.parameters.items() if (found := range_of(p.annotation))}

    def read(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str, inspect.BoundArguments]:
        args = [list(a) if isinstance(a, Iterator) else a for a in args]
        kwargs = {k: list(v) if isinstance(v, Iterator) else v for k, v in kwargs.items()}
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{error}; it takes {plain_signature(name, signature)}", TypeError) from None
        bound.apply_defaults()
        for argument, allowed in ranges.items():
            value = bound.arguments[argument]
            if value is not None or defaults[argument] is not None:
                bound.arguments[argument] = checked(argument, value, allowed)
        return f"{name}({', '.join([*map(text_of, args), *(f'{k}={text_of(v)}' for k, v in kwargs.items())])})", bound

    return read


def text_of(value: Any) -> str:
    """Write an argument as it was given, going into lists and dicts so that functions in them print by name."""
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(text_of, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{text_of(k)}: {text_of(v)}' for k, v in value.items())}}}"
    return written(value)
