"""RMSProp: Tieleman & Hinton 2012; about the mean: Graves 2013, equations 38 to 45."""

import math

from tests.registry.base import FUSED, Mutant, identity, reference_of, row
from tests.registry.numbers import Hyper, Tree, at, elements, like, ratio, rising


def scale_by_rms(
    grads: list[Tree],
    params: Tree,
    *,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
    first_gradient: bool = False,
) -> list[Tree]:
    """nu_t = a nu_{t-1} + (1-a) g_t^2; u_t = g_t / sqrt(nu_t).

    nu_0 = initial_scale, or with `first_gradient` sigma_0 = |g_0| at the first step, as the lecture's slide 2.2b.
    """
    nu = like(params, initial_scale)
    updates = []
    for t, g in enumerate(grads, start=1):
        a, e = at(decay, t), at(eps, t)
        u = like(params)
        for name, i in elements(params):
            square = g[name][i] ** 2
            if first_gradient and t == 1:
                nu[name][i] = square
            else:
                nu[name][i] = a * nu[name][i] + (1 - a) * square
            mean = nu[name][i] / (1 - a**t) if bias_correction else nu[name][i]
            sigma = math.sqrt(mean + e) if eps_in_sqrt else math.sqrt(mean) + e
            u[name][i] = ratio(g[name][i], sigma)
        updates.append(u)
    return updates


def scale_by_stddev(
    grads: list[Tree],
    params: Tree,
    *,
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> list[Tree]:
    """n_t = a n_{t-1} + (1-a) g_t^2; m_t = a m_{t-1} + (1-a) g_t; u_t = g_t / sqrt(n_t - m_t^2 + eps)."""
    n, m = like(params, initial_scale), like(params)
    updates = []
    for t, g in enumerate(grads, start=1):
        a, e = at(decay, t), at(eps, t)
        weights = 1 - a**t if bias_correction else 1.0
        u = like(params)
        for name, i in elements(params):
            n[name][i] = a * n[name][i] + (1 - a) * g[name][i] ** 2
            m[name][i] = a * m[name][i] + (1 - a) * g[name][i]
            variance = max(n[name][i] / weights - (m[name][i] / weights) ** 2, 0.0)
            sigma = math.sqrt(variance + e) if eps_in_sqrt else math.sqrt(variance) + e
            u[name][i] = ratio(g[name][i], sigma)
        updates.append(u)
    return updates


RMS, STDDEV = {"reference": scale_by_rms}, {"reference": scale_by_stddev}
ROWS = [
    row("scale_by_rms", traits={**RMS, "hyper": "decay", "optax": True}),
    row("scale_by_rms", "eps outside", traits={**RMS, "optax": True}, eps_in_sqrt=False, initial_scale=0.5),
    row("scale_by_rms", "corrected", traits={**RMS, "fused": FUSED, "optax": True}, bias_correction=True),
    row("scale_by_rms", "first gradient", traits={**RMS, "numbers_only": ("initial_scale",)}, first_gradient=True),
    row("scale_by_stddev", traits={**STDDEV, "hyper": "decay", "optax": True}),
    row(
        "scale_by_stddev",
        "corrected",
        traits={**STDDEV, "fused": FUSED},
        bias_correction=True,
        eps_in_sqrt=False,
        initial_scale=1000.0,
    ),
]
CASES = [
    row("scale_by_rms", "no eps", traits={**RMS, "power": 0}, eps=0.0),
    row("scale_by_rms", "first gradient, no eps", traits={**RMS, "power": 0}, eps=0.0, first_gradient=True),
    row("scale_by_rms", "corrected, no eps", traits={**RMS, "power": 0}, eps=0.0, bias_correction=True),
    row(
        "scale_by_rms",
        "all settings",
        traits=RMS,
        decay=0.99,
        eps=1e-3,
        initial_scale=0.5,
        eps_in_sqrt=False,
        bias_correction=True,
    ),
    row("scale_by_rms", "schedules", traits=RMS, decay=rising, first_gradient=True),
    row("scale_by_stddev", "no eps", traits={**STDDEV, "power": 0}, eps=0.0),
    row("scale_by_stddev", "all settings", traits=STDDEV, decay=0.5, eps=1e-3, initial_scale=2.0, eps_in_sqrt=False),
    row("scale_by_stddev", "corrected from 0", traits={**STDDEV, "first": 2}, bias_correction=True),
]

FILE = "factors/rms.py"
MUTANTS = [
    Mutant("rms: not squared", FILE, "k.add * held(abs_sq(g))", "k.add * abs(g)", reference_of("scale_by_rms")),
    Mutant(
        "rms: eps on the wrong side",
        FILE,
        "if eps_in_sqrt else (0.0, eps)\n    rule",
        "if not eps_in_sqrt else (0.0, eps)\n    rule",
        reference_of("scale_by_rms", "scale_by_rms[eps outside]"),
    ),
    Mutant(
        "rms: never corrected",
        FILE,
        "unbias(k.decay, steps(count)) if debias else 1.0",
        "1.0",
        reference_of("scale_by_rms[corrected]"),
    ),
    Mutant(
        "rms: starts at 0",
        FILE,
        'return {"nu": full(p, initial_scale,',
        'return {"nu": full(p, 0.0,',
        reference_of("scale_by_rms[eps outside]"),
    ),
    Mutant(
        "rms: first gradient one step late",
        FILE,
        "jnp.where(count == 0, 0.0, k.decay)",
        "jnp.where(count == 1, 0.0, k.decay)",
        reference_of("scale_by_rms[first gradient]"),
    ),
    Mutant(
        "rms: first gradient weighted by 1 - decay",
        FILE,
        "jnp.where(count == 0, 1.0, 1 - k.decay)",
        "1 - k.decay",
        identity("the_first_gradient_is_the_first_sigma"),
    ),
    Mutant(
        "rms: two starts pass",
        FILE,
        "if first_gradient and (",
        "if False and first_gradient and (",
        identity("one_start_only"),
    ),
    Mutant(
        "stddev: mean not corrected",
        FILE,
        '{"new": 1.0 - rest,',
        '{"new": 1 - k.decay,',
        reference_of("scale_by_stddev[corrected]"),
    ),
    Mutant(
        "stddev: about 0",
        FILE,
        "held(abs_sq(g - mu))",
        "held(abs_sq(g))",
        reference_of("scale_by_stddev"),
    ),
    Mutant(
        "stddev: about the old mean",
        FILE,
        "k.away * held(abs_sq(g - mu))",
        "k.new * held(abs_sq(g - mu))",
        reference_of("scale_by_stddev"),
    ),
]
