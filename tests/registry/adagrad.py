"""Adagrad with a diagonal matrix: Duchi, Hazan & Singer 2011, Figure 1; the mean form is the lecture's slide 2.1."""

import math

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, ratio
from tests.registry.scale import scale_by_learning_rate


def scale_by_adagrad(
    grads: list[Tree],
    params: Tree,
    *,
    initial_accumulator_value: float = 0.1,
    eps: Hyper = 1e-7,
    mean: bool = False,
    eps_in_sqrt: bool = True,
) -> list[Tree]:
    """s_t = s_{t-1} + g_t^2; u_t = g_t / sqrt(s_t + eps), or g_t / sqrt((s_t + eps) / t)."""
    s = like(params, initial_accumulator_value)
    updates = []
    for t, g in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            s[name][i] += g[name][i] ** 2
            inside, outside = (at(eps, t), 0.0) if eps_in_sqrt else (0.0, at(eps, t))
            total = s[name][i] + inside
            u[name][i] = ratio(g[name][i], math.sqrt(total / t if mean else total) + outside)
        updates.append(u)
    return updates


def adagrad(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, lr_decay: Hyper = 0.0, **settings: Hyper
) -> list[Tree]:
    """Step by -eta g / sqrt(s + eps), eta / (1 + (t-1) decay) for eta."""
    scaled = scale_by_adagrad(grads, params, **settings)

    def rate(count: int) -> float:
        return at(learning_rate, count + 1) / (1 + count * at(lr_decay, count + 1))

    return scale_by_learning_rate(scaled, params, learning_rate=rate)


def like_torch(grads: list[Tree], params: Tree, *, like: str, **settings: Hyper) -> list[Tree]:
    """Step by -gamma g / (sqrt(s) + eps), s from 0 and eps 1e-10."""
    del like
    given = {"initial_accumulator_value": 0.0, "eps": 1e-10, **settings}
    return adagrad(grads, params, eps_in_sqrt=False, **given)


ROWS = [
    row("scale_by_adagrad", traits={"reference": scale_by_adagrad, "hyper": "eps"}),
    row(
        "scale_by_adagrad",
        "mean",
        traits={"reference": scale_by_adagrad, "power": 0},
        initial_accumulator_value=0.0,
        eps=0.0,
        mean=True,
    ),
    row("scale_by_rss", traits={"reference": scale_by_adagrad, "hyper": "eps", "optax": True}),
    row(
        "adagrad",
        traits={
            "reference": adagrad,
            "kind": "optimizer",
            "hyper": "learning_rate",
            "optax": True,
            "speed": Speed(0, 7 / 5),
        },
        learning_rate=0.1,
    ),
]
CASES = [
    row(
        "scale_by_adagrad",
        "no eps",
        traits={"reference": scale_by_adagrad, "power": 0},
        initial_accumulator_value=0.0,
        eps=0.0,
    ),
    row("adagrad", "torch", traits={"reference": like_torch}, learning_rate=0.1, like="torch"),
    row(
        "adagrad",
        "torch, falling",
        traits={"reference": like_torch, "speed": Speed(4, 7 / 5)},
        learning_rate=0.1,
        lr_decay=0.5,
        eps=0.3,
        initial_accumulator_value=0.2,
        like="torch",
    ),
    row("adagrad", "falling", traits={"reference": adagrad}, learning_rate=halving, lr_decay=halving),
    row("adagrad", "schedules", traits={"reference": adagrad}, learning_rate=halving, eps=halving),
]

FILE = "factors/adagrad.py"
MUTANTS = [
    Mutant("adagrad: not squared", FILE, "+ held(abs_sq(g))", "+ abs(g)", reference_of("scale_by_adagrad")),
    Mutant(
        "adagrad: eps outside the root",
        FILE,
        "root((s + k.eps_root) * k.share) + k.eps",
        "root(s * k.share) + k.eps_root + k.eps",
        reference_of("scale_by_adagrad"),
    ),
    Mutant(
        "adagrad: sum for mean",
        FILE,
        "1.0 / steps(count) if mean",
        "1.0 if mean",
        reference_of("scale_by_adagrad[mean]"),
    ),
    Mutant(
        "adagrad: the rate falls a step early",
        "schedules/apply.py",
        "k.lr_decay * (steps(count) - 1.0)",
        "k.lr_decay * steps(count)",
        case_of("adagrad[falling]"),
    ),
    Mutant(
        "adagrad: torch's eps inside",
        "methods/adagrad.py",
        "eps_in_sqrt=like is None",
        "eps_in_sqrt=True",
        case_of("adagrad[torch, falling]"),
    ),
    Mutant(
        "adagrad: starts at 0", FILE, "full(p, initial_accumulator_value,", "full(p, 0.0,", reference_of("scale_by_rss")
    ),
]
