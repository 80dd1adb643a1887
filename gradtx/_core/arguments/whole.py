"""Arguments that are whole numbers: how many steps, how many micro-batches."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.contract.errors import describe, message


def whole(name: str, argument: str, value: Any) -> Any:
    """Return a whole number >= 1, which may be an array or traced.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is known and below 1, or no scalar.
    """
    fix = f"write {argument}=4"
    # jax names the dtype of numbers and arrays only: a text or a function would be an error of its own.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    is_whole = is_number or (hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.integer))
    if not is_whole:
        raise TypeError(message(name, argument, f"is {describe(value)}", "a whole number >= 1", fix))
    if jnp.shape(value) != ():
        raise ValueError(message(name, argument, f"has shape {jnp.shape(value)}", "a whole number >= 1", fix))
    if not isinstance(value, jax.core.Tracer) and value < 1:
        raise ValueError(message(name, argument, f"is {int(value)}", "a whole number >= 1", fix))
    return value


def check_count(name: str, argument: str, value: Any, least: int = 1, *, example: int = 1) -> None:
    """Raise ValueError unless an argument is a Python int, known when a transform is made, of at least this size."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        fix = f"write {argument}={example}"
        raise ValueError(message(name, argument, f"= {value!r}", f"a whole number >= {least}", fix))
