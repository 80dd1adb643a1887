"""SOAP: Vyas et al. 2024, Algorithms 3 and 4, with Adam's corrections; the first gradient makes the bases alone."""

import math
from typing import Any

import numpy as np

from tests.registry.base import LEAVES, Mutant, case_of, reference_of, row
from tests.registry.muon import last_two
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, like, rising


def turn(left: np.ndarray | None, x: np.ndarray, right: np.ndarray | None) -> np.ndarray:
    """Return Q_L^T X Q_R; a side without a basis is left as it is."""
    x = x if left is None else left.T @ x
    return x if right is None else x @ right


class Basis:
    """One side's mean of products and its eigenvectors."""

    def __init__(self, size: int) -> None:
        """Start at 0."""
        self.mean, self.q = np.zeros((size, size)), np.eye(size)

    def add(self, square: np.ndarray, beta: float) -> None:
        """P = b P + (1-b) G G^T."""
        self.mean = beta * self.mean + (1 - beta) * square

    def renew(self, first: bool) -> None:
        """Take the eigenvectors of P at first, later the orthogonal factor of P Q."""
        self.q = np.linalg.eigh(self.mean)[1][:, ::-1] if first else np.linalg.qr(self.mean @ self.q)[0]


def soap_of_matrix(
    grads: list[np.ndarray], b1: Hyper, b2: Hyper, eps: Hyper, every: int, most: int, beta: Hyper
) -> Any:
    """Return the updates of one matrix."""
    rows, columns = grads[0].shape
    left = Basis(rows) if 1 < rows <= most else None
    right = Basis(columns) if 1 < columns <= most else None
    m, v = np.zeros((rows, columns)), np.zeros((rows, columns))
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2, s = at(b1, t), at(b2, t), t if left is None and right is None else t - 1
        q_l, q_r = (None if side is None else side.q for side in (left, right))
        u = np.zeros((rows, columns))
        if s > 0:
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * turn(q_l, g, q_r) ** 2
            m_hat, v_hat = turn(q_l, m, q_r) / (1 - beta1**s), v / (1 - beta2**s)
            sigma = np.sqrt(v_hat) + at(eps, t)
            n = np.where(sigma > 0, m_hat / np.where(sigma > 0, sigma, 1.0), 0.0)
            u = turn(None if q_l is None else q_l.T, n, None if q_r is None else q_r.T)
        updates.append(u)
        for side, square in ((left, g @ g.T), (right, g.T @ g)):
            if side is not None:
                side.add(square, at(beta, t))
                if s % every == 0:
                    side.renew(s == 0)
    return updates


def scale_by_soap(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.95,
    b2: Hyper = 0.95,
    eps: Hyper = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
    shampoo_beta: Hyper | None = None,
    weight_dimension_numbers: Any = None,
) -> list[Tree]:
    """Each matrix by itself; a vector is one number a matrix, which has no basis."""
    del weight_dimension_numbers  # the rows that give them say that the last two axes are the matrix's
    updates = [like(params) for _ in grads]
    beta = b2 if shampoo_beta is None else shampoo_beta
    for name, p in params.items():
        least = 2
        inner = np.shape(p)[-2:] if np.ndim(p) >= least else (1, 1)
        stacks = [np.reshape(g[name], (-1, *inner)) for g in grads]
        for i in range(math.prod(np.shape(p)) // math.prod(inner)):
            matrices = [stack[i] for stack in stacks]
            found = soap_of_matrix(matrices, b1, b2, eps, precondition_frequency, max_precond_dim, beta)
            for u, x in zip(updates, found, strict=True):
                np.reshape(u[name], (-1, *inner))[i] = x
    return updates


def soap(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.01,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t (N_t + weight_decay theta_{t-1})."""
    theta, updates = copy(params), []
    for t, s in enumerate(scale_by_soap(grads, params, **settings), start=1):
        u = {name: np.asarray(-at(learning_rate, t) * (x + at(weight_decay, t) * theta[name])) for name, x in s.items()}
        theta = {name: np.vectorize(store, otypes=[np.float64])(theta[name] + u[name]) for name in u}
        updates.append(u)
    return updates


# The first update of a matrix is 0. A basis makes a number of a matrix depend on all others. A side whose products have
# no rank yet has eigenvectors of rounding alone, so that rows with both sides stand among the cases.
FIXED = ("precondition_frequency", "max_precond_dim")
TRAITS = {
    "laws": (LEAVES,),
    "numbers_only": FIXED,
    "shapes": ("matrix", "vector", "scalar"),
    "first": 2,
    "differentiable": False,  # no derivative goes through a basis
}
SHORT = {"precondition_frequency": 2, "max_precond_dim": 2}
ROWS = [
    row("scale_by_soap", traits={**TRAITS, "reference": scale_by_soap, "hyper": "b2"}, **SHORT),
    row(
        "soap",
        traits={**TRAITS, "reference": soap, "kind": "optimizer", "hyper": "learning_rate"},
        learning_rate=0.1,
        **SHORT,
    ),
]
BOTH = {"precondition_frequency": 3, "shampoo_beta": 0.8}
CASES = [
    row("scale_by_soap", "both sides", traits={**TRAITS, "first": 1, "reference": scale_by_soap}, **BOTH),
    row(
        "scale_by_soap",
        "every step",
        traits={**TRAITS, "first": 1, "reference": scale_by_soap},
        precondition_frequency=1,
        max_precond_dim=8,  # the products of the longer side have no full rank yet
    ),
    row(
        "scale_by_soap",
        "no basis",
        traits={**TRAITS, "first": 1, "reference": scale_by_soap},
        max_precond_dim=1,
        b1=0.5,
    ),
    row(
        "scale_by_soap",
        "stacks",
        traits={**TRAITS, "first": 1, "reference": scale_by_soap, "shapes": ("stack",)},
        weight_dimension_numbers=last_two,
        **SHORT,
    ),
    row(
        "soap",
        "schedules",
        traits={**TRAITS, "first": 1, "reference": soap},
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        weight_decay=halving,
        shampoo_beta=rising,
        precondition_frequency=2,
    ),
]

FILE, BASIS_FILE = "methods/soap.py", "factors/eigenbasis.py"
MUTANTS = [
    Mutant(
        "soap: eigenvectors never renewed",
        FILE,
        "count % every == 0, 2, 0",
        "count < 0, 2, 0",
        reference_of("scale_by_soap"),
    ),
    Mutant("soap: no turn back", BASIS_FILE, "x = left @ x if", "x = x if", case_of("scale_by_soap[both sides]")),
    Mutant(
        "soap: a basis of the new mean at once",
        BASIS_FILE,
        "jnp.linalg.qr(x)[0]",
        "jnp.linalg.eigh(x)[1]",
        case_of("scale_by_soap[both sides]"),
    ),
    Mutant(
        "soap: moments of the first gradient",
        FILE,
        "jnp.where(later, 1.0, 0.0)",
        "jnp.where(later, 1.0, 1.0)",
        reference_of("scale_by_soap"),
    ),
    Mutant(
        "soap: weights of old and new changed over",
        "factors/kronecker.py",
        "keep * slots[name] + add * made",
        "add * slots[name] + keep * made",
        case_of("scale_by_soap[both sides]"),
    ),
]
