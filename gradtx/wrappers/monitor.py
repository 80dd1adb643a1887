"""Measurements inside a chain that may remember: functions of the updates, and averages of what functions give."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optax

from gradtx._core.arrays.tree import check_slots
from gradtx._core.contract.errors import STATE_FIX, describe, message
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import shown, written
from gradtx._core.engine.around import member
from gradtx.rules import Transform, factory
from gradtx.wrappers.snapshot import blank, measured, seen


class MonitorState(NamedTuple):
    """State of `monitor`.

    Attributes:
        measurements: what was measured in the last update, by name.
        measure_states: the states of the measures, in the order in which they were given.
    """

    measurements: dict[str, Any]
    measure_states: tuple[Any, ...]


def stateless(measure: Callable[[Any], Any]) -> optax.GradientTransformationExtraArgs:
    """Return a function of the updates as a transform, which gives what it measures in place of an update."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del params, extra
        return measure(updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


@dataclasses.dataclass(frozen=True, eq=False)
class Monitor:
    """Measures of the updates that pass, by name: the body of `monitor`."""

    measures: Mapping[str, Any]
    name: str = "monitor"
    info: Info | None = None
    role: str = "measure"

    def init(self, params: Any) -> MonitorState:
        """Return the states of the measures, and zeros in the form of what they give."""
        params = seen(params)
        states = tuple(tx.init(params) for tx in self.measures.values())
        found = {}
        for (key, tx), state in zip(self.measures.items(), states, strict=True):
            value, _ = tx.update(params, state, params)  # to know its form: the state must keep it
            found[key] = blank(self.name, f"measurements[{key!r}]", value)
        return MonitorState(found, states)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, MonitorState]:
        """Return the updates as they are, and what was measured."""
        if not self.fits(state):
            check_slots(self.name, state, MonitorState)
            got, fix = f"holds {sorted(state.measurements)}", STATE_FIX
            raise ValueError(message(self.name, "state", got, str(sorted(self.measures)), fix))
        given, params, found, states = seen(updates), None if params is None else seen(params), {}, []
        for (key, tx), own in zip(self.measures.items(), state.measure_states, strict=True):
            value, own = tx.update(given, own, params, **extra)
            found[key] = measured(self.name, f"measurements[{key!r}]", value, state.measurements[key])
            states.append(own)
        return updates, MonitorState(found, tuple(states))

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: what measures does not change the updates, so it is no part of what a step is made of."""
        del state
        return []

    def renamed(self, name: str) -> "Monitor":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for measurements of these names; a dict loses its order under jit."""
        return type(state) is MonitorState and set(state.measurements) == set(self.measures)


@factory
def monitor(measures: dict[str, optax.GradientTransformation | Callable[[Any], Any]]) -> Transform:
    """Measure the updates that pass a place in a chain by several measures, which may remember.

    u_t = g_t; a measurement is f(g_t) of a function f, or what a transform such as `measure_with_ema` gives for g_t.

    Units: those that the measures give.
    Differs from: optax's, which has no measurements before the first update, so that `lax.scan` refuses its state; here
    they are 0. Half precision is kept as float32.

    Args:
        measures: by name, a function `updates -> arrays`, or a transform whose update is the measurement. The results
            are found under the names: `optax.tree.get(state, name)`.

    State:
        measurements: what was measured, by name; measure_states: of the measures, in order.

    Raises:
        TypeError: measures is no dict of functions and transforms; what one gives are no numbers.
        ValueError: at update, a measure gives another form than of the params, or the state is another's.

    Cost: that of the measures; updates that neighbours would hand on inside one kernel are written out.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> norm = gradtx.global_norm
        >>> mean = gradtx.measure_with_ema(norm, 0.5, debias=False)
        >>> tx = gradtx.monitor({"norm": norm, "mean": mean})
        >>> params = jnp.zeros(2)
        >>> _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(params), params)
        >>> {name: x.item() for name, x in state.measurements.items()}
        {'norm': 5.0, 'mean': 2.5}
    """
    if not isinstance(measures, dict):
        fix = 'write monitor({"norm": measure})'
        raise TypeError(message("monitor", "measures", f"is {describe(measures)}", "a dict by name", fix))
    made = {
        key: stateless(measure) if callable(measure) else member("monitor", f"measures[{key!r}]", measure)
        for key, measure in measures.items()
    }
    texts = [f"{key!r}: {written(x) if callable(x) else shown(x)}" for key, x in measures.items()]
    return Transform.of(Monitor(made), Info({"measures": measures}, f"monitor({{{', '.join(texts)}}})"))
