"""Polyak's step size: Loizou et al. 2021, equation 3 (SPS_max with c = 1); Garrigos, Gower & Schaipp 2023 (SPS+)."""

import math
from functools import partial

from tests.registry.base import ELEMENTS, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, ratio, rising
from tests.registry.scale import scale_by_learning_rate


def scale_by_polyak(
    grads: list[Tree],
    params: Tree,
    *,
    value: float,
    f_min: Hyper = 0.0,
    max_learning_rate: Hyper = 1.0,
    eps: Hyper = 0.0,
    variant: str = "sps",
) -> list[Tree]:
    """gamma_t = min{(f(x) - f*) / |grad f(x)|^2, gamma_b}, or with the positive part of f(x) - f*."""
    updates = []
    for t, g in enumerate(grads, start=1):
        squared = math.fsum(g[name][i] ** 2 for name, i in elements(params))
        gap = value - at(f_min, t)
        gap = max(gap, 0.0) if variant == "sps+" else gap
        step = min(ratio(gap, squared + at(eps, t)), at(max_learning_rate, t))
        updates.append({name: step * x for name, x in g.items()})
    return updates


def polyak_sgd(grads: list[Tree], params: Tree, *, value: float, scaling: Hyper = 1.0, **settings: Hyper) -> list[Tree]:
    """x_{t+1} = x_t - scaling gamma_t grad f(x_t)."""
    scaled = scale_by_polyak(grads, params, value=value, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=scaling)


def traits(reference: object, value: float = 30.0, **more: object) -> dict[str, object]:
    """Return what a row declares whose loss is always the same; the norm is that of all leaves."""
    return {"reference": partial(reference, value=value), "extra": {"value": value}, "laws": (ELEMENTS,), **more}


OPTIMIZER = traits(polyak_sgd, kind="optimizer")
ROWS = [
    row(
        "scale_by_polyak",
        traits=traits(scale_by_polyak, hyper="max_learning_rate", optax=True),
        max_learning_rate=2.0,
        f_min=5.0,
        eps=0.1,
    ),
    row("polyak_sgd", traits={**OPTIMIZER, "hyper": "scaling"}, scaling=0.5),
]
CASES = [
    row("polyak_sgd", "as optax", traits={**OPTIMIZER, "optax": True}, max_learning_rate=math.inf),
    row("scale_by_polyak", "below f_min", traits=traits(scale_by_polyak, optax=True), f_min=40.0),
    row("scale_by_polyak", "below f_min, sps+", traits=traits(scale_by_polyak, optax=True), f_min=40.0, variant="sps+"),
    row(
        "polyak_sgd",
        "schedules",
        traits=OPTIMIZER,
        max_learning_rate=halving,
        scaling=rising,
        f_min=halving,
        eps=rising,
        variant="sps+",
    ),
]

FILE = "methods/polyak.py"
MUTANTS = [
    Mutant("polyak: the norm, not its square", FILE, "unit * square", "square", reference_of("polyak_sgd")),
    Mutant("polyak: the loss, not the gap", FILE, " - k.f_min", "", reference_of("scale_by_polyak")),
    Mutant(
        "polyak: ascends below f_min",
        FILE,
        "jnp.maximum(gap, 0.0)",
        "gap",
        case_of("scale_by_polyak[below f_min, sps+]"),
    ),
    Mutant(
        "polyak: scaled before the norm",
        FILE,
        "chain(scaled, scale_by_learning_rate(scaling))",
        "chain(scale_by_learning_rate(scaling), scaled)",
        reference_of("polyak_sgd"),
    ),
]
