"""COCOB: Orabona & Tommasi 2017, Algorithm 2."""

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, from_zero, halving, like, ratio


def scale_by_cocob(
    grads: list[Tree],
    params: Tree,
    *,
    alpha: Hyper = 100.0,
    eps: Hyper = 1e-8,
    learning_rate: Hyper = 1.0,
    weight_decay: Hyper = 0.0,
    store: Store = float,
) -> list[Tree]:
    """Return w = w_1 + theta / (L max(G + L, alpha L)) (L + Reward), with g the negative subgradients."""
    w, first = copy(params), copy(params)
    theta, largest, total, reward = like(params), like(params, at(eps, 1)), like(params), like(params)
    updates = []
    for t, given in enumerate(grads, start=1):
        u = like(params)
        for name, i in elements(params):
            g = -at(learning_rate, t) * (given[name][i] + at(weight_decay, t) * w[name][i])
            largest[name][i] = max(largest[name][i], abs(g))
            total[name][i] += abs(g)
            reward[name][i] = max(reward[name][i] + (w[name][i] - first[name][i]) * g, 0.0)
            theta[name][i] += g
            bound = largest[name][i] * max(total[name][i] + largest[name][i], at(alpha, t) * largest[name][i])
            bet = ratio(theta[name][i], bound) * (largest[name][i] + reward[name][i])
            u[name][i] = first[name][i] + bet - w[name][i]
            w[name][i] = store(w[name][i] + u[name][i])
        updates.append(u)
    return updates


def cocob(grads: list[Tree], params: Tree, *, learning_rate: Hyper = 1.0, **settings: float) -> list[Tree]:
    """Bet on the negative gradients."""
    return scale_by_cocob(grads, params, learning_rate=learning_rate, **settings)


OPTIMIZER = {"reference": cocob, "kind": "optimizer", "position": True}
ROWS = [
    row(
        "scale_by_cocob",
        traits={"reference": scale_by_cocob, "hyper": "alpha", "position": True, "optax": True},
        alpha=2.0,
        eps=1e-3,
    ),
    row(
        "cocob",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": Speed(0, 24 / 13, None)},
        learning_rate=0.5,
        alpha=3.0,
        weight_decay=0.1,
    ),
]
CASES = [
    row("scale_by_cocob", "no eps", traits={"power": 0}, eps=0.0),
    row(
        "cocob",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=from_zero,
        alpha=halving,
        eps=halving,
        weight_decay=halving,
    ),
    row("cocob", "as optax", traits={"optax": True, "position": True}),
]

FILE = "methods/cocob.py"
MUTANTS = [
    Mutant(
        "cocob: rewards below 0",
        FILE,
        'jnp.maximum(won, -slots["reward"])',
        "won",
        reference_of("cocob"),
    ),
    Mutant("cocob: the last size", FILE, 'jnp.maximum(slots["scale"], size(g))', "size(g)", reference_of("cocob")),
    Mutant("cocob: no alpha", FILE, "k.alpha * largest", "largest", reference_of("cocob")),
    Mutant("cocob: bets from where it is", FILE, "u = first - p + share", "u = share", case_of("cocob[schedules]")),
]
