"""Lookahead: Zhang et al. 2019, Algorithm 1, round momentum, whose updates do not depend on the parameters."""

from typing import Any

from tests.registry.base import FUSED, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like
from tests.registry.sgd import sgd


def steps(grads: list[Tree], params: Tree, period: int) -> list[Tree]:
    """Return momentum's updates, at rest again after each period."""
    periods = [grads[i : i + period] for i in range(0, len(grads), period)]
    return [u for part in periods for u in sgd(part, params, learning_rate=0.1, momentum=0.9)]


def lookahead(
    grads: list[Tree],
    params: Tree,
    *,
    sync_period: int,
    slow_step_size: Hyper,
    reset_state: bool = False,
    store: Store = float,
) -> list[Tree]:
    """For i = 1..k: theta_i = theta_{i-1} + A(...); phi' = phi + alpha (theta_k - phi); theta_0' = phi'."""
    theta, phi, updates = copy(params), copy(params), []
    descents = steps(grads, params, sync_period if reset_state else len(grads))
    for t, d in enumerate(descents, start=1):
        u = like(params)
        for name, i in elements(params):
            new = theta[name][i] + d[name][i]
            if t % sync_period == 0:
                phi[name][i] += at(slow_step_size, t) * (new - phi[name][i])
                new = phi[name][i]
            u[name][i] = new - theta[name][i]
            theta[name][i] = store(theta[name][i] + u[name][i])
        updates.append(u)
    return updates


def round_momentum(library: Any, **settings: Any) -> Any:
    """Return momentum that looks ahead."""
    return library.lookahead(library.sgd(0.1, 0.9), **settings)


def round_any(library: Any, tx: Any) -> Any:
    """Return any optimizer in a period so long that it never returns."""
    return library.lookahead(tx, sync_period=1000, slow_step_size=0.5)


WRAPPER = {
    "reference": lookahead,
    "maker": round_momentum,
    "kind": "wrapper",
    "numbers_only": ("sync_period",),
    "position": True,
    "fused": FUSED,
}
ROWS = [
    row(
        "lookahead",
        traits={**WRAPPER, "hyper": "slow_step_size", "around": round_any},
        sync_period=2,
        slow_step_size=0.3,
    ),
    row("lookahead", "reset", traits=WRAPPER, sync_period=3, slow_step_size=0.5, reset_state=True),
]
CASES = [row("lookahead", "schedule", traits=WRAPPER, sync_period=2, slow_step_size=halving)]

FILE = "wrappers/lookahead.py"
MUTANTS = [
    Mutant("lookahead: returns a step early", FILE, "== sync_period - 1}", "== 0}", reference_of("lookahead")),
    Mutant(
        "lookahead: away from the step",
        FILE,
        " + k.slow_step_size * g",
        " - k.slow_step_size * g",
        reference_of("lookahead"),
    ),
    Mutant(
        "lookahead: the fast ones go on",
        FILE,
        "jnp.where(k.is_last, way, g)",
        "g",
        reference_of("lookahead"),
    ),
    Mutant("lookahead: never reset", FILE, "if self.reset_state:", "if False:", reference_of("lookahead[reset]")),
    Mutant(
        "lookahead: the first share for good",
        FILE,
        '{"slow_step_size": slow_step_size},',
        '{"slow_step_size": 0.5},',
        case_of("lookahead[schedule]"),
    ),
]
