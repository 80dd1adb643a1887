"""Hyperparameters that live in the state, so that they can be read, set and batched while training runs."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.arguments.factory import ranges_of
from gradtx._core.arguments.ranges import ANY, Event, Range, is_number
from gradtx._core.arguments.reading import read
from gradtx._core.arrays.numerics import increment, scalar_dtype
from gradtx._core.arrays.tree import check_slots, is_traced
from gradtx._core.contract.errors import STATE_FIX, message
from gradtx._core.contract.transform import Info, Part
from gradtx._core.engine.around import member
from gradtx._core.engine.choose import alike


class TunableState(NamedTuple):
    """State of `tunable` and `inject_hyperparams`.

    Attributes:
        inner: that of the transform made with these values; `inner_state` too.
        count: updates made, int32.
        hyperparams: the values by name, scalars, which may be replaced between steps.
        held: for each in the order of their sorted names, whether `set_hyperparams` has set it, so that a schedule no
            longer moves it. No dict: `tree.get` and `tree.set` would take its keys for hyperparameters too.
        bounds: for each in the same order, the least and the largest value allowed.
        hyperparams_states: the states of optax's stateful schedules, by name.
    """

    inner: Any
    count: jax.Array  # type: ignore[assignment]  # the field hides tuple.count, as in optax's states
    hyperparams: dict[str, Any]
    held: jax.Array
    bounds: jax.Array
    hyperparams_states: dict[str, Any]

    @property
    def inner_state(self) -> Any:
        """The state of the transform inside."""
        return self.inner


def bounds_of(allowed: Range) -> np.ndarray:
    """Return the least and the largest number in a range, in the dtype of the step's scalars."""
    dtype = np.dtype(scalar_dtype())
    low, high = (np.asarray(float(end), dtype) for end in allowed.text[1:-1].split(","))
    inner_low = low if allowed.text[0] == "[" else np.nextafter(low, np.asarray(np.inf, dtype))
    inner_high = high if allowed.text[-1] == "]" else np.nextafter(high, np.asarray(-np.inf, dtype))
    return np.stack([inner_low, inner_high])


def is_stateful(value: Any) -> bool:
    """Return True for a schedule of optax's that has a state."""
    return callable(value) and callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))


