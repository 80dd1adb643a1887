"""An average of the parameters changes no update; `tests/test_averages.py` holds the average itself to its formula."""

from functools import partial
from typing import Any

from tests.registry.adam import adamw
from tests.registry.base import FUSED, Mutant, row


def round_adamw(library: Any, **settings: Any) -> Any:
    """Return AdamW whose parameters are averaged."""
    return library.params_ema(library.adamw(0.1, weight_decay=0.01), **settings)


def round_any(library: Any, tx: Any) -> Any:
    """Return any optimizer with an average beside it."""
    return library.params_ema(tx, 0.9)


def updates_of(grads: Any, params: Any, *, decay: Any, every: int = 1, **settings: Any) -> Any:
    """Return AdamW's updates."""
    del decay, every
    return adamw(grads, params, **settings)


def average(*names: str) -> tuple[str, ...]:
    """Return these tests of averages."""
    return tuple(f"test_averages.py::test_{name}" for name in names)


WRAPPER = {
    "reference": partial(updates_of, learning_rate=0.1, weight_decay=0.01),
    "maker": round_adamw,
    "kind": "wrapper",
    "numbers_only": ("every",),
    "fused": FUSED,
}
ROWS = [
    row("params_ema", traits={**WRAPPER, "hyper": "decay", "around": round_any}, decay=0.9),
    row("params_ema", "every 2", traits=WRAPPER, decay=0.5, every=2),
]

FILE = "wrappers/params_ema.py"
FOLLOWS = average("the_average_is_its_formula")
MUTANTS = [
    Mutant("params_ema: of the params before the step", FILE, "mixed(p, a, ", "mixed(a, a, ", FOLLOWS),
    Mutant("params_ema: not unbiased", FILE, "divide(own, total)", "own", FOLLOWS),
    Mutant("params_ema: always unbiased", FILE, "0.0 if self.debias else 1.0", "0.0", FOLLOWS),
    Mutant("params_ema: a step early", FILE, "% self.every == self.every - 1", "% self.every == 0", FOLLOWS),
    Mutant(
        "params_ema: of what the params never are",
        FILE,
        "add(p_leaves[i], jnp.asarray(steps[i]))",
        "jnp.asarray(p_leaves[i], jnp.float32) + jnp.asarray(steps[i], jnp.float32)",
        average("half_precision_is_averaged_as_it_is_stored"),
    ),
    Mutant(
        "eval_params: the first of two",
        "wrappers/eval_params.py",
        "if len(others) > 1:",
        "if len(others) > 2:",
        average("eval_params_says_what_it_cannot_find"),
    ),
    Mutant(
        "eval_params: the parts of a number exchanged",
        "wrappers/eval_params.py",
        "(p.imag, own.imaginary)",
        "(p.imag, own.real)",
        average("the_parts_of_complex_parameters_are_found"),
    ),
    Mutant(
        "eval_params: schedule-free iterates",
        "wrappers/eval_params.py",
        "lambda p, z: average_at(p, z, state.b1)",
        "kept",
        average("schedule_free_learning_is_evaluated_as_ever"),
    ),
]
