"""Gradient descent, with momentum as a decaying sum: Robbins & Monro 1951; Polyak 1964."""

from tests.registry.base import Mutant, Speed, reference_of, row
from tests.registry.numbers import Hyper, Tree
from tests.registry.scale import scale_by_learning_rate
from tests.registry.trace import trace


def sgd(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    momentum: Hyper | None = None,
    nesterov: bool = False,
) -> list[Tree]:
    """Step by -eta g, or by -eta m with m = momentum m + g."""
    if momentum is not None:
        grads = trace(grads, params, decay=momentum, nesterov=nesterov)
    return scale_by_learning_rate(grads, params, learning_rate=learning_rate)


TRAITS = {"reference": sgd, "kind": "optimizer", "optax": True}
ROWS = [
    row(
        "sgd",
        traits={**TRAITS, "hyper": "learning_rate", "speed": Speed(0, 1.0)},
        learning_rate=0.1,
    ),
    row(
        "sgd",
        "nesterov",
        traits={**TRAITS, "power": 1, "speed": Speed(0, 7 / 5)},
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
    ),
]
CASES = [row("sgd", "momentum", traits={**TRAITS, "speed": Speed(0, 6 / 5)}, learning_rate=0.1, momentum=0.9)]

FILE = "methods/sgd.py"
MUTANTS = [
    Mutant(
        "sgd: nesterov ignored",
        FILE,
        "trace(momentum, nesterov, acc",
        "trace(momentum, False, acc",
        reference_of("sgd[nesterov]"),
    ),
]
