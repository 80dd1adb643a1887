"""Bounds on single numbers, written from their definitions: clipped, NaN to 0, p + u >= 0, no update at all."""

import math

from tests.registry.base import Mutant, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like


def clip(grads: list[Tree], params: Tree, *, max_delta: Hyper) -> list[Tree]:
    """U is g where |g| <= max_delta, else max_delta with the sign of g."""
    updates = []
    for t, g in enumerate(grads, start=1):
        bound, u = at(max_delta, t), like(params)
        for name, i in elements(params):
            x = g[name][i]
            u[name][i] = x if abs(x) <= bound else math.copysign(bound, x)
        updates.append(u)
    return updates


def zero_nans(grads: list[Tree], params: Tree, *, infinities: bool = False) -> list[Tree]:
    """U is 0 where g is NaN, or is not finite."""
    updates = []
    for g in grads:
        u = like(params)
        for name, i in elements(params):
            x = g[name][i]
            u[name][i] = 0.0 if math.isnan(x) or (infinities and math.isinf(x)) else x
        updates.append(u)
    return updates


def keep_params_nonnegative(grads: list[Tree], params: Tree, *, store: Store = float) -> list[Tree]:
    """U is -p where p + g < 0, else g."""
    p, updates = copy(params), []
    for g in grads:
        u = like(params)
        for name, i in elements(params):
            u[name][i] = -p[name][i] if p[name][i] + g[name][i] < 0 else g[name][i]
            p[name][i] = store(p[name][i] + u[name][i])
        updates.append(u)
    return updates


def set_to_zero(grads: list[Tree], params: Tree) -> list[Tree]:
    """U = 0."""
    return [like(params) for _ in grads]


ROWS = [
    row("clip", traits={"reference": clip, "hyper": "max_delta", "optax": True}, max_delta=1.0),
    row("zero_nans", traits={"reference": zero_nans, "power": 1, "optax": True, "unread": ("found_nan",)}),
    row(
        "zero_nans",
        "and infinities",
        traits={"reference": zero_nans, "power": 1, "unread": ("found_nan",)},
        infinities=True,
    ),
    row("keep_params_nonnegative", traits={"reference": keep_params_nonnegative, "optax": True}),
    row("set_to_zero", traits={"reference": set_to_zero, "zero": True, "optax": True}),
]
CASES = [
    row("clip", "schedules", traits={"reference": clip}, max_delta=halving),
    row("clip", "never", traits={"power": 1, "reference": clip}, max_delta=math.inf),
    row("clip", "nothing passes", traits={"power": 0, "reference": clip, "optax": True}, max_delta=0.0),
]


def held_by(name: str) -> tuple[str, ...]:
    """Return this test of numbers that no row has."""
    return (f"test_constraints.py::test_{name}",)


MUTANTS = [
    Mutant(
        "clip: one side only", "limits/clip.py", "jnp.clip(g, -k.max_delta,", "jnp.clip(g, None,", reference_of("clip")
    ),
    Mutant(
        "clip: a complex number loses its phase",
        "limits/clip.py",
        "g * (k.max_delta /",
        "(k.max_delta /",
        held_by("a_clipped_complex_number_keeps_its_phase"),
    ),
    Mutant(
        "zero_nans: infinities always",
        "limits/nonfinite.py",
        "if infinities else jnp.isnan(g)",
        "",
        held_by("nans_become_zero"),
    ),
    Mutant(
        "zero_nans: found for good",
        "limits/nonfinite.py",
        '{"found_nan": found}',
        '{"found_nan": found | slots["found_nan"]}',
        held_by("nans_become_zero"),
    ),
    Mutant(
        "nonnegative: moves back to where it was",
        "limits/nonnegative.py",
        "jnp.maximum(g, -p)",
        "jnp.where(p + g < 0, 0.0, g)",
        reference_of("keep_params_nonnegative"),
    ),
    Mutant(
        "set to zero: a NaN passes",
        "factors/stateless.py",
        "jnp.zeros_like(g), slots",
        "0.0 * g, slots",
        held_by("no_update_whatever_the_gradient"),
    ),
]
