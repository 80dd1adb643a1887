"""MoMo and MoMo-Adam: Schaipp et al. 2023, Algorithms 1 to 3, with the weight decay beside the step as in AdamW."""

import math
from collections.abc import Sequence
from functools import partial

from tests.registry.base import ELEMENTS, FUSED, Mutant, optax_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, ratio, rising

LOSS = 300.0  # the loss of every step where a battery gives one
Losses = float | Sequence[float]


def loss(value: Losses, t: int) -> float:
    """Return the loss of step t, from 1."""
    return float(value[t - 1]) if isinstance(value, Sequence) else value


def bounds(start: float, floor: float, ahead: float, grown: float) -> float:
    """Return the lower bound after it is brought down to where the model allows a step."""
    return max(ahead / (2 * grown), floor) if ahead < grown * start else start


def model(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    lower_bound: Hyper,
    weight_decay: Hyper,
    adapt_lower_bound: bool,
    value: Losses,
    store: Store,
    beta: Hyper,
    b2: Hyper | None = None,
    eps: Hyper = 0.0,
) -> list[Tree]:
    """tau_k = min(alpha_k, (h_k - f_*)_+ / |d_k|^2 in D^{-1}).

    Where b2 is None sigma is 1, and the first step's values are the first means.
    """
    x, d, v = copy(params), like(params), like(params)
    f, gamma, lb = 0.0, 0.0, at(lower_bound, 1)
    updates = []
    for t, g in enumerate(grads, start=1):
        b1 = 0.0 if b2 is None and t == 1 else at(beta, t)
        weight = 1.0 if b2 is None else 1 - b1**t
        alpha, grown = at(learning_rate, t), 1 + at(learning_rate, t) * at(weight_decay, t)
        sigma, u = like(params, 1.0), like(params)
        for name, i in elements(params):
            d[name][i] = b1 * d[name][i] + (1 - b1) * g[name][i]
            if b2 is not None:
                v[name][i] = at(b2, t) * v[name][i] + (1 - at(b2, t)) * g[name][i] ** 2
                sigma[name][i] = math.sqrt(v[name][i] / (1 - at(b2, t) ** t)) + at(eps, t)
        f = b1 * f + (1 - b1) * loss(value, t)
        gamma = b1 * gamma + (1 - b1) * math.fsum(g[n][i] * x[n][i] for n, i in elements(params))
        slope = math.fsum(d[n][i] * x[n][i] for n, i in elements(params))
        square = math.fsum(ratio(d[n][i] ** 2, sigma[n][i]) for n, i in elements(params))
        floor = at(lower_bound, t)
        ahead = grown * (f - gamma) + slope
        lb = bounds(lb, floor, ahead / weight, grown) if adapt_lower_bound else floor
        tau = min(alpha / weight, ratio(max(ahead - grown * weight * lb, 0.0), square))
        lb = max((f + slope - gamma - tau * square / 2) / weight, floor)
        for name, i in elements(params):
            u[name][i] = -tau * ratio(d[name][i], sigma[name][i]) - (1 - 1 / grown) * x[name][i]
            x[name][i] = store(x[name][i] + u[name][i])
        updates.append(u)
    return updates


def momo(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1.0,
    beta: Hyper = 0.9,
    lower_bound: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    adapt_lower_bound: bool = False,
    value: Losses = LOSS,
    store: Store = float,
) -> list[Tree]:
    """Algorithm 1, and 3 for the lower bound."""
    return model(
        grads,
        params,
        learning_rate=learning_rate,
        lower_bound=lower_bound,
        weight_decay=weight_decay,
        adapt_lower_bound=adapt_lower_bound,
        value=value,
        store=store,
        beta=beta,
    )


def momo_adam(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper = 1e-2,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    lower_bound: Hyper = 0.0,
    weight_decay: Hyper = 0.0,
    adapt_lower_bound: bool = False,
    value: Losses = LOSS,
    store: Store = float,
) -> list[Tree]:
    """Algorithm 2, and 3 for the lower bound."""
    return model(
        grads,
        params,
        learning_rate=learning_rate,
        lower_bound=lower_bound,
        weight_decay=weight_decay,
        adapt_lower_bound=adapt_lower_bound,
        value=value,
        store=store,
        beta=b1,
        b2=b2,
        eps=eps,
    )


# its step comes from all leaves and the loss
TRAITS = {"kind": "optimizer", "laws": (ELEMENTS,), "extra": {"value": LOSS}}
MOMO, ADAM = ({"reference": method, "hyper": "learning_rate", "fused": FUSED, **TRAITS} for method in (momo, momo_adam))
ROWS = [
    row("momo", traits={**MOMO, "optax": True}, learning_rate=0.05, weight_decay=0.1),
    row("momo_adam", traits={**ADAM, "optax": True}, learning_rate=0.5, weight_decay=0.1),
]
SCHEDULES = {"learning_rate": halving, "lower_bound": halving, "weight_decay": halving}
OTHER = {"learning_rate": 10.0, "weight_decay": 0.3, "lower_bound": -1.0, "adapt_lower_bound": True}
CASES = [
    row("momo", "schedules", traits=MOMO, **SCHEDULES, beta=rising),
    row("momo_adam", "schedules", traits=ADAM, **SCHEDULES, b1=rising, b2=rising, eps=halving),
    row("momo", "optax, adapted", traits={**TRAITS, "optax": True}, **OTHER, beta=0.5),
    row("momo_adam", "optax, adapted", traits={**TRAITS, "optax": True}, **OTHER, b1=0.5, b2=0.9, eps=0.1),
]


def falls(method: str, *, adapts: bool) -> tuple[str, ...]:
    """Return the test of losses that fall."""
    rate = {"momo": 2.0, "momo_adam": 30.0}[method]
    return (f"test_learned_rates.py::test_momo_steps_by_losses_that_fall[{adapts}-{method}-{method}-{rate}]",)


FILE, SECOND = "methods/momo.py", "methods/momo_adam.py"
of_momo = partial(falls, "momo")
MUTANTS = [
    Mutant("momo: the first means are shrunk", FILE, "(1.0 - first) * k.beta", "k.beta", reference_of("momo")),
    Mutant(
        "momo: steps up a model below the bound",
        FILE,
        "jnp.maximum(ahead - grown * model.weight * bound, 0.0)",
        "(ahead - grown * model.weight * bound)",
        of_momo(adapts=False),
    ),
    Mutant(
        "momo: the bound is never brought down",
        FILE,
        'highest < grown * memory["lb"]',
        "highest < -jnp.inf",
        of_momo(adapts=True),
    ),
    Mutant("momo: decays without the step", FILE, "decayed / (1.0 + decayed)", "decayed", reference_of("momo")),
    Mutant(
        "momo_adam: a bound not weighted", SECOND, "weight=1.0 / k.unbias_m", "weight=1.0", reference_of("momo_adam")
    ),
    Mutant(
        "momo_adam: the norm without sigma",
        "_core/arrays/sums.py",
        "m * jnp.sign(sigma) / jnp.maximum(sigma, least)",
        "m",
        optax_of("momo_adam[optax, adapted]"),
    ),
    Mutant(
        "momo_adam: v not corrected in the norm",
        SECOND,
        "v, k.eps, k.unbias_v, axis_name)",
        "v, k.eps, 1.0, axis_name)",
        falls("momo_adam", adapts=True),
    ),
]
