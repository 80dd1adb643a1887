"""Sign descent: Bernstein et al. 2018, Algorithms 1 (signSGD) and 2 (Signum)."""

from tests.registry.base import Mutant, Speed, optax_of, reference_of, row
from tests.registry.ema import ema
from tests.registry.numbers import Hyper, Tree, elements, like, rising
from tests.registry.scale import scale_by_learning_rate


def sign(x: float) -> float:
    """Return -1, 0 or 1."""
    return float(x > 0) - float(x < 0)


def scale_by_sign(grads: list[Tree], params: Tree) -> list[Tree]:
    """u_t = sign(g_t)."""
    updates = []
    for g in grads:
        u = like(params)
        for name, i in elements(params):
            u[name][i] = sign(g[name][i])
        updates.append(u)
    return updates


def sign_sgd(grads: list[Tree], params: Tree, *, learning_rate: Hyper) -> list[Tree]:
    """theta_t = theta_{t-1} - eta_t sign(g_t)."""
    return scale_by_learning_rate(scale_by_sign(grads, params), params, learning_rate=learning_rate)


def signum(grads: list[Tree], params: Tree, *, learning_rate: Hyper, beta: Hyper = 0.9) -> list[Tree]:
    """m_t = beta m_{t-1} + (1-beta) g_t; theta_t = theta_{t-1} - eta_t sign(m_t)."""
    means = ema(grads, params, decay=beta, debias=False)
    return sign_sgd(means, params, learning_rate=learning_rate)


ROWS = [
    row("scale_by_sign", traits={"reference": scale_by_sign, "power": 0, "optax": True}),
    row(
        "sign_sgd",
        traits={
            "reference": sign_sgd,
            "kind": "optimizer",
            "hyper": "learning_rate",
            "power": 0,
            "optax": True,
            "speed": Speed(0, 1.0),
        },
        learning_rate=0.1,
    ),
    row(
        "signum",
        traits={
            "reference": signum,
            "kind": "optimizer",
            "hyper": "beta",
            "power": 0,
            "optax": True,
            "speed": Speed(0, 6 / 5),
        },
        learning_rate=0.1,
    ),
]
CASES = [
    row("signum", "schedule", traits={"reference": signum, "kind": "optimizer"}, learning_rate=0.1, beta=rising),
]

MUTANTS = [
    Mutant(
        "sign: of a positive number only",
        "factors/sign.py",
        "else lax.sign(x)",
        "else lax.sign(jnp.maximum(x, 0.0))",
        reference_of("scale_by_sign"),
    ),
    Mutant(
        "sign: 1 at 0",
        "factors/sign.py",
        "else lax.sign(x)",
        "else jnp.where(x < 0, -1.0, 1.0)",
        reference_of("scale_by_sign"),
    ),
    Mutant(
        "signum: a mean of signs",
        "methods/sign_sgd.py",
        "chain(direction, scale_by_sign(),",
        "chain(scale_by_sign(), direction,",
        (*reference_of("signum"), *optax_of("signum")),
    ),
    Mutant("signum: beta ignored", "methods/sign_sgd.py", "ema(beta, ", "ema(0.5, ", reference_of("signum")),
]
