"""Muon: Jordan et al. 2024, with a debiased mean as the momentum, and the factors of Liu et al. 2025."""

from typing import Any, NamedTuple

import numpy as np

from tests.registry.adam import scale_by_adam
from tests.registry.base import ELEMENTS, LEAVES, Mutant, Row, case_of, reference_of, row
from tests.registry.ema import ema
from tests.registry.numbers import Hyper, Store, Tree, at, copy, halving, like, rising

STEP = (3.4445, -4.775, 2.0315)


def over(h: np.ndarray, preconditioning: str, eps: float) -> np.ndarray:
    """Divide a matrix by what bounds its singular values by 1."""
    s = np.linalg.svd(h, compute_uv=False)
    if preconditioning == "aol":  # a number for each row of the wide form
        turn = h.shape[0] > h.shape[1]
        wide = h.T if turn else h
        rows = np.maximum(np.sqrt(np.sum(np.abs(wide @ wide.T), axis=1, keepdims=True)), eps)
        wide = wide / np.where(rows, rows, 1.0)
        return wide.T if turn else wide
    norms = {
        "frobenius": np.sqrt(np.sum(s**2)) + eps,
        "spectral": s.max() + eps,
        "schatten": max(np.sum(s**4) ** 0.25, eps),
    }
    return h / norms[preconditioning] if norms[preconditioning] else h


def newton_schulz(h: np.ndarray, steps: int, eps: float, preconditioning: str = "frobenius") -> np.ndarray:
    """NewtonSchulz5 of the post, through the singular values: each step maps s to a s + b s^3 + c s^5."""
    left, s, right = np.linalg.svd(over(h, preconditioning, eps), full_matrices=False)
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
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
) -> list[Tree]:
    """O_t = NewtonSchulz5(B_t), B_t the momentum; an array of 3 dimensions is a stack of such matrices."""
    del weight_dimension_numbers  # the rows that give them say that the last two axes are the matrix's
    ahead = ema(grads, params, decay=beta, nesterov=nesterov)
    updates = []
    for t, h in enumerate(ahead, start=1):
        u = like(params)
        for name, x in h.items():
            for i in np.ndindex(x.shape[:-2]):
                u[name][i] = newton_schulz(x[i], ns_steps, at(eps, t), preconditioning)
                u[name][i] *= np.sum(u[name][i] * x[i]) if adaptive else 1.0
        updates.append(u)
    return updates


def scale_by_shape(
    grads: list[Tree], params: Tree, *, weight_dimension_numbers: Any = None, consistent_rms: Hyper | None = None
) -> list[Tree]:
    """Multiply by sqrt(max(1, fan out / fan in)), or by rms sqrt(max(fan in, fan out))."""
    del params, weight_dimension_numbers
    updates = []
    for t, g in enumerate(grads, start=1):
        u = {}
        for name, x in g.items():
            rows, columns = x.shape[-2:]
            factor = max(1, columns / rows) ** 0.5
            u[name] = x * (factor if consistent_rms is None else at(consistent_rms, t) * max(rows, columns) ** 0.5)
        updates.append(u)
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
    muon_weight_dimension_numbers: Any = None,
    store: Store = float,
    **settings: float,
) -> list[Tree]:
    """Muon at matrices, and at stacks of them where dimension numbers are given; AdamW with a look ahead elsewhere."""
    least = 2
    matrices = [name for name, p in params.items() if np.ndim(p) >= least]
    of_muon = scale_by_muon(
        [{name: g[name] for name in matrices} for g in grads], {name: params[name] for name in matrices}, **settings
    )
    shaped = scale_by_shape(of_muon, params, consistent_rms=consistent_rms)
    of_adam = scale_by_adam(grads, params, nesterov=True)
    theta = copy(params)
    updates = []
    for t in range(1, len(grads) + 1):
        u = like(params)
        for name in params:
            eta, decay, x = at(learning_rate, t), at(adam_weight_decay, t), of_adam[t - 1][name]
            if name in matrices:
                decay, x = at(weight_decay, t), shaped[t - 1][name]
            elif adam_learning_rate is not None:
                eta = at(adam_learning_rate, t)
            u[name] = np.asarray(-eta * (x + decay * theta[name]))
            theta[name] = np.vectorize(store, otypes=[np.float64])(theta[name] + u[name])
        updates.append(u)
    return updates


class Dims(NamedTuple):
    """Dimension numbers as a user may write them: the last two axes, or others."""

    reduction_axis: Any = -2
    output_axis: Any = -1


def last_two(params: Any) -> Any:
    """Return dimension numbers at each array of 2 dimensions or more, None elsewhere."""
    if hasattr(params, "shape"):
        return Dims() if len(params.shape) > 1 else None
    if isinstance(params, dict):
        return {name: last_two(p) for name, p in params.items()}
    return [last_two(p) for p in params] if isinstance(params, list) else None


def of_library(library: Any, **settings: Any) -> Any:
    """Return Muon of either library, told of the axes in its own words."""
    own = library if hasattr(library, "muon") else library.contrib
    dims = settings.pop("axes")
    numbers = {name: None if axes is None else own.MuonDimensionNumbers(*axes) for name, axes in dims.items()}
    return own.muon(muon_weight_dimension_numbers=numbers, **settings)


