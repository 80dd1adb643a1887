"""RMSProp as a whole optimizer: a scaled step, then the decaying sum of such steps; Graves 2013 about the mean."""

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, halving, rising
from tests.registry.rms import scale_by_rms, scale_by_stddev
from tests.registry.scale import scale_by_learning_rate
from tests.registry.trace import trace


def rmsprop(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    centered: bool = False,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    **settings: Hyper,
) -> list[Tree]:
    """Step by -eta g / sigma, or by the decaying sum of such steps."""
    sigma = scale_by_stddev if centered else scale_by_rms
    steps = scale_by_learning_rate(sigma(grads, params, **settings), params, learning_rate=learning_rate)
    return steps if momentum is None else trace(steps, params, decay=momentum, nesterov=nesterov)


TRAITS = {"reference": rmsprop, "kind": "optimizer"}
ROWS = [
    row(
        "rmsprop",
        traits={**TRAITS, "hyper": "learning_rate", "optax": True, "speed": Speed(0, 7 / 5)},
        learning_rate=0.1,
    ),
    row(
        "rmsprop",
        "centered with momentum",
        traits=TRAITS,
        learning_rate=0.1,
        centered=True,
        momentum=0.9,
        nesterov=True,
    ),
]
CASES = [
    row(
        "rmsprop",
        "centered, plain momentum",
        traits={**TRAITS, "speed": Speed(0, 14 / 9)},
        learning_rate=0.1,
        centered=True,
        momentum=0.9,
    ),
    row(
        "rmsprop",
        "centered, eps outside",
        traits={**TRAITS, "optax": True},
        learning_rate=0.1,
        centered=True,
        momentum=0.9,
        eps_in_sqrt=False,
        initial_scale=1.0,
    ),
    row(
        "rmsprop",
        "corrected nesterov",
        traits={**TRAITS, "optax": True},
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        bias_correction=True,
    ),
    row(
        "rmsprop",
        "schedules",
        traits=TRAITS,
        learning_rate=halving,
        decay=rising,
        eps=halving,
        momentum=rising,
        bias_correction=True,
    ),
]

FILE = "methods/rmsprop.py"
MUTANTS = [
    Mutant(
        "rmsprop: centered inverted",
        FILE,
        "scale_by_stddev if centered",
        "scale_by_stddev if not centered",
        reference_of("rmsprop"),
    ),
    Mutant(
        "rmsprop: rate after momentum",
        FILE,
        "scale_by_learning_rate(learning_rate), after)",
        "after, scale_by_learning_rate(learning_rate))",
        case_of("rmsprop[schedules]"),
    ),
]
