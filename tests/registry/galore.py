"""GaLore: Zhao et al. 2024, Algorithm 2, with the longer side projected, as optax does, and signs of our own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.registry.adam import scale_by_adam
from tests.registry.base import LEAVES, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy


def directions(g: np.ndarray, rank: int) -> np.ndarray:
    """Return the first singular vectors of the longer side, their largest number positive."""
    left, _, right = np.linalg.svd(g, full_matrices=False)
    found = (left if g.shape[0] >= g.shape[1] else right.T)[:, :rank]
    return found * np.sign(found[np.argmax(np.abs(found), axis=0), np.arange(found.shape[1])])


def sums(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return momentum, m_t = m_{t-1} / 2 + g_t, as a base optimizer."""
    del params
    m = {name: np.zeros(np.shape(x)) for name, x in grads[0].items()}
    out = []
    for g in grads:
        m = {name: m[name] / 2 + g[name] for name in g}
        out.append(m)
    return out


def scale_by_galore(
    grads: list[Tree],
    params: Tree,
    *,
    rank: int,
    update_proj_gap: int = 200,
    scale: Hyper = 1.0,
    base: Callable[..., list[Tree]] = scale_by_adam,
    base_optimizer: Any = None,
) -> list[Tree]:
    """R_t = P^T G_t, N_t of R_t by the base, G~_t = alpha P N_t."""
    del base_optimizer
    projectors: list[dict[str, np.ndarray]] = []
    for t, g in enumerate(grads):
        new = {name: directions(x, rank) for name, x in g.items() if np.ndim(x) == 2}  # a matrix
        projectors.append(new if t % update_proj_gap == 0 else projectors[-1])

    def low(g: Tree, p: dict[str, np.ndarray]) -> Tree:
        return {n: x if n not in p else p[n].T @ x if x.shape[0] >= x.shape[1] else x @ p[n] for n, x in g.items()}

    small = [low(g, p) for g, p in zip(grads, projectors, strict=True)]
    updates = []
    for t, (u, p) in enumerate(zip(base(small, small[0]), projectors, strict=True), start=1):
        full = dict(u)
        for name in p:
            tall = np.shape(params[name])[0] >= np.shape(params[name])[1]
            full[name] = at(scale, t) * (p[name] @ u[name] if tall else u[name] @ p[name].T)
        updates.append(full)
    return updates


def galore(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    store: Store = float,
    **settings: Any,
) -> list[Tree]:
    """theta_{t+1} = theta_t - eta_t (G~_t + lambda theta_t)."""
    x, updates = copy(params), []
    for t, d in enumerate(scale_by_galore(grads, params, **settings), start=1):
        u = {n: -at(learning_rate, t) * (d[n] + at(weight_decay, t) * x[n]) for n in x}
        x = {n: np.vectorize(lambda y: float(store(y)), otypes=[float])(x[n] + u[n]) for n in x}
        updates.append(u)
    return updates


def with_sums(library: Any, **settings: Any) -> Any:
    """Return GaLore over momentum."""
    return library.scale_by_galore(base_optimizer=library.trace(0.5), **settings)


def over_sums(grads: list[Tree], params: Tree, **settings: Any) -> list[Tree]:
    """Return the reference over momentum."""
    return scale_by_galore(grads, params, base=sums, **settings)


MATRICES = {
    "laws": (LEAVES,),
    "shapes": ("matrix", "vector", "scalar"),
    "numbers_only": ("rank", "update_proj_gap"),
    "differentiable": False,  # the directions count as constant
}
ROWS = [
    row(
        "scale_by_galore",
        traits={**MATRICES, "reference": scale_by_galore, "hyper": "scale"},
        rank=1,
        update_proj_gap=3,
        scale=0.25,
    ),
    row(
        "galore",
        traits={**MATRICES, "reference": galore, "kind": "optimizer", "hyper": "learning_rate"},
        learning_rate=0.1,
        rank=2,
        weight_decay=0.01,
    ),
]
CASES = [
    row(
        "scale_by_galore",
        "over momentum",
        traits={**MATRICES, "reference": over_sums, "maker": with_sums},
        rank=1,
        update_proj_gap=2,
    ),
    row(
        "galore",
        "schedules",
        traits={**MATRICES, "reference": galore},
        learning_rate=lambda count: 0.5 / (count + 1),
        scale=lambda count: 1.0 + count,
        rank=1,
    ),
]

FILE = "factors/low_rank.py"
MUTANTS = [
    Mutant(
        "galore: the shorter side", FILE, "shape[-2] >= shape[-1]", "shape[-2] <= shape[-1]", reference_of("galore")
    ),
    Mutant(
        "galore: the last directions", FILE, "found[..., :rank]", "found[..., -rank:]", reference_of("scale_by_galore")
    ),
    Mutant(
        "galore: chosen a step late", FILE, "count % self.gap == 0", "count % self.gap == 1", reference_of("galore")
    ),
    Mutant(
        "galore: scaled everywhere",
        FILE,
        "out[i], promoted",
        "scale * out[i], promoted",
        reference_of("scale_by_galore"),
    ),
    Mutant(
        "galore: a sign of the machine",
        FILE,
        "found * jnp.sign(largest).conj()",
        "found",
        case_of("scale_by_galore[over momentum]"),
    ),
]
