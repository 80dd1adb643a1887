"""L-BFGS: Nocedal & Wright 2006, Algorithm 7.4, of pairs with <s, y> > 0."""

from typing import Any

import numpy as np

from tests.registry.base import ELEMENTS, FUSED, row
from tests.registry.linesearch import along, bowl, zoom
from tests.registry.numbers import Hyper, Store, Tree, at


def flat(tree: Tree) -> np.ndarray:
    """Return a tree as one vector."""
    return np.concatenate([np.asarray(x, np.float64).reshape(-1) for x in tree.values()])


def shaped(vector: np.ndarray, tree: Tree) -> Tree:
    """Return a vector as a tree like another."""
    ends = np.cumsum([x.size for x in tree.values()])[:-1]
    parts = zip(tree.items(), np.split(vector, ends), strict=True)
    return {name: part.reshape(np.shape(x)) for (name, x), part in parts}


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
    inverse, x, updates = Inverse(memory_size, scale_init_precond), flat(params), []
    for g in grads:
        u = inverse.times(x, flat(g))
        updates.append(shaped(u, params))
        x = np.array([store(z) for z in x + u], np.float64)
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
    inverse, x, updates = Inverse(memory_size, scale_init_precond), flat(params), []
    for t, g in enumerate(grads, start=1):
        d = -inverse.times(x, flat(g)) * (1.0 if learning_rate is None else at(learning_rate, t))
        if linesearch is not None:
            d = d * zoom(along(flat(g) @ d, d @ d, curvature), 1.0, steps=20)[0]
        updates.append(shaped(d, params))
        x = np.array([store(z) for z in x + d], np.float64)
    return updates


WHOLE = {"laws": (ELEMENTS,), "numbers_only": ("memory_size",), "fused": FUSED}
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
