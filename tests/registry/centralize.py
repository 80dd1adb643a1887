"""Gradient centralization: Yong et al. 2020, equation 1, for matrices whose rows are the outputs."""

import numpy as np

from tests.registry.base import LEAVES, Mutant, reference_of, row
from tests.registry.numbers import Tree


def centralize(grads: list[Tree], params: Tree) -> list[Tree]:
    """Phi(g_i) = g_i - mu_i, with mu_i the mean of all numbers of g_i, one of the outputs i."""
    del params
    updates = []
    for g in grads:
        u = {}
        for name, x in g.items():
            if np.ndim(x) < 2:  # one number for each output: nothing to take a mean of
                u[name] = np.array(x, np.float64)
                continue
            u[name] = np.empty(np.shape(x))
            for i in range(np.shape(x)[0]):
                mu = sum(x[i].reshape(-1)) / x[i].size
                u[name][i] = x[i] - mu
        updates.append(u)
    return updates


ROWS = [
    row(
        "centralize",
        traits={
            "reference": centralize,
            "shapes": ("matrix", "vector", "scalar", "stack"),
            "laws": (LEAVES,),  # a row's mean is that of the row
            "power": 1,
            "optax": True,
        },
    ),
]

FILE = "limits/centralize.py"
MUTANTS = [
    Mutant("centralize: the mean of all", FILE, "g - lax", "g - jnp.mean(g) + 0 * lax", reference_of("centralize")),
    Mutant("centralize: the mean is added", FILE, "g - lax", "g + lax", reference_of("centralize")),
    Mutant("centralize: a vector too", FILE, "g.ndim <= 1", "g.ndim <= 0", reference_of("centralize")),
    Mutant(
        "centralize: the sum",
        FILE,
        "1.0 / max(math.prod(g.shape[1:]), 1)",
        "1.0",
        reference_of("centralize"),
    ),
]
