"""Measurements change no update; `tests/test_measures.py` holds what is measured to its formulas."""

from typing import Any

from tests.registry.base import Mutant, row
from tests.registry.ema import ema
from tests.registry.scale import identity


def itself(updates: Any) -> Any:
    """Return the updates: a measurement of the size of the params, and sharded as they are."""
    return updates


def largest(updates: Any) -> Any:
    """Return the largest size of an update in each array."""
    import jax
    import jax.numpy as jnp

    return jax.tree.map(lambda u: jnp.max(jnp.abs(u), initial=0), updates)


def snapshot(library: Any) -> Any:
    """Return a snapshot of the updates themselves."""
    return library.snapshot("updates", itself)


def monitor(library: Any) -> Any:
    """Return a monitor of two measures."""
    return library.monitor({"largest": largest, "mean": library.measure_with_ema(itself, 0.9)})


def measured(name: str) -> tuple[str, ...]:
    """Return this test of measurements."""
    return (f"test_measures.py::test_{name}",)


PASSES = {"reference": identity, "keeps_dtype": True, "power": 1, "unread": ("updates", "largest", "mean")}
MEAN = {
    "reference": ema,
    "maker": lambda library, **settings: library.measure_with_ema(itself, **settings),
    "keeps_dtype": True,
    "power": 1,
    "hyper": "decay",
}
ROWS = [
    row("snapshot", traits={**PASSES, "maker": snapshot}),
    row("monitor", traits={**PASSES, "maker": monitor}),
    row("measure_with_ema", traits=MEAN, decay=0.9),
]

FOLDER = "wrappers/"
MUTANTS = [
    Mutant(
        "snapshot: the last but one",
        FOLDER + "snapshot.py",
        "SnapshotState({self.measure_name: found})",
        "state",
        measured("measurements_are_those_of_optax"),
    ),
    Mutant(
        "snapshot: before the first step that of the params",
        FOLDER + "snapshot.py",
        "return zeros(x) if jnp",
        "return x if jnp",
        measured("nothing_is_measured_before_the_first_update"),
    ),
    Mutant(
        "monitor: an average that never moves",
        FOLDER + "monitor.py",
        "states.append(own)",
        "states.append(state.measure_states[len(states)])",
        measured("measurements_are_those_of_optax"),
    ),
    Mutant(
        "monitor: extra arguments lost",
        FOLDER + "monitor.py",
        "own, params, **extra)",
        "own, params)",
        measured("a_measure_is_given_extra_arguments"),
    ),
    Mutant(
        "measure_with_ema: always unbiased",
        FOLDER + "measure_with_ema.py",
        "ema(decay, debias, acc",
        "ema(decay, True, acc",
        measured("measurements_are_those_of_optax"),
    ),
]
