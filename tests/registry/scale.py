"""Gradient descent's parts: pass on, multiply by a factor, a schedule or minus the rate. Robbins & Monro 1951."""

from tests.registry.base import Mutant, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, rising


def identity(grads: list[Tree], params: Tree) -> list[Tree]:
    """Return u = g."""
    del params
    return [{name: g.copy() for name, g in step.items()} for step in grads]


def scale(grads: list[Tree], params: Tree, *, step_size: Hyper) -> list[Tree]:
    """u_t = step_size_t g_t."""
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            u[name][i] = at(step_size, t) * g[name][i]
        updates.append(u)
    return updates


def scale_by_learning_rate(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, flip_sign: bool = True
) -> list[Tree]:
    """u_t = -eta_t g_t, or +eta_t g_t."""
    sign = -1.0 if flip_sign else 1.0
    return scale(grads, params, step_size=lambda count: sign * at(learning_rate, count + 1))


def scale_by_schedule(grads: list[Tree], params: Tree, *, step_size_fn: Hyper) -> list[Tree]:
    """u_t = f(t - 1) g_t."""
    return scale(grads, params, step_size=step_size_fn)


ROWS = [
    row("identity", traits={"reference": identity, "keeps_dtype": True, "power": 1, "optax": True}),
    row("scale", traits={"reference": scale, "hyper": "step_size", "power": 1, "optax": True}, step_size=-0.5),
    row(
        "scale_by_learning_rate",
        traits={"reference": scale_by_learning_rate, "hyper": "learning_rate", "power": 1, "optax": True},
        learning_rate=0.1,
    ),
    row(
        "scale_by_learning_rate",
        "ascent",
        traits={"reference": scale_by_learning_rate, "optax": True},
        learning_rate=0.1,
        flip_sign=False,
    ),
    row("scale_by_schedule", traits={"reference": scale_by_schedule, "optax": True}, step_size_fn=halving),
]
CASES = [row("scale", "schedules", traits={"reference": scale}, step_size=rising)]

FILE = "schedules/apply.py"
MUTANTS = [
    Mutant(
        "rate: sign",
        FILE,
        "-1.0 if flip_sign else 1.0",
        "1.0 if flip_sign else -1.0",
        reference_of("scale_by_learning_rate"),
    ),
    Mutant(
        "rate: always descends",
        FILE,
        "-1.0 if flip_sign else 1.0",
        "-1.0",
        reference_of("scale_by_learning_rate[ascent]"),
    ),
]
