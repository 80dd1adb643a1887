"""The moving mean of gradients: Kingma & Ba 2014, section 3; the look ahead of Dozat 2016, Algorithm 2.

Dozat's momentum schedule is constant here, so his two products of decays are powers.
"""

from tests.registry.base import Mutant, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, like


def ema(grads: list[Tree], params: Tree, *, decay: Hyper, debias: bool = True, nesterov: bool = False) -> list[Tree]:
    """m_t = decay m_{t-1} + (1-decay) g_t, divided by the sum of the weights 1 - decay^t."""
    m = like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        a = at(decay, t)
        weights = 1 - a**t if debias else 1.0
        weights_next = 1 - a ** (t + 1) if debias else 1.0
        u = like(params)
        for name, i in elements(params):
            m[name][i] = a * m[name][i] + (1 - a) * g[name][i]
            if nesterov:
                u[name][i] = a * m[name][i] / weights_next + (1 - a) * g[name][i] / weights
            else:
                u[name][i] = m[name][i] / weights
        updates.append(u)
    return updates


ROWS = [
    row("ema", traits={"reference": ema, "hyper": "decay", "power": 1, "optax": True}, decay=0.9),
    row("ema", "biased", traits={"reference": ema, "optax": True}, decay=0.9, debias=False),
    row("ema", "nesterov", traits={"reference": ema, "power": 1}, decay=0.9, nesterov=True),
]
CASES = [row("ema", "biased nesterov", traits={"reference": ema}, decay=0.9, debias=False, nesterov=True)]

FILE = "factors/ema.py"
MUTANTS = [
    Mutant(
        "ema: decay and 1 - decay swapped",
        FILE,
        'm = k.decay * slots["mu"] + (1 - k.decay) * g',
        'm = (1 - k.decay) * slots["mu"] + k.decay * g',
        reference_of("ema"),
    ),
    Mutant(
        "ema: a sum, not a mean",
        FILE,
        'm = k.decay * slots["mu"] + (1 - k.decay) * g',
        'm = k.decay * slots["mu"] + g',
        reference_of("ema"),
    ),
    Mutant("ema: no correction", FILE, 'return k.unbias * m, {"mu": m}', 'return m, {"mu": m}', reference_of("ema")),
    Mutant(
        "ema: keeps the corrected mean",
        FILE,
        'return k.unbias * m, {"mu": m}',
        'return k.unbias * m, {"mu": k.unbias * m}',
        reference_of("ema"),
    ),
    Mutant("ema: debias inverted", FILE, "if not debias:", "if debias:", reference_of("ema[biased]")),
    Mutant(
        "ema: looks ahead with t",
        FILE,
        "now / (now * (1 - k.decay) + k.decay)",
        "now",
        reference_of("ema[nesterov]"),
    ),
]
