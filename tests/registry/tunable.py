"""Hyperparameters in the state: the numbers are those of the transform itself."""

from typing import Any

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, reference_of, row
from tests.registry.numbers import halving


def tuned(library: Any, **settings: Any) -> Any:
    """Return Adam whose hyperparameters live in its state."""
    return library.tunable(library.adam, **settings)


def injected(library: Any, **settings: Any) -> Any:
    """Return the same by the factory of a factory."""
    return library.inject_hyperparams(library.adam)(**settings)


def round_any(library: Any, tx: Any) -> Any:
    """Return any transform times a number of the state that is 1."""
    return library.tunable(lambda factor: library.chain(tx, library.scale(factor)), factor=1.0)


# an event schedule stays as it is given: the state has no place for it
WRAPPER = {"reference": adam, "kind": "wrapper", "fused": FUSED, "starts": ("learning_rate",)}
ROWS = [row("tunable", traits={**WRAPPER, "maker": tuned, "around": round_any}, learning_rate=0.1, b1=0.8)]
CASES = [
    row("tunable", "schedule", traits={**WRAPPER, "maker": tuned}, learning_rate=halving, b2=0.9),
    row("tunable", "injected", traits={**WRAPPER, "maker": injected}, learning_rate=0.1, b2=0.9),
    row("tunable", "injected schedule", traits={**WRAPPER, "maker": injected}, learning_rate=halving),
]

ENGINE, FILE = "_core/engine/tuning.py", "wrappers/tunable.py"
OWN = "test_tunable.py::test_"
MUTANTS = [
    Mutant(
        "tunable: a schedule stands still",
        ENGINE,
        "self.scheduled(name, state.count, state",
        "self.scheduled(name, 0 * state.count, state",
        (OWN + "the_state_shows_a_schedule",),
    ),
    Mutant(
        "tunable: a schedule moves what was set",
        ENGINE,
        "jnp.where(state.held[i], own, moved)",
        "moved",
        (OWN + "a_value_that_is_set_stays",),
    ),
    Mutant(
        "tunable: what is set is lost",
        FILE,
        "hyperparams={**own.hyperparams, key: new}",
        "hyperparams={**own.hyperparams}",
        (OWN + "a_value_is_set_without_compiling",),
    ),
    Mutant(
        "tunable: all that schedules move is held once one is set",
        FILE,
        ".at[..., place].set(True)",
        ".at[...].set(True)",
        (OWN + "the_others_move_on",),
    ),
    Mutant(
        "tunable: the bounds of another",
        FILE,
        "index(key)",
        "index(key) - 1",
        (OWN + "errors",),
    ),
    Mutant("tunable: any value passes", FILE, "if not np.all(", "if False and not np.all(", (OWN + "errors",)),
    Mutant(
        "tunable: shows what was used",
        ENGINE,
        "if self.shows_next else after",
        "if not self.shows_next else after",
        (OWN + "the_state_shows_a_schedule",),
    ),
    Mutant(
        "tunable: values as wide as the params",
        ENGINE,
        "scalar_dtype() if self.dtype is None else self.dtype)",
        "jnp.bfloat16)",
        reference_of("tunable"),
    ),
]
