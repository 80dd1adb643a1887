"""Cautious updates: Liang et al. 2024, Algorithm 1, round methods whose updates do not depend on the parameters."""

from typing import Any

import numpy as np

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, Row, Speed, case_of, reference_of, speed
from tests.registry.numbers import Tree
from tests.registry.sgd import sgd


def kept(updates: list[Tree], grads: list[Tree]) -> list[Tree]:
    """Phi = I(u g < 0), u phi dim(phi) / (|phi|_0 + 1)."""
    out = []
    for u, g in zip(updates, grads, strict=True):
        phi = {name: (x * g[name] < 0).astype(float) for name, x in u.items()}
        out.append({name: np.asarray(u[name] * x * (x.size / (np.sum(x) + 1))) for name, x in phi.items()})
    return out


def cautious_adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """C-Adam."""
    return kept(adam(grads, params, learning_rate=0.1), grads)


def cautious_momentum(grads: list[Tree], params: Tree) -> list[Tree]:
    """Momentum that waits."""
    return kept(sgd(grads, params, learning_rate=0.1, momentum=0.9), grads)


def round_adam(library: Any) -> Any:
    """Return Adam, cautious."""
    return library.cautious(library.adam(0.1))


def round_momentum(library: Any) -> Any:
    """Return momentum, cautious."""
    return library.cautious(library.sgd(0.1, 0.9))


def round_any(library: Any, tx: Any) -> Any:
    """Return any transform, cautious."""
    return library.cautious(tx)


ROWS = [
    Row(
        "cautious",
        maker=round_adam,
        reference=cautious_adam,
        kind="wrapper",
        sparse=True,
        fused=FUSED,
        around=round_any,
        idle=False,
        speed=Speed(4_002_000, 2.0, fused=None),  # the update that is kept, of one leaf at a time
    )
]
CASES = [Row("cautious", "momentum", maker=round_momentum, reference=cautious_momentum, kind="wrapper", sparse=True)]

FILE = "wrappers/cautious.py"
MUTANTS = [
    Mutant("cautious: those that go up", FILE, "opposed(g, u)", "opposed(g, -u)", reference_of("cautious")),
    Mutant("cautious: no larger", FILE, "wide * factor", "wide", reference_of("cautious")),
    Mutant(
        "cautious: counted on one shard",
        FILE,
        "[goes_down], axis_name)",
        "[goes_down], None)",
        ("test_shards.py::test_shards_are_taken_together[cautious]",),
    ),
    Mutant(
        "cautious: the mean alone", FILE, "(number + 1.0)", "jnp.maximum(number, 1.0)", case_of("cautious[momentum]")
    ),
    Mutant(
        "cautious: no leaf waits",
        FILE,
        "k.hand_on(number)",
        "pass",
        speed("bytes_moved_stay_near_the_floor[cautious]"),
    ),
]
