"""Muon: Jordan et al. 2024, with a debiased mean as the momentum, and the factors of Liu et al. 2025."""

import numpy as np

from tests.registry.adam import scale_by_adam
from tests.registry.base import LEAVES, Mutant, reference_of, row
from tests.registry.ema import ema
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, like, rising

STEP = (3.4445, -4.775, 2.0315)


def newton_schulz(h: np.ndarray, steps: int, eps: float) -> np.ndarray:
    """NewtonSchulz5 of the post, through the singular values: each step maps s to a s + b s^3 + c s^5."""
    left, s, right = np.linalg.svd(h, full_matrices=False)
    length = np.sqrt(np.sum(s**2)) + eps
    s = s / length if length else s
    a, b, c = STEP
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (left * s) @ right


def scale_by_muon(
    grads: list[Tree],
    params: Tree,
    *,
    ns_steps: int = 5,
    beta: Hyper = 0.95,
    eps: Hyper = 1e-8,
    nesterov: bool = True,
    adaptive: bool = False,
) -> list[Tree]:
    """O_t = NewtonSchulz5(B_t), B_t the momentum; only for matrices."""
    ahead = ema(grads, params, decay=beta, nesterov=nesterov)
    updates = []
    for t, h in enumerate(ahead, start=1):
        u = {name: newton_schulz(x, ns_steps, at(eps, t)) for name, x in h.items()}
        updates.append({name: x * np.sum(x * h[name]) if adaptive else x for name, x in u.items()})
    return updates


def muon(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    adam_weight_decay: Hyper = 0.0,
    adam_learning_rate: Hyper | None = None,
    consistent_rms: float | None = None,
    store: Store = float,
    **settings: float,
) -> list[Tree]:
    """Muon at matrices, AdamW with a look ahead elsewhere."""
    matrices = [name for name, p in params.items() if np.ndim(p) == 2]
    of_muon = scale_by_muon(
        [{name: g[name] for name in matrices} for g in grads], {name: params[name] for name in matrices}, **settings
    )
    of_adam = scale_by_adam(grads, params, nesterov=True)
    theta = copy(params)
    updates = []
    for t in range(1, len(grads) + 1):
        u = like(params)
        for name in params:
            eta, decay, x = at(learning_rate, t), at(adam_weight_decay, t), of_adam[t - 1][name]
            if name in matrices:
                rows, columns = np.shape(params[name])
                factor = max(1, columns / rows) ** 0.5
                if consistent_rms is not None:
                    factor = consistent_rms * max(rows, columns) ** 0.5
                decay, x = at(weight_decay, t), factor * of_muon[t - 1][name]
            elif adam_learning_rate is not None:
                eta = at(adam_learning_rate, t)
            u[name] = np.asarray(-eta * (x + decay * theta[name]))
            theta[name] = np.vectorize(store, otypes=[np.float64])(theta[name] + u[name])
        updates.append(u)
    return updates


MATRICES = {"laws": (LEAVES,), "numbers_only": ("ns_steps",)}  # an orthogonal factor mixes the elements of its matrix
OPTIMIZER = {**MATRICES, "reference": muon, "kind": "optimizer"}
ROWS = [
    row("muon", traits={**OPTIMIZER, "hyper": "learning_rate"}, learning_rate=0.1, weight_decay=0.01),
    row(
        "muon",
        "two rates",
        traits=OPTIMIZER,
        learning_rate=0.1,
        adam_learning_rate=0.02,
        adam_weight_decay=0.1,
        adaptive=True,
        consistent_rms=0.2,
    ),
    row(
        "scale_by_muon",
        traits={**MATRICES, "reference": scale_by_muon, "shapes": ("matrix",), "hyper": "beta"},
    ),
]
CASES = [
    row("muon", "schedules", traits=OPTIMIZER, learning_rate=halving, beta=rising, adam_learning_rate=rising),
    row("muon", "as optax", traits={**MATRICES, "optax": True}, learning_rate=0.1),
    row(
        "muon",
        "optax, adaptive",
        traits={**MATRICES, "optax": True},
        learning_rate=0.1,
        nesterov=False,
        adaptive=True,
        weight_decay=0.1,
        adam_weight_decay=0.05,
        eps=1e-3,
    ),
    row(
        "muon",
        "optax, coefficients",
        traits={**MATRICES, "optax": True},
        learning_rate=0.1,
        ns_coeffs=((2.0, -1.5, 0.5), (1.5, -0.5, 0.0)),
        consistent_rms=0.2,
        adam_learning_rate=0.01,
    ),
    row(
        "muon",
        "optax, mask",
        traits={**MATRICES, "optax": True},
        learning_rate=0.1,
        weight_decay=0.1,
        weight_decay_mask={"gain": True, "bias": True, "kernel": False},
    ),
]


def proof(name: str) -> tuple[str, ...]:
    """Return this test of what the core can hold."""
    return (f"test_proofs.py::test_{name}",)


FILE = "methods/muon.py"
MUTANTS = [
    Mutant("muon: no cube", FILE, "b * square + c *", "c *", reference_of("muon")),
    Mutant(
        "muon: fan in over fan out",
        FILE,
        "fan_in, fan_out = g.shape",
        "fan_out, fan_in = g.shape",
        reference_of("muon"),
    ),
    Mutant("muon: looks ahead with t", FILE, "unbias(k.beta, t + 1.0)", "unbias(k.beta, t)", reference_of("muon")),
    Mutant(
        "muon: squares of the gradient's own unit",
        FILE,
        "jnp.where(largest > 0, largest, 1.0)",
        "largest * 0 + 1.0",
        proof("large_matrices_do_not_overflow"),
    ),
]
