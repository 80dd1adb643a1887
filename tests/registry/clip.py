"""Scale the whole gradient down where its norm is too large: Pascanu, Mikolov & Bengio 2013, Algorithm 1."""

import math

from tests.registry.base import ELEMENTS, Mutant, reference_of, row
from tests.registry.base import clip as held_by
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like


def clip_by_global_norm(grads: list[Tree], params: Tree, *, max_norm: Hyper) -> list[Tree]:
    """If the norm of g over all leaves is at least max_norm, u = g max_norm / norm, else u = g."""
    updates = []
    for t, g in enumerate(grads, start=1):
        norm = math.sqrt(math.fsum(g[name][i] ** 2 for name, i in elements(params)))
        bound = at(max_norm, t)
        u = like(params)
        for name, i in elements(params):
            u[name][i] = bound / norm * g[name][i] if norm >= bound else g[name][i]
        updates.append(u)
    return updates


# the norm is that of all leaves together, so a leaf alone is clipped otherwise
WHOLE_TREE = {"reference": clip_by_global_norm, "laws": (ELEMENTS,)}
ROWS = [row("clip_by_global_norm", traits={**WHOLE_TREE, "hyper": "max_norm", "optax": True}, max_norm=1.0)]
CASES = [
    row("clip_by_global_norm", "tight", traits=WHOLE_TREE, max_norm=0.3),
    row("clip_by_global_norm", "never", traits={**WHOLE_TREE, "power": 1}, max_norm=math.inf),
    row("clip_by_global_norm", "schedules", traits=WHOLE_TREE, max_norm=halving),
]

FILE = "limits/clip.py"
NORM = "_core/arrays/norm.py"
MUTANTS = [
    Mutant(
        "clip: scales small gradients up",
        FILE,
        "1.0 / jnp.maximum(excess, 1.0)",
        "1.0 / excess",
        reference_of("clip_by_global_norm"),
    ),
    Mutant(
        "clip: first leaf only", NORM, "for s in squares)", "for s in squares[:1])", held_by("clip_takes_every_leaf")
    ),
    Mutant(
        "clip: not squared",
        NORM,
        "abs_sq(lax.convert_element_type(lax.opt",
        "jnp.abs(lax.convert_element_type(lax.opt",
        held_by("clip_takes_every_leaf[plain_norm]"),
    ),
    Mutant(
        "clip: part of a step that is infinite",
        FILE,
        "jnp.where(jnp.isfinite(excess), 1.0 / jnp.maximum(excess, 1.0), jnp.nan)",
        "1.0 / jnp.maximum(excess, 1.0)",
        held_by("clip_applies_no_part_of_a_step_that_is_not_finite"),
    ),
    Mutant("clip: overflows", NORM, "2.0**-40", "2.0**-4", held_by("clip_is_right_beyond_the_range_of_squares")),
    Mutant(
        "clip: trusts what overflows",
        NORM,
        "& (squared < jnp.inf)",
        "",
        held_by("clip_is_right_beyond_the_range_of_squares"),
    ),
    Mutant(
        "clip: trusts what vanishes",
        NORM,
        "(squared > EXACT) &",
        "",
        held_by("clip_is_right_beyond_the_range_of_squares"),
    ),
    Mutant(
        "clip: counts the overlap of blocks twice",
        NORM,
        "jnp.where(new, abs_sq(",
        "jnp.where(True, abs_sq(",
        held_by("clip_is_right_beyond_the_range_of_squares"),
    ),
    Mutant(
        "clip: forgets the large leaves",
        NORM,
        "if g.size > SMALL]",
        "if g.size > 2 * SMALL]",
        held_by("clip_takes_every_leaf"),
    ),
    Mutant(
        "clip: elsewhere than on a CPU, not shrunk back",
        NORM,
        "* (1.0 / SHRINK)",
        "",
        held_by("clip_is_right_beyond_the_range_of_squares"),
    ),
]