MATRICES = {"laws": (LEAVES,), "numbers_only": ("ns_steps",)}  # an orthogonal factor mixes the elements of its matrix
FLAT = {"shapes": ("vector", "scalar", "matrix")}  # a stack needs dimension numbers
OPTIMIZER = {**MATRICES, **FLAT, "reference": muon, "kind": "optimizer"}
OPTAX = {**MATRICES, **FLAT, "optax": True}
STACKS = {"shapes": ("matrix", "stack")}
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
        traits={**MATRICES, "reference": scale_by_muon, **STACKS, "hyper": "beta"},
        weight_dimension_numbers=last_two,
    ),
    row(
        "scale_by_shape",
        traits={**STACKS, "laws": (LEAVES, ELEMENTS), "power": 1, "reference": scale_by_shape},
        consistent_rms=0.2,
        weight_dimension_numbers=last_two,
    ),
]
CASES = [
    row("muon", "schedules", traits=OPTIMIZER, learning_rate=halving, beta=rising, adam_learning_rate=rising),
    row("muon", "as optax", traits=OPTAX, learning_rate=0.1),
    row(
        "muon",
        "optax, adaptive",
        traits=OPTAX,
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
        traits=OPTAX,
        learning_rate=0.1,
        ns_coeffs=((2.0, -1.5, 0.5), (1.5, -0.5, 0.0)),
        consistent_rms=0.2,
        adam_learning_rate=0.01,
    ),
    row(
        "muon",
        "optax, mask",
        traits=OPTAX,
        learning_rate=0.1,
        weight_decay=0.1,
        weight_decay_mask={"gain": True, "bias": True, "kernel": False, "large": False},
    ),
    row(
        "muon",
        "stacks",
        traits={**MATRICES, **STACKS, "reference": muon},
        learning_rate=halving,
        adaptive=True,
        muon_weight_dimension_numbers=last_two,
    ),
    *[
        row(
            "scale_by_muon",
            how,
            traits={**MATRICES, **STACKS, "reference": scale_by_muon},
            preconditioning=how,
            weight_dimension_numbers=last_two,
        )
        for how in ("spectral", "aol", "schatten")
    ],
    row(
        "scale_by_shape", "by width", traits={**STACKS, "reference": scale_by_shape}, weight_dimension_numbers=last_two
    ),
    *[
        Row(
            "muon",
            f"optax, {how}, axes",
            {"learning_rate": 0.1, "preconditioning": how, **more},
            maker=of_library,
            laws=(LEAVES,),
            shapes=("matrix", "stack"),
            optax=True,
        )
        for how, more in (
            (
                "frobenius",
                {"axes": {"kernel": None, "wide": (1, 0), "stack": (0, (1, 2)), "large": (0, 1)}, "weight_decay": 0.1},
            ),
            ("spectral", {"axes": {"kernel": (0, 1), "wide": (-1, -2), "stack": ((0, 2), 1), "large": (1, 0)}}),
            (
                "aol",
                {"axes": {"kernel": (0, 1), "wide": (0, 1), "stack": (-2, -1), "large": (0, 1)}, "ns_coeffs": "dion"},
            ),
            (
                "schatten",
                {"axes": {"kernel": (0, 1), "wide": (0, 1), "stack": (2, 0), "large": (0, 1)}, "consistent_rms": 0.2},
            ),
        )
    ],
]


def proof(name: str) -> tuple[str, ...]:
    """Return this test of what the core can hold."""
    return (f"test_proofs.py::test_{name}",)


FILE, STEPS_FILE = "factors/orthogonal_momentum.py", "factors/newton_schulz.py"
MUTANTS = [
    Mutant("muon: no cube", STEPS_FILE, "b * square + c * (", "c * (", reference_of("muon")),
    Mutant(
        "muon: fan in over fan out",
        "factors/shape.py",
        "fan_in, fan_out = fans(",
        "fan_out, fan_in = fans(",
        reference_of("muon"),
    ),
    Mutant(
        "muon: one dual norm for a stack",
        FILE,
        "[i + 1 for i in (*axes.rows, *axes.columns)], ",
        "",
        case_of("muon[stacks]"),
    ),
    Mutant(
        "muon: rows bounded by columns",
        STEPS_FILE,
        "norm = root(jnp.sum(size, -1, keepdims=True))",
        "norm = root(jnp.sum(abs_sq(x), -1, keepdims=True))",
        case_of("scale_by_muon[aol]"),
    ),
    Mutant(
        "muon: leaves of one shape change places",
        STEPS_FILE,
        "for i, part in zip(group,",
        "for i, part in zip(group[::-1],",
        proof("muon_joins_equal_shapes"),
    ),
    Mutant("muon: looks ahead with t", FILE, "unbias(k.beta, t + 1.0)", "unbias(k.beta, t)", reference_of("muon")),
    Mutant(
        "muon: squares of the gradient's own unit",
        STEPS_FILE,
        "jnp.where(largest > 0, largest, jnp.ones_like(largest))",
        "largest * 0 + 1.0",
        proof("large_matrices_do_not_overflow"),
    ),
]
