"""RAdam: Liu et al. 2020, Algorithm 2, with the threshold 5 of the authors' code (the paper's is 4) and an eps."""

import math
from typing import Any

from tests.registry.base import Mutant, Speed, optax_of, reference_of, row
from tests.registry.ema import ema
from tests.registry.numbers import Hyper, Tree, at, elements, halving, like, number, ratio, rising
from tests.registry.scale import scale_by_learning_rate


def length(b2: float, t: int) -> float:
    """Return rho_t, the length of the approximated simple average."""
    return 2 / (1 - b2) - 1 - 2 * t * b2**t / (1 - b2**t)


def scale_by_radam(
    grads: list[Tree],
    params: Tree,
    *,
    b1: Hyper = 0.9,
    b2: Hyper = 0.999,
    eps: Hyper = 1e-8,
    eps_root: Hyper = 0.0,
    threshold: Hyper = 5.0,
    nesterov: bool = False,
) -> list[Tree]:
    """u_t = r_t m_hat_t / sqrt(v_hat_t) where the variance is tractable, m_hat_t where it is not."""
    m_hat = ema(grads, params, decay=b1, nesterov=nesterov)
    v = like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        beta2 = at(b2, t)
        rho_inf = 2 / (1 - beta2) - 1
        rho = length(beta2, t)
        u = like(params)
        for name, i in elements(params):
            v[name][i] = beta2 * v[name][i] + (1 - beta2) * g[name][i] ** 2
            if rho >= at(threshold, t):
                r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
                sigma = math.sqrt(v[name][i] / (1 - beta2**t) + at(eps_root, t)) + at(eps, t)
                u[name][i] = r * ratio(m_hat[t - 1][name][i], sigma)
            else:
                u[name][i] = m_hat[t - 1][name][i]
        updates.append(u)
    return updates


def radam(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: Any) -> list[Tree]:
    """Step by -eta times the rectified ratio."""
    scaled = scale_by_radam(grads, params, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)


def threshold(count: Any) -> Any:
    """Return a threshold that rises from 4."""
    return 4.0 + 0.1 * number(count)


SCALE, OPTIMIZER = {"reference": scale_by_radam}, {"reference": radam, "kind": "optimizer"}
ROWS = [
    row("scale_by_radam", traits={**SCALE, "hyper": "b2", "power": 1}),  # a power until sigma is trusted
    row("scale_by_radam", "soon trusted", traits={**SCALE, "optax": True}, b2=0.9, nesterov=True),
    row("radam", traits={**OPTIMIZER, "hyper": "learning_rate"}, learning_rate=0.1, b2=0.9),
]
CASES = [
    row("scale_by_radam", "eps in the root", traits=SCALE, b2=0.95, eps_root=1e-3, threshold=4.0),
    row("scale_by_radam", "never trusted", traits=SCALE, b2=0.6),
    row("radam", "long memory", traits={**OPTIMIZER, "optax": True, "speed": Speed(260, 10 / 7)}, learning_rate=0.1),
    row(
        "radam",
        "threshold",
        traits={**OPTIMIZER, "optax": True},
        learning_rate=0.1,
        b2=0.9,
        threshold=4.0,
        nesterov=True,
    ),
    row("radam", "schedules", traits=OPTIMIZER, learning_rate=halving, b2=rising, threshold=threshold),
]

FILE = "methods/radam.py"
MUTANTS = [
    Mutant("radam: threshold 4", FILE, "rho >= k.threshold", "rho >= 4.0", reference_of("scale_by_radam")),
    Mutant(
        "radam: threshold 6", FILE, "rho >= k.threshold", "rho >= k.threshold + 1.0", reference_of("scale_by_radam")
    ),
    Mutant("radam: r for 1 / r", FILE, "per_r = 1.0 / jnp.sqrt(", "per_r = jnp.sqrt(", reference_of("scale_by_radam")),
    Mutant(
        "radam: a factor of r missing",
        FILE,
        "(safe - 4.0) * (safe - 2.0)",
        "(safe - 4.0)",
        reference_of("scale_by_radam"),
    ),
    Mutant(
        "radam: never trusted",
        FILE,
        '"slope": jnp.where(trusted, per_r, 0.0)',
        '"slope": 0.0 * per_r',
        reference_of("scale_by_radam"),
    ),
    Mutant(
        "radam: threshold not passed on",
        FILE,
        "eps_root, threshold, nesterov=nesterov)",
        "eps_root, nesterov=nesterov)",
        optax_of("radam[threshold]"),
    ),
]
