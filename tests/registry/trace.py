"""Momentum as a decaying sum: Polyak 1964; Nesterov's form as in Sutskever et al. 2013 and PyTorch."""

from tests.registry.base import Mutant, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, like


def trace(grads: list[Tree], params: Tree, *, decay: Hyper, nesterov: bool = False) -> list[Tree]:
    """m_t = decay m_{t-1} + g_t; u_t = m_t, or g_t + decay m_t."""
    m = like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        a = at(decay, t)
        u = like(params)
        for name, i in elements(params):
            m[name][i] = a * m[name][i] + g[name][i]
            u[name][i] = g[name][i] + a * m[name][i] if nesterov else m[name][i]
        updates.append(u)
    return updates


ROWS = [
    row("trace", traits={"reference": trace, "hyper": "decay", "power": 1, "optax": True}, decay=0.9),
    row("trace", "nesterov", traits={"reference": trace, "optax": True}, decay=0.9, nesterov=True),
]

FILE = "factors/momentum.py"
MUTANTS = [
    Mutant(
        "trace: looks ahead the wrong way",
        FILE,
        "g + k.decay * m if",
        "m + k.decay * g if",
        reference_of("trace[nesterov]"),
    ),
    Mutant("trace: a mean, not a sum", FILE, "m = g +", "m = (1 - k.decay) * g +", reference_of("trace")),
]
