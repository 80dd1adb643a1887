"""The moving mean of gradients: Kingma & Ba 2014, section 3; the look ahead of Dozat 2016, Algorithm 2.

Dozat's momentum schedule is constant here, so his two products of decays are powers.
"""

from tests.reference.tree import Hyper, Tree, at, elements, like


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
