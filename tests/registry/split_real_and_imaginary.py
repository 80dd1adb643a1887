"""Complex arrays as pairs of real ones: of real arrays, what the transform inside makes of them."""

from functools import partial
from typing import Any

from tests.registry.adam import adamw
from tests.registry.base import FUSED, Mutant, Row


def wrapped(library: Any) -> Any:
    """Return AdamW on pairs."""
    return library.split_real_and_imaginary(library.adamw(0.1, weight_decay=0.01))


def of_complex(name: str) -> tuple[str, ...]:
    """Return this test of complex arrays."""
    return (f"test_split_real_and_imaginary.py::test_{name}",)


ROWS = [
    Row(
        "split_real_and_imaginary",
        maker=wrapped,
        reference=partial(adamw, learning_rate=0.1, weight_decay=0.01),
        kind="wrapper",
        fused=FUSED,
        around=lambda library, tx: library.split_real_and_imaginary(tx),
    ),
]

FILE = "methods/split_real_and_imaginary.py"
MUTANTS = [
    Mutant(
        "split: the params as they are",
        FILE,
        "params = None if params is None else split(params)",
        "params = None if params is None else params",
        of_complex("a_complex_array_is_two_real_ones"),
    ),
    Mutant(
        "split: the parts exchanged",
        FILE,
        "lax.complex(*x)",
        "lax.complex(*x[::-1])",
        of_complex("a_complex_array_is_two_real_ones"),
    ),
    Mutant(
        "split: extra arguments lost",
        FILE,
        "state.inner_state, params, **extra)",
        "state.inner_state, params)",
        of_complex("extra_arguments_reach_the_transform_inside"),
    ),
    Mutant(
        "split: a watch sees whole numbers",
        FILE,
        "like: split(tree)",
        "like: join(tree)",
        of_complex("a_watch_reads_the_rates_of_both_parts"),
    ),
]
