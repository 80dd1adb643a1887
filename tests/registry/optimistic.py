"""Optimistic descent: Mokhtari, Ozdaglar & Pattathil 2020, equation 6; after Adam, Daskalakis et al. 2018, Algorithm 1.

g_0 = g_1, as optax has it, so that the first step foretells no change.
"""

from tests.registry.adam import scale_by_adam
from tests.registry.base import Mutant, Speed, case_of, optax_of, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, halving, rising
from tests.registry.scale import scale_by_learning_rate


def scale_by_optimistic_gradient(
    grads: list[Tree], params: Tree, *, alpha: Hyper = 1.0, beta: Hyper = 1.0
) -> list[Tree]:
    """u_t = (alpha + beta) g_t - beta g_{t-1}."""
    del params
    steps = enumerate(zip([grads[0], *grads], grads, strict=False), start=1)
    return [
        {name: (at(alpha, t) + at(beta, t)) * g[name] - at(beta, t) * last[name] for name in g}
        for t, (last, g) in steps
    ]


def optimistic_gradient_descent(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Hyper
) -> list[Tree]:
    """w_{t+1} = w_t - eta_t u_t."""
    ahead = scale_by_optimistic_gradient(grads, params, **settings)
    return scale_by_learning_rate(ahead, params, learning_rate=learning_rate)


def optimistic_adam_v2(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    alpha: Hyper = 1.0,
    beta: Hyper = 1.0,
    nesterov: bool = True,
    **settings: Hyper,
) -> list[Tree]:
    """w_{t+1} = w_t - eta_t (alpha r_t + beta (r_t - r_{t-1})), r Adam's ratio."""
    ratios = scale_by_adam(grads, params, nesterov=nesterov, **settings)
    return optimistic_gradient_descent(ratios, params, learning_rate=learning_rate, alpha=alpha, beta=beta)


def optimistic_adam(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, optimism: Hyper | None = None, **settings: Hyper
) -> list[Tree]:
    """w_{t+1} = w_t - eta r_t - optimism (r_t - r_{t-1})."""
    optimism = learning_rate if optimism is None else optimism
    return optimistic_adam_v2(grads, params, learning_rate=1.0, alpha=learning_rate, beta=optimism, **settings)


PLAIN = {"reference": scale_by_optimistic_gradient, "power": 1}
DESCENT = {"reference": optimistic_gradient_descent, "kind": "optimizer"}
FIRST, SECOND = ({"reference": reference, "kind": "optimizer"} for reference in (optimistic_adam, optimistic_adam_v2))
ROWS = [
    row("scale_by_optimistic_gradient", traits={**PLAIN, "hyper": "beta", "optax": True}, alpha=0.5, beta=2.0),
    row(
        "optimistic_gradient_descent",
        traits={**DESCENT, "hyper": "learning_rate", "optax": True, "speed": Speed(500, 6 / 5)},
        learning_rate=0.1,
    ),
    row("optimistic_adam", traits={**FIRST, "hyper": "learning_rate", "optax": True}, learning_rate=0.1),
    row(
        "optimistic_adam_v2",
        traits={**SECOND, "hyper": "alpha", "optax": True, "speed": Speed(500, 16 / 9, fused=None)},
        learning_rate=0.1,
    ),
]
CASES = [
    row(
        "optimistic_gradient_descent",
        "schedules",
        traits=DESCENT,
        learning_rate=halving,
        alpha=rising,
        beta=halving,
    ),
    row("optimistic_adam", "optimism", traits=FIRST, learning_rate=halving, optimism=rising, b1=0.5, nesterov=False),
    row(
        "optimistic_adam_v2",
        "other settings",
        traits={**SECOND, "optax": True},
        learning_rate=0.1,
        alpha=0.5,
        beta=2.0,
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-4,
        nesterov=False,
    ),
]

FILE = "methods/optimistic.py"
GRADIENT = "scale_by_optimistic_gradient"
MUTANTS = [
    Mutant(
        "optimistic: a gradient of 0 before the first",
        FILE,
        '"now": k.alpha + jnp.where(count > 0, k.beta, 0.0)',
        '"now": k.alpha + k.beta',
        reference_of(GRADIENT),
    ),
    Mutant("optimistic: pessimistic", FILE, "k.now * g - k.before", "k.now * g + k.before", reference_of(GRADIENT)),
    Mutant(
        "optimistic: the optimism of optimistic_adam times the rate",
        FILE,
        "scale_by_optimistic_gradient(learning_rate, optimism), scale(-1.0)",
        "scale_by_optimistic_gradient(1.0, optimism), scale_by_learning_rate(learning_rate)",
        case_of("optimistic_adam[optimism]"),
    ),
    Mutant(
        "optimistic: before Adam",
        FILE,
        "return chain(scaled, scale_by_optimistic_gradient(alpha, beta), scale",
        "return chain(scale_by_optimistic_gradient(alpha, beta), scaled, scale",
        optax_of("optimistic_adam_v2"),
    ),
]
