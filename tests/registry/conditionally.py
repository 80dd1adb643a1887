"""A transform in some steps only: the steps in which it ran are all that it has seen."""

from typing import Any

import numpy as np

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, reference_of, row
from tests.registry.numbers import Tree, like


def odd(step: Any) -> Any:
    """Return True in every other step."""
    return step % 2 == 1


def ran(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return Adam's updates for every other gradient."""
    return adam(grads[1::2], params, learning_rate=0.1)


def in_turn(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return the gradient itself, then Adam's update."""
    some = ran(grads, params)
    return [some[t // 2] if t % 2 else g for t, g in enumerate(grads)]


def masked(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return zeros, then Adam's update."""
    some = ran(grads, params)
    return [some[t // 2] if t % 2 else like({n: np.asarray(x) for n, x in g.items()}) for t, g in enumerate(grads)]


def transform(library: Any) -> Any:
    """Return Adam in every other step."""
    return library.conditionally_transform(library.adam(0.1), odd)


def mask(library: Any) -> Any:
    """Return Adam in every other step, and zeros."""
    return library.conditionally_mask(library.adam(0.1), odd)


def round_transform(library: Any, tx: Any) -> Any:
    """Return any transform, in every step."""
    return library.conditionally_transform(tx, lambda step: step >= 0)


def round_mask(library: Any, tx: Any) -> Any:
    """Return any transform, in every step."""
    return library.conditionally_mask(tx, lambda step: step >= 0)


WRAPPER = {"kind": "wrapper", "optax": True, "fused": FUSED}
ROWS = [
    row(
        "conditionally_transform",
        traits={**WRAPPER, "maker": transform, "reference": in_turn, "around": round_transform},
    ),
    row(
        "conditionally_mask",
        traits={**WRAPPER, "maker": mask, "reference": masked, "around": round_mask, "sparse": True, "moves": 2},
    ),
]

ENGINE = "_core/engine/conditional.py"
MUTANTS = [
    Mutant(
        "conditionally: zeros pass",
        ENGINE,
        "same if self.passes else",
        "same if not self.passes else",
        reference_of("conditionally_mask"),
    ),
    Mutant(
        "conditionally: the step stands still",
        ENGINE,
        "inner, increment(own.step)",
        "inner, own.step",
        reference_of("conditionally_transform"),
    ),
    Mutant(
        "conditionally: turned round",
        ENGINE,
        "either(self.runs(own.step, extra), run, rest)",
        "either(~self.runs(own.step, extra), run, rest)",
        reference_of("conditionally_transform"),
    ),
]
