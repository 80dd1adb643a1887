"""Gradients of one length: Hazan, Levy & Shalev-Shwartz 2015, Algorithm 1, with an eps as optax has it."""

import math

from tests.registry.base import ELEMENTS, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, ratio, rising


def normalize_by_update_norm(
    grads: list[Tree], params: Tree, *, scale_factor: Hyper = 1.0, eps: Hyper = 1e-6
) -> list[Tree]:
    """U = s g / (|g| + eps), the norm over all leaves."""
    updates = []
    for t, g in enumerate(grads, start=1):
        size = math.sqrt(math.fsum(g[name][i] ** 2 for name, i in elements(params))) + at(eps, t)
        u = like(params)
        for name, i in elements(params):
            u[name][i] = at(scale_factor, t) * ratio(g[name][i], size)
        updates.append(u)
    return updates


# the norm is that of all leaves together
WHOLE_TREE = {"reference": normalize_by_update_norm, "laws": (ELEMENTS,)}
ROWS = [row("normalize_by_update_norm", traits={**WHOLE_TREE, "hyper": "scale_factor", "optax": True})]
CASES = [
    row("normalize_by_update_norm", "no eps", traits={**WHOLE_TREE, "power": 0}, eps=0.0),
    row("normalize_by_update_norm", "descent", traits={**WHOLE_TREE, "optax": True}, scale_factor=-0.3, eps=0.1),
    row("normalize_by_update_norm", "schedules", traits=WHOLE_TREE, scale_factor=rising, eps=halving),
]

FILE = "limits/update_norm.py"
MUTANTS = [
    Mutant(
        "normalize: each leaf by itself",
        FILE,
        "return g * lax.convert_element_type(k.factor, g.dtype), slots",
        "return g / (norm_of([g]) + k.eps) + 0 * k.factor, slots",
        reference_of("normalize_by_update_norm"),
    ),
    Mutant("normalize: no eps", FILE, "norm + least", "norm", case_of("normalize_by_update_norm[descent]")),
    Mutant(
        "normalize: a part of what is not finite",
        FILE,
        "jnp.where(jnp.isfinite(norm), divide(length, norm + least), jnp.nan)",
        "divide(length, norm + least)",
        ("test_layer_norms.py::test_no_part_of_a_tree_that_is_not_finite_is_applied",),
    ),
]
