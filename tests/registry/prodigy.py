"""Prodigy: Mishchenko & Defazio 2023, Algorithm 4, as the authors' code has it.

That code keeps the two sums over d_0 and without (1 - beta3), which cancel in their quotient, corrects the rate for the
start of the means, and multiplies eps by the new d.
"""

import math

from tests.registry.base import ELEMENTS, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rising


def prodigy(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1.0,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    beta3: Hyper | None = None,
    eps: Hyper = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: Hyper = 1.0,
    weight_decay: Hyper = 0.0,
    safeguard_warmup: bool = False,
    weight_decay_mask: dict[str, bool] | None = None,
    store: Store = float,
) -> list[Tree]:
    """d_{k+1} = max(d_k, r_{k+1} / |s_{k+1}|_1), x_{k+1} = x_k - gamma_k d_k m_{k+1} / (sqrt(v_{k+1}) + d eps)."""
    first, x = copy(params), copy(params)
    m, v, s = like(params), like(params), like(params)
    r, d = 0.0, estim_lr0
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(betas[0], t), at(betas[1], t)
        b3 = math.sqrt(beta2) if beta3 is None else at(beta3, t)
        gamma = d * at(learning_rate, t) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        weight = (d if safeguard_warmup else gamma) * d / estim_lr0
        correlation = 0.0
        for name, i in elements(params):
            g_i = g[name][i]
            correlation += g_i * (first[name][i] - x[name][i])
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * d * g_i
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * d**2 * g_i**2
            s[name][i] = b3 * s[name][i] + weight * g_i
        r = b3 * r + d / estim_lr0 * gamma * correlation
        d = max(d, at(estim_lr_coef, t) * ratio(r, sum(abs(s[name][i]) for name, i in elements(params))))
        u = like(params)
        for name, i in elements(params):
            step = ratio(m[name][i], math.sqrt(v[name][i]) + d * at(eps, t))
            decays = weight_decay_mask is None or weight_decay_mask[name]
            u[name][i] = -gamma * (step + at(weight_decay, t) * x[name][i] * decays)
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


OPTIMIZER = {
    "reference": prodigy,
    "kind": "optimizer",
    "laws": (ELEMENTS,),  # its learned rate comes from all leaves
    "numbers_only": ("estim_lr0",),
}
ROWS = [
    row("prodigy", traits={**OPTIMIZER, "hyper": "learning_rate"}, learning_rate=0.5, estim_lr0=1e-3),
    row(
        "prodigy",
        "safeguarded",
        traits=OPTIMIZER,
        learning_rate=0.5,
        estim_lr0=1e-2,
        beta3=0.9,
        weight_decay=0.1,
        safeguard_warmup=True,
    ),
]
CASES = [
    row(
        "prodigy",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        betas=(rising, rising),
        eps=halving,
        estim_lr0=1e-2,
        weight_decay=halving,
    ),
    row(
        "prodigy",
        "masked decay",
        traits=OPTIMIZER,
        estim_lr0=1e-2,
        weight_decay=0.5,
        weight_decay_mask={"gain": True, "bias": False, "kernel": True, "large": True},
    ),
    row("prodigy", "as optax", traits={"optax": True, "laws": (ELEMENTS,)}, learning_rate=0.1),
    row(
        "prodigy",
        "optax, betas",
        traits={"optax": True, "laws": (ELEMENTS,)},
        learning_rate=0.1,
        betas=(0.8, 0.9),
        beta3=0.5,
        eps=0.1,
        estim_lr_coef=2.0,
        weight_decay=0.1,
    ),
    row(
        "prodigy",
        "optax, safeguarded",
        traits={"optax": True, "laws": (ELEMENTS,)},
        learning_rate=0.1,
        estim_lr0=0.01,
        safeguard_warmup=True,
    ),
]


def proof(name: str) -> tuple[str, ...]:
    """Return this test of what the core can hold."""
    return (f"test_proofs.py::test_{name}",)


FILE = "methods/prodigy.py"
MUTANTS = [
    Mutant("prodigy: d falls", FILE, "jnp.maximum(d, estimate)", "estimate", reference_of("prodigy")),
    Mutant(
        "prodigy: eps times the old d", FILE, "k.next_d * k.eps", "k.d * k.eps", proof("prodigy_where_its_rate_grows")
    ),
    Mutant(
        "prodigy: forgets the start",
        FILE,
        '"params0": slots["params0"],',
        '"params0": p,',
        proof("prodigy_where_its_rate_grows"),
    ),
    Mutant(
        "prodigy: the sum without its weight",
        FILE,
        "+ k.into_sum * g",
        "+ k.d * g",
        proof("prodigy_where_its_rate_grows"),
    ),
    Mutant("prodigy: decays all", FILE, "if k.decays else step", "", case_of("prodigy[masked decay]")),
    Mutant(
        "prodigy: no correction of the rate",
        FILE,
        "* unbias(k.b1, t) / root(unbias(k.b2, t))",
        "",
        reference_of("prodigy"),
    ),
    Mutant(
        "prodigy: the sum of one shard",
        FILE,
        "size(sums, axis_name)",
        "size(sums)",
        ("test_shards.py::test_shards_are_taken_together[prodigy]",),
    ),
]
