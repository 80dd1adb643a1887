"""A schedule is a pure function of the int32 count that prints as it was written.

Exact to the last step: differences of counts are taken in integers, and only what is left is made a float, so that
the last of 10 million steps still differs from the end in float32.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx.core.hyperparams import is_number
from gradtx.core.numerics import scalar_dtype
from gradtx.core.transform import written

P = ParamSpec("P")
Count = Any  # int, NumPy integer or int32 array: updates made so far, the first update sees 0


class Schedule:
    """A function `count -> value` that remembers how it was written.

    Attributes:
        text: the call that made it.
    """

    def __init__(self, at: Callable[[jax.Array], Any], text: str = "schedule") -> None:
        """Hold the function of the int32 count and its text."""
        self.at, self.text = at, text

    def __call__(self, count: Count) -> jax.Array:
        """Return the value at `count`; a negative count is taken as 0, an array gives an array of its shape."""
        return jnp.asarray(self.at(jnp.maximum(jnp.asarray(count).astype(jnp.int32), 0)), scalar_dtype())

    def __repr__(self) -> str:
        """Print as it was written."""
        return self.text


def schedule(make: Callable[P, Callable[[jax.Array], Any]]) -> Callable[P, Schedule]:
    """Decorate a function that makes a schedule: check its arguments by name, remember how it was written.

    Arguments that end in `_steps` (or are named `steps` or `every`) are whole numbers of updates, > 0 except
    warm-ups and holds, which may be 0; all other numbers are finite.
    """
    signature = inspect.signature(make)
    name = make.__name__

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: {error}; it takes {name}{signature}") from None
        bound.apply_defaults()
        for argument, value in bound.arguments.items():
            check_argument(name, argument, value)
        text = ", ".join([written(a) for a in args] + [f"{k}={written(v)}" for k, v in kwargs.items()])
        return Schedule(make(*args, **kwargs), f"{name}({text})")

    return made
