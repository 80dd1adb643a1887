"""D-Adapted Adam: Defazio & Mishchenko 2023, Algorithm 5, with a corrected rate and the last v in the estimate."""

import math

from tests.registry.base import ELEMENTS, Mutant, Speed, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rising


def dadapt_adamw(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1.0,
    betas: tuple[Hyper, Hyper] = (0.9, 0.999),
    eps: Hyper = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: Hyper = 0.0,
    store: Store = float,
) -> list[Tree]:
    """d_{k+1} = max(d_k, r_{k+1} / ((1 - sqrt(beta2)) |s_{k+1}|_1)), x_{k+1} = x_k - A^{-1} m_{k+1}."""
    x, m, v, s = copy(params), like(params), like(params), like(params)
    r, d = 0.0, estim_lr0
    updates = []
    for t, g in enumerate(grads, start=1):
        beta1, beta2 = at(betas[0], t), at(betas[1], t)
        beta3 = math.sqrt(beta2)
        gamma = d * at(learning_rate, t) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        product, u = 0.0, like(params)
        for name, i in elements(params):
            g_i = g[name][i]
            product += g_i * ratio(s[name][i], math.sqrt(v[name][i]) + at(eps, t))
            m[name][i] = beta1 * m[name][i] + (1 - beta1) * gamma * g_i
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g_i**2
            s[name][i] = beta3 * s[name][i] + (1 - beta3) * gamma * g_i
        r = beta3 * r + (1 - beta3) * gamma * product
        d = max(d, ratio(r, (1 - beta3) * sum(abs(s[name][i]) for name, i in elements(params))))
        for name, i in elements(params):
            step = ratio(m[name][i], math.sqrt(v[name][i]) + at(eps, t))
            u[name][i] = -step - at(weight_decay, t) * gamma * x[name][i]
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


OPTIMIZER = {
    "reference": dadapt_adamw,
    "kind": "optimizer",
    "laws": (ELEMENTS,),  # its learned rate comes from all leaves
    "numbers_only": ("estim_lr0",),
}
ROWS = [
    row(
        "dadapt_adamw",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": Speed(4_002_000, 17.4 / 9, fused=None)},
        learning_rate=0.5,
        betas=(0.5, 0.9),
        eps=0.1,
        estim_lr0=1e-2,
        weight_decay=0.1,
    )
]
CASES = [
    row(
        "dadapt_adamw",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        betas=(rising, rising),
        eps=halving,
        estim_lr0=1e-2,
        weight_decay=halving,
    ),
    row("dadapt_adamw", "as optax", traits={"optax": True, "laws": (ELEMENTS,)}),
]


def grows(name: str) -> tuple[str, ...]:
    """Return this test of rates that are learned."""
    return (f"test_learned_rates.py::test_{name}",)


FILE = "methods/dadapt_adamw.py"
WHERE = grows("a_rate_grows_as_the_paper_says[dadapt_adamw]")
MUTANTS = [
    Mutant("dadapt: d falls", FILE, "jnp.maximum(d, estimate)", "estimate", reference_of("dadapt_adamw")),
    Mutant("dadapt: sums as the means do", FILE, "math.sqrt(k.b2) if", "k.b2 if", WHERE),
    Mutant("dadapt: forgets the estimate", FILE, 'k.b3 * tree.memory["numerator_weighted"] + ', "", WHERE),
    Mutant("dadapt: the last d", FILE, "gamma = d * k.of_step", "gamma = k.of_step", reference_of("dadapt_adamw")),
]
