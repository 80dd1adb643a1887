"""Schedule-free learning: Defazio et al. 2024, Section 3, weights (largest rate so far)^power."""

import math
from collections.abc import Callable
from typing import Any

from tests.registry.base import FUSED, Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, from_zero, halving, like, ratio, rising


def schedule_free(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    b1: Hyper = 0.9,
    weight_lr_power: Hyper = 2.0,
    direction: Callable[[Tree, Tree, int], Tree] | None = None,
    store: Store = float,
) -> list[Tree]:
    """Return the steps of y = (1-b) z + b x, z' = z - gamma grad f(y), x' = (1-c) x + c z'; x is kept."""
    x, y, z = copy(params), copy(params), copy(params)
    total, largest, updates = 0.0, 0.0, []
    for t, g in enumerate(grads, start=1):
        d = direction(g, y, t) if direction is not None else g
        largest = max(largest, at(learning_rate, t))
        weight = largest ** at(weight_lr_power, t)
        total += weight
        c, u = ratio(weight, total), like(params)
        for name, i in elements(params):
            z[name][i] -= at(learning_rate, t) * d[name][i]
            x[name][i] = (1 - c) * x[name][i] + c * z[name][i]
            new = (1 - at(b1, t)) * z[name][i] + at(b1, t) * x[name][i]
            u[name][i] = new - y[name][i]
            y[name][i] = store(new)
        updates.append(u)
    return updates


def warmed(learning_rate: Hyper, warmup_steps: int | None) -> Hyper:
    """Return the rate after a straight line from 0."""
    if warmup_steps is None:
        return learning_rate
    return lambda count: at(learning_rate, 1) * min(count / warmup_steps, 1.0)


def schedule_free_sgd(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1.0,
    warmup_steps: int | None = None,
    weight_decay: Hyper | None = None,
    **settings: Any,
) -> list[Tree]:
    """Let z' = z - gamma (grad f(y) + lambda y)."""

    def direction(g: Tree, y: Tree, t: int) -> Tree:
        return {name: g[name] + (0.0 if weight_decay is None else at(weight_decay, t)) * y[name] for name in g}

    rate = warmed(learning_rate, warmup_steps)
    return schedule_free(grads, params, learning_rate=rate, direction=direction, **settings)


def schedule_free_adamw(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 0.0025,
    warmup_steps: int | None = None,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    weight_decay: Hyper = 0.0,
    **settings: Any,
) -> list[Tree]:
    """Let z' = z - gamma (grad f(y) / (sqrt(v / (1-b2^t)) + eps) + lambda y)."""
    v = like(params)

    def direction(g: Tree, y: Tree, t: int) -> Tree:
        d, beta2 = like(params), at(b2, t)
        for name, i in elements(params):
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            scaled = ratio(g[name][i], math.sqrt(v[name][i] / (1 - beta2**t)) + at(eps, t))
            d[name][i] = scaled + at(weight_decay, t) * y[name][i]
        return d

    rate = warmed(learning_rate, warmup_steps)
    return schedule_free(grads, params, learning_rate=rate, direction=direction, **settings)


def round_sgd(library: Any, *, learning_rate: Any, **settings: Any) -> Any:
    """Return plain gradient descent made schedule-free."""
    named = library if hasattr(library, "schedule_free") else library.contrib
    return named.schedule_free(library.sgd(learning_rate), learning_rate, **settings)


# the way to y is a difference of positions
WRAPPER = {"reference": schedule_free, "maker": round_sgd, "kind": "wrapper", "position": True, "fused": FUSED}
SGD = {"reference": schedule_free_sgd, "kind": "optimizer", "position": True, "fused": FUSED}
ADAMW = {"reference": schedule_free_adamw, "kind": "optimizer", "position": True, "fused": FUSED}
# with decay z and y both read AdamW's quotient, which XLA:CPU writes out without its flag
WRITTEN, WAITS = Speed(24_000_196, 2.0), Speed(500, 12 / 7)
ROUND = {"around": lambda library, tx: library.schedule_free(tx, 0.1), "idle": False}
ROWS = [
    row("schedule_free", traits={**WRAPPER, **ROUND, "hyper": "b1", "optax": True}, learning_rate=0.1, b1=0.5),
    row(
        "schedule_free_sgd",
        traits={**SGD, "hyper": "learning_rate", "optax": True, "speed": Speed(132, 8 / 5)},
        learning_rate=0.1,
        weight_decay=0.1,
    ),
    row(
        "schedule_free_adamw",
        traits={**ADAMW, "hyper": "learning_rate", "optax": True, "speed": WRITTEN},
        learning_rate=0.1,
        b1=0.5,
        b2=0.9,
        weight_decay=0.1,
    ),
]
CASES = [
    row("schedule_free_adamw", "plain", traits={**ADAMW, "optax": True, "speed": WAITS}, learning_rate=0.1, b1=0.5),
    row("schedule_free", "schedules", traits=WRAPPER, learning_rate=halving, b1=rising, weight_lr_power=halving),
    row("schedule_free", "from 0", traits=WRAPPER, learning_rate=from_zero),
    row("schedule_free_sgd", "warm-up", traits=SGD, learning_rate=0.1, warmup_steps=3, weight_decay=halving),
    row("schedule_free_adamw", "warm-up", traits=ADAMW, learning_rate=0.1, warmup_steps=3, b2=rising, eps=0.1),
    row(
        "schedule_free",
        "optax, power 0",
        traits={**WRAPPER, "reference": None, "optax": True},
        learning_rate=0.1,
        weight_lr_power=0.0,
    ),
]

FILE = "wrappers/schedule_free.py"
MUTANTS = [
    Mutant(
        "schedule_free: the last rate",
        FILE,
        'jnp.maximum(tree.memory["max_lr"], rate)',
        "rate",
        case_of("schedule_free[schedules]"),
    ),
    Mutant("schedule_free: equal weights", FILE, "largest**power", "largest**0", case_of("schedule_free_sgd[warm-up]")),
    Mutant(
        "schedule_free: b1 of the step before",
        FILE,
        'jnp.where(tree.count == 0, share, tree.memory["b1"])',
        "share",
        case_of("schedule_free[schedules]"),
    ),
    Mutant(
        "schedule_free: towards the old z",
        FILE,
        "k.to_z * (z - p)",
        'k.to_z * (slots["z"] - p)',
        reference_of("schedule_free_adamw"),
    ),
    Mutant(
        "schedule_free: a step twice",
        FILE,
        'k.to_z * (slots["z"] - p)',
        "k.to_z * (z - p)",
        reference_of("schedule_free"),
    ),
    Mutant(
        "schedule_free: the share of the step where z is new",
        FILE,
        "k.of_step * g",
        "k.along * g",
        case_of("schedule_free_adamw[plain]"),
    ),
]
