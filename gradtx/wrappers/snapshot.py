"""A measurement inside a chain: what a function of the user's says of the updates that pass, kept in the state."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import accumulator
from gradtx._core.arrays.tree import check_slots, flatten, has_gradient, is_trainable
from gradtx._core.contract.errors import STATE_FIX, describe, message, none_is_leaf, paths, tree_mismatch
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import call
from gradtx.rules import Transform, factory, zeros


class SnapshotState(NamedTuple):
    """State of `snapshot`.

    Attributes:
        measurement: what was measured in the last update, by the name that it was given.
    """

    measurement: dict[str, Any]


def seen(tree: Any) -> Any:
    """Return what a measure is given: None where a leaf has no gradient."""
    return jax.tree.map(lambda x: x if has_gradient(x) and is_trainable(x) else None, tree, is_leaf=none_is_leaf)


def as_arrays(name: str, where: str, value: Any) -> Any:
    """Return what a measure gave as arrays, float32 where it is in half precision.

    Raises:
        TypeError: some of it is no number.
    """

    def one(x: Any) -> jax.Array:
        try:
            x = jnp.asarray(x)
        except (TypeError, ValueError):
            got, fix = f"has a {type(x).__name__} in it", "return arrays, or a tree of arrays"
            raise TypeError(message(name, where, got, "numbers", fix)) from None
        return lax.convert_element_type(x, accumulator(x.dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else x.dtype)

    return jax.tree.map(one, value)


def blank(name: str, where: str, value: Any) -> Any:
    """Return the state of a measurement that was never made: zeros in the form of what the params give."""

    def one(x: Any) -> jax.Array:
        return zeros(x) if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.zeros_like(x)

    return jax.tree.map(one, as_arrays(name, where, value))


def kind(x: Any) -> Any:
    """Return what must not change between two measurements: the shape, and whether it is of whole numbers."""
    return jnp.shape(x), x.dtype if not jnp.issubdtype(x.dtype, jnp.inexact) else jnp.inexact


def measured(name: str, where: str, value: Any, old: Any) -> Any:
    """Return a measurement in the dtypes of the one before, which stays where there is none now.

    Raises:
        ValueError: it has another structure, another shape or whole numbers in place of others.
    """
    leaves, treedef = flatten(as_arrays(name, where, value))
    fix = "return the same form for params and for updates, of whatever dtype"
    try:
        before = treedef.flatten_up_to(old)
    except (ValueError, TypeError, KeyError):
        raise tree_mismatch(name, where, value, "the one at init", old, fix) from None
    for i, (x, y) in enumerate(zip(leaves, before, strict=True)):
        if x is not None and not (hasattr(y, "dtype") and kind(x) == kind(y)):
            got, expected = f"is {describe(x)}", f"{describe(y)} as at init"
            raise ValueError(message(name, paths(where, value)[i], got, expected, fix))
    new = [y if x is None else lax.convert_element_type(x, y.dtype) for x, y in zip(leaves, before, strict=True)]
    return treedef.unflatten(new)


def check_measure(name: str, argument: str, measure: Any) -> None:
    """Raise unless a measure can be called."""
    if not callable(measure):
        fix = "give one such as gradtx.global_norm"
        raise TypeError(message(name, argument, f"is {describe(measure)}", "a function of the updates", fix))


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """A function of the updates that pass: the body of `snapshot`."""

    measure_name: str
    measure: Callable[[Any], Any]
    name: str = "snapshot"
    info: Info | None = None
    role: str = "measure"

    @property
    def where(self) -> str:
        """The measurement in errors."""
        return f"measurement[{self.measure_name!r}]"

    def init(self, params: Any) -> SnapshotState:
        """Return zeros in the form of what the measure gives."""
        return SnapshotState({self.measure_name: blank(self.name, self.where, self.measure(seen(params)))})

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, SnapshotState]:
        """Return the updates as they are, and what was measured."""
        del params, extra
        if not self.fits(state):
            check_slots(self.name, state, SnapshotState)
            got, fix = f"holds {list(state.measurement)}", STATE_FIX
            raise ValueError(message(self.name, "state", got, repr([self.measure_name]), fix))
        found = measured(self.name, self.where, self.measure(seen(updates)), state.measurement[self.measure_name])
        return updates, SnapshotState({self.measure_name: found})

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: it holds no transform."""
        del state
        return []

    def renamed(self, name: str) -> "Snapshot":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a measurement of this name."""
        return type(state) is SnapshotState and list(state.measurement) == [self.measure_name]


@factory
def snapshot(measure_name: str, measure: Callable[[Any], Any]) -> Transform:
    """Measure the updates that pass a place in a chain, and keep the last measurement in the state.

    u_t = g_t; the measurement is measure(g_t).

    Units: those that measure gives.
    Differs from: optax's before the first update: there the measurement is that of the params, here it is 0. Half
    precision is kept as float32, and the state has one dtype also where gradients and params differ in theirs.

    Args:
        measure_name: under which it is found: `optax.tree.get(state, measure_name)`.
        measure: `updates -> arrays`, one or a tree of them; None stands where a leaf has no gradient.

    State:
        measurement: by measure_name, what measure gave.

    Raises:
        TypeError: measure_name is no text, measure no function; what it gives are no numbers.
        ValueError: at update, measure gives another form than of the params, or the state is another's.

    Cost: that of measure; updates that neighbours would hand on inside one kernel are written out.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> norm = gradtx.snapshot("norm", gradtx.global_norm)
        >>> tx = gradtx.chain(gradtx.scale(0.5), norm, gradtx.clip(1.0))
        >>> params = jnp.zeros(2)
        >>> _, state = tx.update(jnp.array([6.0, 8.0]), tx.init(params), params)
        >>> state[1].measurement["norm"].item()
        5.0
    """
    if not isinstance(measure_name, str):
        fix = 'write snapshot("norm", measure)'
        raise TypeError(message("snapshot", "measure_name", f"is {describe(measure_name)}", "a text", fix))
    check_measure("snapshot", "measure", measure)
    settings = {"measure_name": measure_name, "measure": measure}
    return Transform.of(Snapshot(measure_name, measure), Info(settings, call("snapshot", settings)))
