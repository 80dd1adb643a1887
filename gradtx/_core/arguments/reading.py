"""Read a hyperparameter at a count: numbers stay as they are, everything else becomes a scalar array."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arguments.ranges import Event, as_float, is_number
from gradtx._core.arrays.compat import manual_axes
from gradtx._core.arrays.numerics import scalar_dtype
from gradtx._core.contract.errors import describe, message

CONCRETE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def is_live(hyper: Any) -> bool:
    """Return True if a hyperparameter is a function that may give another value when it is called again.

    Schedules of gradtx made of numbers and other such schedules say that they do not (`pure`).
    """
    return callable(hyper) and not getattr(hyper, "pure", False)


def call_schedule(schedule: Any, count: Any, where: str) -> Any:
    """Return what a schedule gives at `count`.

    Raises:
        TypeError: under jit, the schedule needs a count that is known when it is traced.
    """
    try:
        with jax.numpy_dtype_promotion("standard"):  # a user's schedule may mix the int32 count with floats
            return schedule(count)
    except CONCRETE as error:
        raise TypeError(
            f"{where} needs the number behind count, which is not known under jit, expected a function of a traced "
            "count; use jnp.where, jnp.interp or jnp.take instead of if, float(), NumPy or indexing a list, or a "
            f"schedule of gradtx.schedules ({type(error).__name__})"
        ) from error


def read(hyper: Any, count: Any, switched: Any = None, where: str = "schedule") -> Any:
    """Return what `hyper` is at `count`: a Python number as a float, anything else as a scalar array.

    Args:
        hyper: number, array or schedule.
        count: updates made so far, int32; the first update sees 0.
        switched: count at which the event of an `Event` came, -1 before.
        where: transform and name, for errors.

    Raises:
        ValueError: a schedule gives no scalar.
        TypeError: a schedule gives no number, or needs a concrete count under jit.
    """
    if isinstance(hyper, bool) or hyper is None:
        return hyper
    if is_number(hyper):
        return as_float(hyper)
    value = hyper
    if isinstance(hyper, Event):
        value = hyper.value(count, jnp.asarray(-1, jnp.int32) if switched is None else switched)
    elif callable(hyper):
        value = call_schedule(hyper, count, where)
    try:
        value = jnp.asarray(value)
    except (TypeError, ValueError):  # None is a ValueError
        got = f"gave {type(value).__name__} at this count"
        raise TypeError(f"{where} {got}, expected a number; return one number per count") from None
    if value.shape != ():
        raise ValueError(f"{where} gave shape {value.shape}, expected a scalar; return one number per count")
    return lax.convert_element_type(value, scalar_dtype())


def check_same(transform: str, name: str, value: Any) -> None:
    """Raise where a number such as the loss differs between the devices of a `shard_map`: so would what it decides.

    Raises:
        ValueError: it does.
    """
    axes = sorted(manual_axes(value)) if isinstance(value, jax.core.Tracer) else []
    if axes:
        got, fix = f"varies over the mesh axis {axes[0]!r}", f"average it first, jax.lax.pmean(..., {axes[0]!r})"
        raise ValueError(message(transform, name, got, "the same number on all devices", fix))


def measured(transform: str, name: str, value: Any) -> jax.Array:
    """Return an extra argument of `update`, such as the loss, as a scalar of the step.

    Raises:
        TypeError: it is no real number.
        ValueError: it is no scalar, or differs between devices.
    """
    fix = f"call update(grads, state, params, {name}=loss)"
    if value is None or not jnp.issubdtype(jnp.result_type(value), np.number) or jnp.iscomplexobj(value):
        raise TypeError(message(transform, name, f"is {describe(value)}", "a real number", fix))
    if jnp.shape(value) != ():
        raise ValueError(message(transform, name, f"has shape {jnp.shape(value)}", "a scalar", fix))
    check_same(transform, name, value)
    return lax.convert_element_type(jnp.asarray(value), scalar_dtype())


def as_argument(hyper: Any) -> bool:
    """Return True if a hyperparameter is given to the compiled scalars as an argument: an array or a live function.

    Its value then stands in no program, so that a new value compiles nothing anew and is never an old one.
    """
    return isinstance(hyper, (jax.Array, np.ndarray)) or (not isinstance(hyper, Event) and is_live(hyper))
