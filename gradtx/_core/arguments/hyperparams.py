"""Hyperparameters: a number, an array or a schedule `count -> value`; one table of ranges, one way to read them.

An argument's name means the same in every function, so its range stands here once. A name that is not in the
table may be any finite number.
"""

import math
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.numerics import scalar_dtype

Hyper = Any  # a Python number, a scalar array, or a callable `count -> scalar`


@runtime_checkable
class Event(Protocol):
    """A schedule that waits for something measured in training, not for a step; see `schedules.hold_until`.

    Attributes:
        argument: the extra argument of `update` that carries the measurement.
    """

    argument: str

    def happened(self, measured: jax.Array) -> jax.Array:
        """Say whether this measurement is the event."""
        ...

    def value(self, count: jax.Array, switched: jax.Array) -> jax.Array:
        """Return the value at `count`, the event having come at count `switched`, or never where that is < 0."""
        ...


INF = math.inf
ANY_FINITE = (-INF, INF, False, False)
# name: (low, high, low is allowed, high is allowed)
DECAY = (0.0, 1.0, True, False)
NON_NEGATIVE = (0.0, INF, True, False)
RANGES: dict[str, tuple[float, float, bool, bool]] = {
    "learning_rate": NON_NEGATIVE,
    "b1": DECAY,
    "b2": DECAY,
    "decay": DECAY,
    "momentum": DECAY,
    "eps": NON_NEGATIVE,
    "eps_root": NON_NEGATIVE,
    "initial_scale": NON_NEGATIVE,
    "initial_accumulator_value": NON_NEGATIVE,
    "weight_decay": NON_NEGATIVE,
    "threshold": (4.0, INF, True, False),
    "max_norm": (0.0, INF, False, True),
    "step_size": ANY_FINITE,
    "step_size_fn": ANY_FINITE,
}
EVENTS = {"learning_rate", "step_size", "step_size_fn"}  # what may wait for an event


