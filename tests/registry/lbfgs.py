"""L-BFGS: Nocedal & Wright 2006, Algorithm 7.4, of pairs with <s, y> > 0."""

from typing import Any

import numpy as np

from tests.registry.base import FUSED, Mutant, case_of, reference_of, row
from tests.registry.linesearch import Bowl, bowl, flat, shaped, zoom
from tests.registry.numbers import Hyper, Store, Tree, at


class Inverse:
    """The inverse Hessian that the last pairs say."""

    def __init__(self, size: int, fitted: bool) -> None:
        """Start without pairs."""
        self.size, self.fitted = size, fitted
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self.last: tuple[np.ndarray, np.ndarray] | None = None

    def times(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """Take the step from the last x to this one as a pair, then the two loops of the book."""
        if self.last is not None:
            s, y = x - self.last[0], g - self.last[1]
            if s @ y > 0:
                self.pairs = [*self.pairs, (s, y)][-self.size :]
        self.last = (x, g)
        q, alphas = g.copy(), []
        for s, y in reversed(self.pairs):
            alphas.append(s @ q / (s @ y))
            q = q - alphas[-1] * y
        gamma = 1.0
        if self.fitted and self.pairs:
            s, y = self.pairs[-1]
            gamma = s @ y / (y @ y)
        elif self.fitted:
            gamma = min(1.0, 1.0 / np.linalg.norm(g))
        r = gamma * q
        for (s, y), alpha in zip(self.pairs, reversed(alphas), strict=True):
            r = r + s * (alpha - y @ r / (s @ y))
        return r


def scale_by_lbfgs(
    grads: list[Tree],
    params: Tree,
    *,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    store: Store = float,
) -> list[Tree]:
    """u_t = H_t g_t, and theta_{t+1} = theta_t + u_t as the battery moves on."""
    inverse, place, p, updates = Inverse(memory_size, scale_init_precond), Bowl(0.0, store=store), flat(params), []
    for g in map(flat, grads):
        u = inverse.times(p, g)
        updates.append(shaped(u, params))
        p = place.moved(p, u, 1.0)
    return updates


def lbfgs(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: Any = True,
    curvature: float = 3.0,
    store: Store = float,
) -> list[Tree]:
    """theta_{t+1} = theta_t - eta_t H_t g_t, eta_t from Algorithm 3.5 unless there is no search."""
    inverse, place, p = Inverse(memory_size, scale_init_precond), Bowl(curvature, 1.0, store=store), flat(params)
    updates = []
    for t, g in enumerate(map(flat, grads), start=1):
        d = -inverse.times(p, g) * (1.0 if learning_rate is None else at(learning_rate, t))
        eta = 1.0 if linesearch is None else zoom(place.along(p, g, d), 1.0, steps=20).eta
        updates.append(shaped(eta * d, params))
        p = place.moved(p, d, eta)
    return updates


# An inner product over all leaves multiplies each number, which may then be a small difference of large ones.
WHOLE = {"laws": (), "numbers_only": ("memory_size",), "fused": FUSED}
OPTIMIZER = {**WHOLE, "kind": "optimizer", "reference": lbfgs}
ROWS = [
    row("scale_by_lbfgs", traits={**WHOLE, "reference": scale_by_lbfgs}, memory_size=3),
    row("lbfgs", traits={**OPTIMIZER, "objective": bowl(3.0, 1.0), "differentiable": False}),
]
CASES = [
    row("scale_by_lbfgs", "identity", traits={"reference": scale_by_lbfgs}, memory_size=1, scale_init_precond=False),
    row(
        "lbfgs",
        "rate alone",
        traits={"reference": lbfgs},
        learning_rate=lambda count: 0.5 / (count + 1),
        memory_size=2,
        linesearch=None,
    ),
]

FILE = "factors/inverse_hessian.py"
LARGE = ("test_lbfgs.py::test_a_large_leaf_is_its_parts[complex]",)
GROWS = ("test_lbfgs.py::test_what_is_compiled_grows_as_the_leaves",)
MUTANTS = [
    Mutant("lbfgs: a pair of any sign", FILE, "(along > 0) & ", "", reference_of("scale_by_lbfgs")),
    Mutant("lbfgs: back by the same way", FILE, "(newest + 1 + i)", "(newest - i)", reference_of("scale_by_lbfgs")),
    Mutant(
        "lbfgs: the table's other half", FILE, "products[at] * a", "products[:, at] * a", reference_of("scale_by_lbfgs")
    ),
    Mutant("lbfgs: no y's product with r", FILE, "(on_y[at] + ", "(", reference_of("scale_by_lbfgs")),
    Mutant("lbfgs: a large leaf's imaginary part", FILE, "jnp.conj(x)", "x", LARGE),
    Mutant("lbfgs: n sums for each of n leaves", FILE, "once(products(s, y))", "products(s, y)", GROWS),
    Mutant("lbfgs: a first step of any length", FILE, "jnp.maximum(norm, one)", "one", reference_of("scale_by_lbfgs")),
    Mutant("lbfgs: the oldest pair stays", FILE, "last.pairs % old.rho.size", "0", reference_of("scale_by_lbfgs")),
    Mutant(
        "lbfgs: the identity is always fitted",
        FILE,
        "    if fitted:",
        "    if True:",
        case_of("scale_by_lbfgs[identity]"),
    ),
]
