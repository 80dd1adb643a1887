"""Sharpness-aware minimization: Foret et al. 2021, Algorithm 1; and the scaling of a gradient to norm 1."""

import math
from typing import Any

import numpy as np

from tests.registry.adam import adamw
from tests.registry.base import ELEMENTS, FUSED, Mutant, reference_of, row
from tests.registry.dog import squares
from tests.registry.numbers import Store, Tree, copy, like, ratio

RATE, DECAY, RHO, BETA = 0.1, 0.3, 0.5, 0.9


def normalize(grads: list[Tree], params: Tree) -> list[Tree]:
    """G / |g|."""
    del params
    return [{name: x * ratio(1.0, math.sqrt(squares(g))) for name, x in g.items()} for g in grads]


LITTLE = 2.0**-20  # half precision rounds where one has climbed to, which float64 does not


def taken(params: Any, i: Any) -> Any:
    """Return gradients that depend a little on these params, in float32 or wider."""
    import jax

    return jax.tree.map(lambda p: 2.0 + i + LITTLE * p.astype(np.promote_types(p.dtype, np.float32)), params)


class Uphill:
    """Normalised momentum: where it climbs to."""

    def __init__(self, params: Tree, store: Store) -> None:
        """Start at rest."""
        self.momentum, self.store = like(params), store

    def rest(self) -> None:
        """Start anew."""
        self.momentum = like(self.momentum)

    def climb(self, g: Tree) -> Tree:
        """Return rho times the momentum after this gradient."""
        per_norm = ratio(1.0, math.sqrt(squares(g)))
        self.momentum = {name: BETA * m + per_norm * g[name] for name, m in self.momentum.items()}
        return {name: RHO * m for name, m in self.momentum.items()}

    def moved(self, x: Tree, u: Tree) -> Tree:
        """Return x + u as it is stored."""
        return {name: np.vectorize(self.store, otypes=[float])(x[name] + u[name]) for name in x}


def sam(
    grads: list[Tree], params: Tree, *, sync_period: int = 2, reset_state: bool = True, store: Store = float
) -> list[Tree]:
    """Eps = rho g / |g|, w' = w - eta grad L(w + eps): AdamW below, normalised momentum above."""
    q, uphill = copy(params), Uphill(params, store)
    starts, used, updates = [], [], []
    for t, g in enumerate(grads):
        if t % sync_period == 0:
            starts.append(q)
        if t % sync_period < sync_period - 1:
            u = uphill.climb(g)
        else:
            used.append(g)
            step = at_positions(used, starts)[-1]
            u = {name: starts[-1][name] + step[name] - q[name] for name in g}
            if reset_state:
                uphill.rest()
        q = uphill.moved(q, u)
        updates.append(u)
    return updates


def opaque_sam(
    grads: list[Tree],
    params: Tree,
    *,
    opaque_mode: bool,
    sync_period: int = 2,
    reset_state: bool = True,
    store: Store = float,
) -> list[Tree]:
    """Climb and descend in each step, by gradients that `taken` gives."""
    assert opaque_mode
    q, uphill = copy(params), Uphill(params, store)
    starts, used, updates = [], [], []
    for g in grads:
        y = q
        for i in range(sync_period - 1):
            y = uphill.moved(y, uphill.climb(g))
            g = {name: 2.0 + i + LITTLE * p for name, p in y.items()}  # the paper's g too
        starts.append(q)
        used.append(g)
        updates.append(at_positions(used, starts)[-1])
        q = uphill.moved(q, updates[-1])
        if reset_state:
            uphill.rest()
    return updates


def at_positions(grads: list[Tree], positions: list[Tree]) -> list[Tree]:
    """Return AdamW's updates for gradients at given positions: its decay is that of the position."""
    plain = adamw(grads, positions[0], learning_rate=RATE, weight_decay=0.0)
    return [{name: u[name] - RATE * DECAY * p[name] for name in u} for u, p in zip(plain, positions, strict=True)]


def round_both(library: Any, **settings: Any) -> Any:
    """Return AdamW against normalised momentum."""
    named = library if hasattr(library, "sam") else library.contrib
    uphill = library.chain(named.normalize(), library.sgd(RHO, BETA))
    return named.sam(library.adamw(RATE, weight_decay=DECAY), uphill, **settings)


def round_any(library: Any, tx: Any) -> Any:
    """Return any optimizer, and an adversary that has no step in a period of one."""
    return library.sam(tx, library.chain(library.normalize(), library.sgd(RHO)), sync_period=1)


WRAPPER = {
    "reference": sam,
    "maker": round_both,
    "kind": "wrapper",
    "laws": (ELEMENTS,),  # the adversary takes the norm of all leaves
    "numbers_only": ("sync_period",),
    "position": True,
    "fused": FUSED,
}
OPAQUE = {**WRAPPER, "reference": opaque_sam, "extra": {"grad_fn": taken}, "optax": True}
ROWS = [
    row("normalize", traits={"reference": normalize, "laws": (ELEMENTS,), "optax": True}),
    row("sam", traits={**WRAPPER, "optax": True, "around": round_any}),
    row("sam", "opaque", traits=OPAQUE, sync_period=3, opaque_mode=True),
]
CASES = [
    row("sam", "three steps", traits={**WRAPPER, "optax": True}, sync_period=3, reset_state=False),
    row("sam", "one step", traits=WRAPPER, sync_period=1),
    row("sam", "opaque, not reset", traits=OPAQUE, reset_state=False, opaque_mode=True),
    row("normalize", "units", traits={"power": 0, "laws": (ELEMENTS,)}),
]

FILE = "wrappers/sam.py"
MUTANTS = [
    Mutant("sam: stays uphill", FILE, "start - p + g", "g", reference_of("sam")),
    Mutant("sam: climbs downhill", FILE, "start - p + g, -g)", "start - p + g, g)", reference_of("sam")),
    Mutant(
        "sam: decays where it climbed to",
        FILE,
        "optimizer, start(),",
        "optimizer, params,",
        reference_of("sam"),
    ),
    Mutant(
        "sam: never reset",
        FILE,
        "restarted() if self.reset_state else adversary",
        "adversary",
        reference_of("sam"),
    ),
    Mutant("sam: opaque, downhill", FILE, "jax.tree.map(jnp.negative, u)", "u", reference_of("sam[opaque]")),
    Mutant(
        "sam: a step of both rates",
        FILE,
        "in_row: bool = False",
        "in_row: bool = True",
        ("test_sam_and_mechanize.py::test_watch_reads_no_rate_where_two_optimizers_take_turns",),
    ),
]
