"""Adafactor: Shazeer & Stern 2018, Algorithm 4 for matrices and Algorithm 5 for the rest, in sums as they write them.

beta2_t = 1 - t^-0.8 and the constants are those of Algorithm 6. Momentum, m = b1 m + (1-b1) step, and the decay of the
parameter, outside the rate, are optax's; the paper's algorithm has neither.
"""

import math
from functools import partial

import numpy as np

from tests.registry.base import FUSED, LEAVES, Mutant, Speed, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, like, rising


def rms(x: np.ndarray) -> float:
    """Return the root mean square of one array."""
    return math.sqrt(math.fsum(x.reshape(-1) ** 2) / x.size)


def over(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return g / sqrt(v), 0 where v is 0."""
    return np.where(v == 0, 0.0, g / np.sqrt(np.where(v == 0, 1.0, v)))


def scale_by_factored_rms(
    grads: list[Tree],
    params: Tree,
    *,
    decay_rate: Hyper = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: Hyper = 1e-30,
) -> list[Tree]:
    """R = b R + (1-b) (G^2 + e1) 1_m; C = b C + (1-b) 1_n^T (G^2 + e1); V = R C / 1_n^T R; U = G / sqrt(V)."""
    row, column, v = {}, {}, like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        b = 1 - max(t - step_offset, 1) ** -at(decay_rate, t)
        u = like(params)
        for name, g_t in g.items():
            squared = g_t**2 + at(epsilon, t)
            if g_t.ndim == 2 and min(g_t.shape) >= min_dim_size_to_factor:
                n, m = g_t.shape
                row[name] = b * row.get(name, np.zeros((n, 1))) + (1 - b) * squared @ np.ones((m, 1))
                column[name] = b * column.get(name, np.zeros((1, m))) + (1 - b) * np.ones((1, n)) @ squared
                v[name] = row[name] @ column[name] / (np.ones((1, n)) @ row[name])
            else:
                v[name] = b * v[name] + (1 - b) * squared
            u[name] = over(g_t, v[name])
        updates.append(u)
    return updates


def clip_by_block_rms(grads: list[Tree], params: Tree, *, threshold: Hyper) -> list[Tree]:
    """U / max(1, RMS(U) / d)."""
    del params
    return [{name: x / max(1.0, rms(x) / at(threshold, t)) for name, x in g.items()} for t, g in enumerate(grads, 1)]


def scale_by_param_block_rms(
    grads: list[Tree], params: Tree, *, min_scale: Hyper = 1e-3, store: Store = np.float64
) -> list[Tree]:
    """U max(e2, RMS(X)); `store` rounds the parameter after each step."""
    p, updates = copy(params), []
    for t, g in enumerate(grads, start=1):
        updates.append({name: x * max(at(min_scale, t), rms(p[name])) for name, x in g.items()})
        p = {name: np.asarray(store(p[name] + u), np.float64) for name, u in updates[-1].items()}
    return updates


def adafactor(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1.0,
    clipping_threshold: float | None = 1.0,
    momentum: Hyper | None = None,
    weight_decay_rate: Hyper = 0.0,
    store: Store = np.float64,
    store_mu: Store = np.float64,
    **settings: float,
) -> list[Tree]:
    """X_t = X_{t-1} - rho_t max(e2, RMS(X_{t-1})) U_t / max(1, RMS(U_t) / d)."""
    scaled = scale_by_factored_rms(grads, params, **settings)
    clipped = clip_by_block_rms(scaled, params, threshold=clipping_threshold or math.inf)
    p, mean, updates = copy(params), like(params), []
    for t, u in enumerate(clipped, start=1):
        new = {}
        for name, x in u.items():
            step = at(learning_rate, t) * max(1e-3, rms(p[name])) * x
            if momentum is not None:
                step = at(momentum, t) * mean[name] + (1 - at(momentum, t)) * step
                mean[name] = np.asarray(store_mu(step), np.float64)
            new[name] = -(step + at(weight_decay_rate, t) * p[name])
        p = {name: np.asarray(store(p[name] + x), np.float64) for name, x in new.items()}
        updates.append(new)
    return updates


def in_optax_names(grads: list[Tree], params: Tree, *, eps: Hyper, **settings: Hyper) -> list[Tree]:
    """Adafactor with the small number by optax's name for the optimizer."""
    return adafactor(grads, params, epsilon=eps, store_mu=np.float32, **settings)


SIZE = {"numbers_only": ("min_dim_size_to_factor",)}  # it decides on the shapes of slots
FACTORED = {**SIZE, "laws": (LEAVES,)}  # sigma is made of one number per row and one per column
# XLA counts also the branch that is not taken, that of a norm of the parameter beyond the range of float32
ONE_LEAF = Speed(4_200_000, 12 / 3, fused=None, shape=(1000, 1000))
MEAN = partial(adafactor, store_mu=np.float32)  # the momentum is stored in float32
ROWS = [
    row(
        "scale_by_factored_rms",
        traits={**SIZE, "reference": scale_by_factored_rms, "hyper": "decay_rate", "fused": FUSED},
    ),
    row(
        "scale_by_factored_rms",
        "factored",
        traits={**FACTORED, "reference": scale_by_factored_rms, "fused": FUSED},
        min_dim_size_to_factor=2,
        step_offset=2,
    ),
    row(
        "adafactor",
        # g / sigma is written out for its root mean square, one leaf after another
        traits={**SIZE, "reference": adafactor, "kind": "optimizer", "hyper": "learning_rate", "speed": ONE_LEAF},
        learning_rate=0.1,
    ),
    row(
        "adafactor",
        "factored with momentum",
        traits={**FACTORED, "reference": MEAN, "kind": "optimizer", "stored": {"mu": "float32"}},
        learning_rate=0.1,
        min_dim_size_to_factor=2,
        momentum=0.9,
        weight_decay_rate=1e-4,
    ),
]
CASES = [
    row(
        "adafactor",
        "schedules",
        traits={"reference": in_optax_names},
        learning_rate=halving,
        decay_rate=rising,
        momentum=rising,
        weight_decay_rate=halving,
        eps=halving,
    ),
]

FILE = "factors/factored_rms.py"
MUTANTS = [
    Mutant(
        "adafactor: not divided by the whole mean",
        FILE,
        "divide(root(in_turn(v_row, k.turn)), root(whole))",
        "root(v_row)",
        reference_of("scale_by_factored_rms[factored]"),
    ),
    Mutant("adafactor: a steady decay", FILE, "** -k.decay_rate", "** -0.0", reference_of("scale_by_factored_rms")),
    Mutant(
        "adafactor: the offset ignored",
        FILE,
        "steps(count) - k.step_offset",
        "steps(count)",
        reference_of("scale_by_factored_rms[factored]"),
    ),
    Mutant(
        "adafactor: divided after the sum",
        "_core/arrays/mean_squares.py",
        "jnp.sum(x * (1.0 / max(x.shape[axis], 1)), axis, keepdims=keepdims)",
        "jnp.sum(x, axis, keepdims=keepdims) * (1.0 / max(x.shape[axis], 1))",
        ("test_adafactor.py::test_updates_stay_finite",),
    ),
    Mutant(
        "adafactor: never relative",
        "methods/adafactor.py",
        "if multiply_by_parameter_scale:",
        "if not multiply_by_parameter_scale:",
        reference_of("adafactor"),
    ),
]