def is_number(value: Any) -> bool:
    """Say whether `value` is a Python or NumPy number whose value can be checked now."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def check(transform: str, settings: Mapping[str, Any], event: str | None = None, optional: Iterable[str] = ()) -> None:
    """Raise for each hyperparameter of `settings` that is out of its range; tracers and schedules pass.

    Args:
        transform: name in errors.
        settings: arguments by name; what is no hyperparameter passes.
        event: a name, besides those of `EVENTS`, that may be an event schedule.
        optional: names that may be None.

    Raises:
        ValueError: a number outside the range of its name, NaN included, or an array that is not a scalar.
        TypeError: a name of `RANGES` with a value that is no number, array, schedule or None, or an event schedule
            where none can be.
    """
    for name, value in settings.items():
        if isinstance(value, Event) and name not in EVENTS and name != event:
            raise TypeError(
                f"{transform}: {name} is an event schedule, expected a number, an array or a schedule of the count; "
                "only a learning rate or a step size can wait for an event"
            )
        concrete = isinstance(value, (jax.Array, np.ndarray)) and not isinstance(value, jax.core.Tracer)
        if getattr(value, "shape", ()) != ():
            raise ValueError(
                f"{transform}: {name} has shape {tuple(value.shape)}, expected a scalar; "
                "give each group of parameters a transform of its own with optax.partition"
            )
        if is_number(value) or concrete:
            check_range(transform, name, float(value))
        elif value is None and name in optional:
            continue
        elif name in RANGES and not (callable(value) or isinstance(value, (Event, jax.core.Tracer))):
            what = "None" if value is None else f"a {type(value).__name__}"
            raise TypeError(
                f"{transform}: {name} is {what}, expected a number, a scalar array or a schedule; give a number"
            )
        elif name.endswith("_dtype"):
            check_dtype(transform, name, value)


def check_dtype(transform: str, name: str, value: Any) -> None:
    """Raise unless `value` names a floating or complex dtype, or is None."""
    try:
        good = value is None or jnp.issubdtype(jnp.dtype(value), jnp.inexact)
    except TypeError:
        good = False
    if not good:
        raise TypeError(f"{transform}: {name} = {value!r}, expected a floating dtype or None; write jnp.float32")


def check_range(transform: str, name: str, value: float) -> None:
    """Raise ValueError unless `value` lies in the range of `name`."""
    low, high, low_in, high_in = RANGES.get(name, ANY_FINITE)
    above = value >= low if low_in else value > low
    below = value <= high if high_in else value < high
    if not (above and below):
        range_text = f"{'[' if low_in else '('}{low:g}, {high:g}{']' if high_in else ')'}"
        expected = "a finite number" if (low, high) == (-INF, INF) else f"a number in {range_text}"
        raise ValueError(f"{transform}: {name} = {value!r}, expected {expected}; change {name} or give a schedule")


def number_or_array(hyper: Hyper, count: jax.Array, switched: jax.Array | None = None, where: str = "schedule") -> Any:
    """Return what `hyper` is at `count`: a Python number as it is, anything else as a scalar array.

    Args:
        hyper: number, array or schedule.
        count: updates made so far, int32; the first update sees 0.
        switched: count at which the event of an `Event` came, -1 before.
        where: transform and name, for errors.

    Raises:
        ValueError: a schedule gives no scalar.
        TypeError: a schedule gives no number.
    """
    if is_number(hyper) or isinstance(hyper, bool) or hyper is None:
        return hyper if isinstance(hyper, (bool, int)) or hyper is None else float(hyper)
    value = hyper
    if isinstance(hyper, Event):
        value = hyper.value(count, jnp.asarray(-1, jnp.int32) if switched is None else switched)
    elif callable(hyper):
        with jax.numpy_dtype_promotion("standard"):  # a user's schedule may mix the int32 count with floats
            value = hyper(count)
    try:
        value = jnp.asarray(value)
    except TypeError:
        got = f"gave {type(value).__name__} at this count"
        raise TypeError(f"{where} {got}, expected a number; return one number per count") from None
    if value.shape != ():
        raise ValueError(f"{where} gave shape {value.shape}, expected a scalar; return one number per count")
    return lax.convert_element_type(value, scalar_dtype())


def hyperparams(tx: Any, state: Any) -> dict[str, Any]:
    """Read the hyperparameters that the NEXT update will use, by name.

    A transform made by gradtx knows its settings; each numeric one appears as `"transform.name"`, or as
    `"label.transform.name"` inside `named_chain`; a second transform of the same name is `"transform#2.name"`.
    Members that are optax's know no settings and are passed over.

    Args:
        tx: the transform.
        state: its state, as returned by `tx.init` or `tx.update`.

    Returns:
        Name to Python number (to scalar array where the state is traced).

    Raises:
        TypeError: `tx` is not a gradtx transform.
        ValueError: `state` belongs to another chain.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.sgd(gradtx.schedules.linear(1.0, 0.0, 4), momentum=0.9)
        >>> state = tx.init(jnp.zeros(2))
        >>> _, state = tx.update(jnp.ones(2), state)
        >>> gradtx.hyperparams(tx, state)
        {'trace.decay': 0.9, 'scale_by_learning_rate.learning_rate': 0.75}
    """
    if not hasattr(tx, "settings"):
        raise TypeError(
            f"hyperparams: tx is a {type(tx).__name__}, expected a gradtx transform; "
            "optax's transforms keep no settings, build the chain with gradtx.chain"
        )
    found: dict[str, Any] = {}
    collect(tx, state, "", found, {})
    return found


def collect(tx: Any, state: Any, prefix: str, found: dict[str, Any], seen: dict[str, int]) -> None:
    """Add the hyperparameters of `tx` and its members to `found`."""
    if hasattr(tx, "hyper"):  # a Rule
        tx = SimpleNamespace(name=tx.name, settings=tx.hyper, body=None)
    if not hasattr(tx, "settings"):
        return
    if hasattr(tx.body, "inner"):  # a wrapper
        collect(tx.body.inner, state.inner, prefix, found, seen)
        return
    if hasattr(tx.body, "members"):
        states = tx.body.states(state)
        for (label, member), member_state in zip(tx.body.members, states, strict=True):
            collect(member, member_state, prefix if label is None else f"{prefix}{label}.", found, seen)
        return
    seen[prefix + tx.name] = seen.get(prefix + tx.name, 0) + 1
    times = seen[prefix + tx.name]
    base = prefix + tx.name + (f"#{times}" if times > 1 else "")
    count = getattr(state, "count", jnp.zeros((), jnp.int32))
    for name, value in tx.settings.items():
        if hasattr(value, "settings") or hasattr(value, "hyper"):  # what `ratio` is made of
            collect(value, state, f"{base}.", found, seen)
        elif (
            is_number(value)
            or isinstance(value, (Event, jax.Array, np.ndarray))
            or (callable(value) and name in RANGES)
        ):
            got = number_or_array(value, count, getattr(state, "event", None))
            traced = isinstance(got, jax.core.Tracer) or is_number(got)
            found[f"{base}.{name}"] = got if traced else got.item()