@dataclasses.dataclass(frozen=True, eq=False)
class Tuning:
    """A factory whose numbers are read from the state: the body of `tunable` and `inject_hyperparams`.

    Attributes:
        make: `**values -> transform`, with everything bound that is not tuned.
        values: a number, array or schedule for each hyperparameter that is tuned, by name.
        ranges: their ranges, by name.
        dtype: dtype in which they are kept; None is that of the step's scalars.
        shows_next: whether the state shows the value of the next update, not of the last one.
        name: name in errors.
        info: how it was made.
    """

    make: Callable[..., Any]
    values: Mapping[str, Any]
    ranges: Mapping[str, Range]
    dtype: Any = None
    shows_next: bool = True
    name: str = "tunable"
    info: Info | None = None
    role: ClassVar[str] = "container"

    def array(self, value: Any) -> jax.Array:
        """Return a value as it is kept in the state."""
        return jnp.asarray(value, scalar_dtype() if self.dtype is None else self.dtype)

    def made(self, values: Mapping[str, Any]) -> Any:
        """Return the transform of these values."""
        return member(self.name, "what the factory returned", self.make(**values))

    def scheduled(self, name: str, count: Any, states: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
        """Return the value that a hyperparameter was given, at a count."""
        value = self.values[name]
        if is_stateful(value):
            return self.array(value(states[name], **extra))
        return self.array(read(value, count, where=f"{self.name}: {name}"))

    def at(self, state: TunableState, extra: Mapping[str, Any]) -> dict[str, jax.Array]:
        """Return the values of the next update: what the state holds, or what a schedule says where none was set."""
        found = {}
        for i, name in enumerate(sorted(self.values)):
            value, own = self.values[name], self.array(state.hyperparams[name])
            if callable(value):
                moved = self.scheduled(name, state.count, state.hyperparams_states, extra)
                own = jnp.where(state.held[i], own, moved)
            found[name] = own
        return found

    def init(self, params: Any) -> TunableState:
        """Return the values as they begin, and the state of the transform that they make."""
        zero = jnp.zeros((), jnp.int32)
        states = {name: value.init() for name, value in self.values.items() if is_stateful(value)}
        values = {name: self.scheduled(name, zero, states, {}) for name in self.values}
        ends = [bounds_of(self.ranges.get(name, ANY)) for name in sorted(self.values)]
        bounds, held = jnp.array(np.reshape(ends, (-1, 2)), scalar_dtype()), jnp.zeros(len(ends), bool)
        inner, own = self.made(values).init(params), {k: jnp.array(v) for k, v in values.items()}
        return TunableState(inner, jnp.zeros((), jnp.int32), own, held, bounds, states)

    def checked(self, state: Any) -> TunableState:
        """Return the state.

        Raises:
            ValueError: another transform made it, or it has other values.
        """
        check_slots(self.name, state, TunableState)
        if sorted(state.hyperparams) != sorted(self.values):
            got, fix = f"has the values {sorted(state.hyperparams)}", STATE_FIX
            raise ValueError(message(self.name, "state.hyperparams", got, f"{sorted(self.values)}", fix))
        own: TunableState = state
        return own

    @functools.cached_property
    def program(self) -> Any:
        """The update with the values as arguments, compiled once outside jit: each update makes its transform anew."""

        def update(values: Any, updates: Any, state: Any, params: Any, extra: Any) -> Any:
            return self.made(values).update(updates, state, params, **extra)

        return jax.jit(update)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, TunableState]:
        """Return the update of the transform that the values of the state make, and the next state."""
        own = self.checked(state)
        values = self.at(own, extra)
        known = not is_traced((values, updates, own, params, extra))
        if known and all(isinstance(x, (jax.Array, np.ndarray, float, int)) for x in jax.tree.leaves(extra)):
            new, inner = self.program(values, updates, own.inner, params, extra)
        else:
            new, inner = self.made(values).update(updates, own.inner, params, **extra)
        count = increment(own.count)
        states = {name: self.values[name].update(old, **extra) for name, old in own.hyperparams_states.items()}
        after = TunableState(alike(inner, own.inner), count, values, own.held, own.bounds, states)
        return new, after._replace(hyperparams=self.at(after, extra)) if self.shows_next else after

    def parts(self, state: Any) -> list[Part]:
        """Return the transform inside; none where the state is a batch, whose members have transforms of their own."""
        if state is None:
            return [Part(None, self.made(self.values), None)]
        own = self.checked(state)
        numbers = (own.count, *own.hyperparams.values())
        if any(isinstance(x, jax.ShapeDtypeStruct) or not (hasattr(x, "ndim") or is_number(x)) for x in numbers):
            # a state of something else than numbers, such as names or shapes
            return [Part(None, self.made(self.values), own.inner)]
        if own.count.ndim or any(is_stateful(value) for value in self.values.values()):
            return []
        return [Part(None, self.made(self.at(own, {})), own.inner)]

    def renamed(self, name: str) -> Self:
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the values of this transform."""
        return type(state) is TunableState and sorted(state.hyperparams) == sorted(self.values)


def is_dtype(value: Any) -> bool:
    """Return True for what names a dtype, such as jnp.float32, which may be called too."""
    try:
        return bool(jnp.dtype(value))
    except TypeError:
        return False


def is_schedule(value: Any) -> bool:
    """Return True for a function of the count that gives a number, which a mask or a function of arrays does not."""
    if not callable(value) or isinstance(value, Event) or is_dtype(value):
        return False
    try:
        out = jax.eval_shape(value, jax.ShapeDtypeStruct((), jnp.int32))
    except Exception:  # a function of something else, whatever it raises
        return False
    return hasattr(out, "dtype") and out.shape == () and jnp.issubdtype(out.dtype, jnp.inexact)


def is_value(value: Any, ranged: bool) -> bool:
    """Return True for what may live in the state: a number or a schedule; where no range says so, a float."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, Event)):
        return False
    if is_number(value):
        return ranged or not isinstance(value, (int, np.integer))
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return value.shape == () and (ranged or bool(jnp.issubdtype(value.dtype, jnp.inexact)))
    return callable(value) if ranged else is_schedule(value)


def ranges_by_name(make: Callable[..., Any]) -> dict[str, Range]:
    """Return the ranges at a factory's annotations, none for one of optax's or a user's."""
    own = inspect.unwrap(make)
    if not str(getattr(own, "__module__", "")).startswith("gradtx."):
        return {}
    return ranges_of(own)


def parted(
    factory: Callable[..., Any], given: Mapping[str, Any], ranges: Mapping[str, Range], fixed: Any = ()
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return what makes the transform of the values that are tuned, and these values.

    Args:
        factory: the function that makes the transform.
        given: all of its arguments, by name.
        ranges: those of them that are hyperparameters, where it is one of gradtx's.
        fixed: the names of arguments that are not to be tuned.
    """
    open_to = given if not ranges else [name for name in given if name in ranges]  # gradtx's own say what is a number
    tuned = {k: given[k] for k in open_to if k not in fixed and is_value(given[k], k in ranges)}
    alone = [k for k, p in inspect.signature(factory).parameters.items() if p.kind is p.POSITIONAL_ONLY and k in given]

    def call(**values: Any) -> Any:
        every = {**given, **values}
        return factory(*[every.pop(key) for key in alone], **every)

    def takes(name: str) -> bool:
        """Return True if a transform is made too where this argument is an array that is not known yet."""
        try:
            jax.eval_shape(lambda x: (call(**{name: x}), 0)[1], jax.ShapeDtypeStruct((), scalar_dtype()))
        except Exception:  # whatever a factory raises that needs the number itself
            return False
        return True

    return call, {k: v for k, v in tuned.items() if takes(k)}
