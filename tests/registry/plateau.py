"""Reduce on plateau: PyTorch's documentation of ReduceLROnPlateau, the mean of several values being optax's."""

import math
from functools import partial

from tests.registry.base import Mutant, case_of, optax_of, row
from tests.registry.numbers import Hyper, Tree, at, halving, rising


def reduce_on_plateau(
    grads: list[Tree],
    params: Tree,
    *,
    value: float,
    factor: Hyper = 0.1,
    patience: Hyper = 10,
    rtol: Hyper = 1e-4,
    atol: Hyper = 0.0,
    cooldown: Hyper = 0,
    accumulation_size: Hyper = 1,
    min_scale: Hyper = 0.0,
) -> list[Tree]:
    """If no mean of values beats the best one for `patience` of them, the rate falls by `factor`."""
    del params
    scale, best, values, bad, rest = 1.0, math.inf, [], 0, 0.0
    updates = []
    for t, g in enumerate(grads, start=1):
        values.append(value)
        if len(values) >= at(accumulation_size, t):
            mean, values = math.fsum(values) / len(values), []
            better = best == math.inf or mean < best - at(rtol, t) * abs(best) - at(atol, t)
            best, bad = (mean, 0) if better else (best, bad + 1)
            if rest > 0:
                rest, bad = rest - 1, 0
            else:
                if bad >= at(patience, t):
                    scale, bad, rest = scale * at(factor, t), 0, at(cooldown, t)
                scale = max(scale, at(min_scale, t))
        updates.append({name: scale * x for name, x in g.items()})
    return updates


STEADY = {"extra": {"value": 3.0}, "reference": partial(reduce_on_plateau, value=3.0), "power": 1}
ROWS = [
    row("reduce_on_plateau", traits={**STEADY, "hyper": "factor", "optax": True}, factor=0.5, patience=1),
]
CASES = [
    row(
        "reduce_on_plateau",
        "rests",
        traits={**STEADY, "optax": True},
        factor=0.5,
        patience=2,
        cooldown=1,
        min_scale=0.3,
    ),
    row("reduce_on_plateau", "means", traits={**STEADY, "optax": True}, factor=0.5, patience=2, accumulation_size=2),
    row("reduce_on_plateau", "optax's", traits={**STEADY, "optax": True}),
    row(
        "reduce_on_plateau",
        "schedules",
        traits=STEADY,
        factor=rising,
        patience=1,
        rtol=halving,
        atol=rising,
        min_scale=halving,
    ),
]

FILE = "schedules/plateau.py"
MUTANTS = [
    Mutant(
        "plateau: a step late",
        FILE,
        "waited >= k.patience",
        "waited > k.patience",
        optax_of("reduce_on_plateau"),
    ),
    Mutant(
        "plateau: never rests",
        FILE,
        "jnp.where(falls, k.cooldown, 0.0)",
        "0.0 * k.cooldown",
        case_of("reduce_on_plateau[rests]"),
    ),
    Mutant(
        "plateau: judges each value",
        FILE,
        "seen >= k.accumulation_size",
        "seen >= 1.0",
        case_of("reduce_on_plateau[means]"),
    ),
    Mutant(
        "plateau: a little worse is better",
        FILE,
        "known - k.rtol * jnp.abs(known)",
        "known - k.rtol * known",
        ("test_plateau.py::test_a_little_worse_is_not_better",),
    ),
    Mutant(
        "plateau: the best of all is forgotten",
        FILE,
        "jnp.where(better, mean, best)",
        "mean",
        ("test_plateau.py::test_agrees_with_optax_on_a_loss_that_falls_and_rises",),
    ),
]
