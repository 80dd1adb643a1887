"""Skeleton: a debiased mean of gradients over a root mean square; say the idea of the method in one paragraph here."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax

from gradtx.rules import (
    Decay,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    abs_sq,
    chain,
    factory,
    held,
    quotient,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory  # checks the arguments against the ranges at their annotations, names the transform, fills in {b1}
def scale_by_skeleton(b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8) -> Transform:
    """Scale by the ratio of debiased moments.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; v_t = b2 v_{t-1} + (1-b2) g_t^2, v_0 = 0;
    u_t = (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t)) + eps).

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g.
    Equivalent to: `scale_by_adam`.

    Args:
        {b1}
        {b2}
        {eps}

    State:
        mu, nu: like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 1, https://arxiv.org/abs/1412.6980

    Examples:
        >>> import jax.numpy as jnp
        >>> tx = scale_by_skeleton()
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(float(u), 4)
        0.9178
    """

    def init(p: jax.Array) -> Slots:  # the slots of ONE array, float32 or wider; nu is real also where p is complex
        return {"mu": zeros(p), "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:  # once a step, for the whole tree
        t = steps(count)
        return {"unbias_mu": unbias(k.b1, t), "unbias_nu": unbias(k.b2, t)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        del p
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        nu = k.b2 * slots["nu"] + (1 - k.b2) * held(abs_sq(g))
        m, sigma = k.unbias_mu * mu, root(nu * k.unbias_nu) + k.eps  # from the NEW slots
        return (m, sigma), {"mu": mu, "nu": nu}

    hyper = {"b1": b1, "b2": b2, "eps": eps}
    return quotient(Rule("scale_by_skeleton", update, init, ("mu", "nu"), hyper, scalars=scalars))


@factory
def skeleton(learning_rate: LearningRate, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-8) -> Transform:
    """Descend by the ratio of debiased moments.

    u_t = -eta_t (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t)) + eps).

    Units: eta has the units of p; eps those of g.
    Equivalent to: `adam`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}

    State:
        a tuple: of `scale_by_skeleton` (mu, nu, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Kingma & Ba 2014, Algorithm 1, https://arxiv.org/abs/1412.6980

    Examples:
        >>> skeleton(1e-3)
        chain(scale_by_skeleton(b1=0.9, b2=0.999, eps=1e-08), scale_by_learning_rate(0.001))
    """
    return chain(scale_by_skeleton(b1, b2, eps), scale_by_learning_rate(learning_rate))
