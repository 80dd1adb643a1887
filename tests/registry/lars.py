"""LARS: You et al. 2017, Algorithm 1, its ratio as optax has it: the norm of the sum of gradient and decay."""

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.lamb import moved, trusted
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, like, rising

Mask = dict[str, bool] | bool


def lars(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    weight_decay_mask: Mask = True,
    trust_coefficient: Hyper = 0.001,
    eps: Hyper = 0.0,
    trust_ratio_mask: Mask = True,
    momentum: Hyper = 0.9,
    nesterov: bool = False,
    store: Store = float,
) -> list[Tree]:
    """V = m v + gamma lambda (g + beta w), w = w - v, with lambda = eta |w| / (|g + beta w| + eps)."""

    def on(mask: Mask, name: str) -> bool:
        return mask if isinstance(mask, bool) else mask[name]

    p, v, updates = copy(params), like(params), []
    for t, g in enumerate(grads, start=1):
        r, u = copy(g), like(params)
        for name, i in elements(params):
            r[name][i] = g[name][i] + (at(weight_decay, t) * p[name][i] if on(weight_decay_mask, name) else 0.0)
        names = [name for name in params if on(trust_ratio_mask, name)]
        s = trusted(r, p, 0.0, at(trust_coefficient, t), at(eps, t), names)
        m = at(momentum, t)
        for name, i in elements(params):
            step = -at(learning_rate, t) * s[name][i]
            v[name][i] = m * v[name][i] + step
            u[name][i] = step + m * v[name][i] if nesterov else v[name][i]
        updates.append(u)
        moved(p, u, store)
    return updates


LARS = {"reference": lars, "kind": "optimizer"}
MASKS = {
    "weight_decay_mask": {"gain": True, "bias": False, "kernel": True, "large": True},
    "trust_ratio_mask": {"gain": False, "bias": True, "kernel": True, "large": True},
}
ROWS = [
    row(
        "lars",
        traits={**LARS, "hyper": "learning_rate", "optax": True, "speed": Speed(4_006_000, 3.0, fused=3.0)},
        learning_rate=0.1,
        weight_decay=0.01,
        trust_coefficient=0.5,
    ),
]
CASES = [
    row("lars", "as it is", traits={**LARS, "optax": True}, learning_rate=0.1),
    row(
        "lars",
        "masked",
        traits={**LARS, "optax": True},
        learning_rate=0.1,
        weight_decay=0.3,
        eps=0.1,
        nesterov=True,
        **MASKS,
    ),
    row(
        "lars",
        "schedules",
        traits=LARS,
        learning_rate=halving,
        weight_decay=rising,
        trust_coefficient=rising,
        eps=halving,
        momentum=rising,
    ),
]

FILE = "methods/lars.py"
MUTANTS = [
    Mutant(
        "lars: the decay outside the ratio",
        FILE,
        """add_decayed_weights(weight_decay, everywhere(weight_decay_mask)),
        Transform.of(ratio.body.where(everywhere(trust_ratio_mask))),""",
        """Transform.of(ratio.body.where(everywhere(trust_ratio_mask))),
        add_decayed_weights(weight_decay, everywhere(weight_decay_mask)),""",
        reference_of("lars"),
    ),
    Mutant(
        "lars: the rate after the momentum",
        FILE,
        """scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov),""",
        """trace(momentum, nesterov),
        scale_by_learning_rate(learning_rate),""",
        case_of("lars[schedules]"),
    ),
    Mutant(
        "lars: the masks the other way round",
        FILE,
        "ratio.body.where(everywhere(trust_ratio_mask))",
        "ratio.body.where(everywhere(weight_decay_mask))",
        case_of("lars[masked]"),
    ),
]
