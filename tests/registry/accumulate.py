"""Accumulation of gradients: the mean of k of them in one update, or the sum of k updates."""

from typing import Any

import numpy as np

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, Row, case_of, reference_of, row
from tests.registry.numbers import Tree, like


def means(grads: list[Tree], k: int, *, divide: bool = True) -> list[Tree]:
    """Return the mean, or the sum, of each k gradients."""
    groups = [grads[i : i + k] for i in range(0, len(grads) - k + 1, k)]
    return [{n: sum(g[n] for g in group) / (k if divide else 1) for n in group[0]} for group in groups]


def every(updates: list[Tree], steps: int, k: int) -> list[Tree]:
    """Return each update at the end of its k steps, zeros before."""
    zero = like({n: np.asarray(x) for n, x in updates[0].items()})
    return [updates[t // k] if t % k == k - 1 else zero for t in range(steps)]


def accumulated(grads: list[Tree], params: Tree, *, k: int, mean: bool = True) -> list[Tree]:
    """Adam of the mean of each k gradients."""
    return every(adam(means(grads, k, divide=mean), params, learning_rate=0.1), len(grads), k)


def summed(grads: list[Tree], params: Tree, *, k: int) -> list[Tree]:
    """Return the sum of each k updates."""
    del params
    return every(means(grads, k, divide=False), len(grads), k)


def round_adam(library: Any, **settings: Any) -> Any:
    """Return Adam that updates every few micro-steps."""
    return library.accumulate(library.adam(0.1), **settings)


def round_any(library: Any, tx: Any) -> Any:
    """Return any transform, one micro-step to an update."""
    return library.accumulate(tx, 1)


WRAPPER = {
    "reference": accumulated,
    "maker": round_adam,
    "kind": "wrapper",
    "numbers_only": ("k",),
    "sparse": True,
    "fused": FUSED,
}
ROWS = [
    row("accumulate", traits={**WRAPPER, "moves": 2, "around": round_any}, k=2),
    row("apply_every", traits={"reference": summed, "sparse": True, "numbers_only": ("k",), "moves": 2}, k=2),
]
CASES = [
    row("accumulate", "sum", traits=WRAPPER, k=3, mean=False),
    row("accumulate", "one", traits=WRAPPER, k=1),
    row("apply_every", "as optax", traits={"optax": True, "reference": summed, "sparse": True}, k=3),
    Row("apply_every", "one", {"k": 1}, reference=summed, optax=True),
]

ENGINE, EVERY = "_core/engine/accumulating.py", "factors/apply_every.py"
MUTANTS = [
    Mutant("accumulate: a step late", ENGINE, "(number >= every)", "(number > every)", reference_of("accumulate")),
    Mutant(
        "accumulate: always the sum",
        ENGINE,
        "if self.mean else totals",
        "if not self.mean else totals",
        case_of("accumulate[sum]"),
    ),
    Mutant(
        "accumulate: sums go on",
        ENGINE,
        "own.micro_step == 0, kept",
        "own.micro_step < 0, kept",
        reference_of("accumulate"),
    ),
    Mutant(
        "accumulate: the last gradient alone",
        ENGINE,
        "jnp.zeros_like(total), total)\n",
        "jnp.zeros_like(total), 0.0 * total)\n",
        reference_of("accumulate"),
    ),
    Mutant(
        "accumulate: updates in every step",
        ENGINE,
        "jnp.where(emits, buffer,",
        "jnp.where(True, buffer,",
        reference_of("accumulate"),
    ),
    Mutant(
        "accumulate: NaN counts",
        ENGINE,
        "own.micro_step + kept.astype(jnp.int32)",
        "own.micro_step + 1",
        ("test_accumulate.py::test_a_bad_micro_batch_leaves_no_trace",),
    ),
    Mutant(
        "apply_every: a step early",
        EVERY,
        '"ends": place == every - 1',
        '"ends": place == 0',
        reference_of("apply_every"),
    ),
    Mutant(
        "apply_every: sums go on", EVERY, '"begins": place == 0', '"begins": place < 0', reference_of("apply_every")
    ),
]
