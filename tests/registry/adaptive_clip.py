"""Adaptive gradient clipping: Brock et al. 2021, equation 3; a unit is what lies along the first dimension."""

import math

import numpy as np

from tests.registry.base import LEAVES, Mutant, case_of, reference_of, row
from tests.registry.lamb import moved, norm
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, rising


def units(x: np.ndarray, axis: int | tuple[int, ...] | None) -> list[tuple[slice | int, ...]]:
    """Return where the numbers of each unit stand."""
    if np.ndim(x) < 2:
        return [(slice(None),) * np.ndim(x)]
    axes = (0,) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = tuple(d % np.ndim(x) for d in axes)
    kept = [d for d in range(np.ndim(x)) if d not in axes]
    places = []
    for i in np.ndindex(*(np.shape(x)[d] for d in kept)):
        at_kept = dict(zip(kept, i, strict=True))
        places.append(tuple(at_kept.get(d, slice(None)) for d in range(np.ndim(x))))
    return places


def adaptive_grad_clip(
    grads: list[Tree],
    params: Tree,
    *,
    clipping: Hyper,
    eps: Hyper = 1e-3,
    axis: int | tuple[int, ...] | None = None,
    store: Store = float,
) -> list[Tree]:
    """G_i = lambda |W_i| / |G_i| G_i where |G_i| / |W_i| > lambda, with |W_i| at least eps."""
    p, updates = copy(params), []
    for t, g in enumerate(grads, start=1):
        u = copy(g)
        for name in params:
            for i in units(g[name], axis):
                of_weights, of_gradient = max(norm(p[name][i]), at(eps, t)), norm(g[name][i])
                if of_gradient > at(clipping, t) * of_weights:
                    u[name][i] = at(clipping, t) * of_weights / of_gradient * g[name][i]
        updates.append(u)
        moved(p, u, store)
    return updates


AGC = {"reference": adaptive_grad_clip, "laws": (LEAVES,)}  # a unit is bounded as a whole
ROWS = [row("adaptive_grad_clip", traits={**AGC, "hyper": "clipping", "optax": True}, clipping=0.1)]
CASES = [
    row("adaptive_grad_clip", "large eps", traits={**AGC, "optax": True}, clipping=0.5, eps=2.0),
    row(
        "adaptive_grad_clip",
        "last dimension",
        traits={**AGC, "optax": True, "shapes": ("vector", "matrix", "stack")},
        clipping=0.2,
        axis=-1,
    ),
    row("adaptive_grad_clip", "schedules", traits=AGC, clipping=rising, eps=halving),
    row("adaptive_grad_clip", "never", traits={**AGC, "power": 1}, clipping=math.inf),
]

FILE, UNITS = "limits/adaptive_clip.py", "limits/unit_norms.py"


def held_by(name: str) -> tuple[str, ...]:
    """Return this test of units."""
    return (f"test_units.py::test_{name}",)


MUTANTS = [
    Mutant("agc: the whole array", UNITS, "2: 1, 3: 1", "2: 2, 3: 1", reference_of("adaptive_grad_clip")),
    Mutant("agc: three dimensions as four", UNITS, "3: 1, 4: 3", "3: 3, 4: 3", held_by("units_are_those_of_optax")),
    Mutant(
        "agc: eps added",
        UNITS,
        "clipping * jnp.maximum(weights, eps)",
        "clipping * (weights + eps)",
        case_of("adaptive_grad_clip[large eps]"),
    ),
    Mutant(
        "agc: always the bound",
        UNITS,
        "jnp.where(norm <= bound, jnp.ones_like(norm), divide(bound, norm))",
        "divide(bound, norm)",
        reference_of("adaptive_grad_clip"),
    ),
    Mutant(
        "agc: a part of what is not finite",
        UNITS,
        "jnp.where(jnp.isfinite(norm), factor, jnp.nan)",
        "factor",
        held_by("no_part_of_a_unit_that_is_not_finite_is_applied"),
    ),
    Mutant(
        "agc: units of one leaf for all",
        FILE,
        "jnp.stack(ps)",
        "jnp.stack([ps[0]] * len(ps))",
        held_by("small_leaves_of_one_device_are_clipped_alike"),
    ),
    Mutant("agc: small squares", FILE, "> least)", "> -1)", held_by("units_are_clipped_in_the_whole_range")),
    Mutant("agc: small weights", FILE, "> least\n", "> -1\n", held_by("units_are_clipped_in_the_whole_range")),
    Mutant("agc: large squares", FILE, "< jnp.inf", "<= jnp.inf", held_by("units_are_clipped_in_the_whole_range")),
    Mutant(
        "units: overflow",
        UNITS,
        "x * lax.convert_element_type(shrink, x.dtype)",
        "x",
        held_by("units_have_norms_in_the_whole_range"),
    ),
]
