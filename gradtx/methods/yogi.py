"""Yogi: Adam whose second moment moves by the size of the squared gradient, not by its distance from it."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

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
    full,
    held,
    is_above_0,
    quotient,
    root,
    steps,
    unbias,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_yogi(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-3,
    eps_root: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 1e-6,
) -> Transform:
    """Scale as Adam does, by a second moment that grows fast and shrinks slowly.

    m_t = b1 m_{t-1} + (1-b1) g_t; v_t = v_{t-1} - (1-b2) sign(v_{t-1} - g_t^2) g_t^2;
    m_0 = v_0 = initial_accumulator_value; u_t = (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps).

    Where the gradient becomes small v shrinks by (1-b2) g^2 a step, Adam's by (1-b2) v: the rate rises more slowly.

    Units: dimensionless (invariant to g -> c g when eps = eps_root = initial_accumulator_value = 0); eps and the start
    of m have the units of g, eps_root and the start of v those of g^2.
    Differs from: the paper, which corrects neither moment and starts m at 0. Equivalent to optax's `scale_by_yogi`.

    Args:
        {b1}
        b2: 1 - b2 is the share of g^2 by which v moves; in [0, 1).
        {eps}
        {eps_root}
        initial_accumulator_value: m_0 and v_0, >= 0.

    State:
        mu, nu: m and v, like params, float32 or wider; nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps, eps_root or initial_accumulator_value < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zaheer et al. 2018, Algorithm 2, https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_yogi(b1=0.0, b2=0.5, eps=0.0, initial_accumulator_value=0.0)
        >>> u, state = tx.update(jnp.array(4.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> state.slots["nu"].item()
        7.5
    """

    def init(p: jax.Array) -> Slots:
        start = initial_accumulator_value
        return {"mu": full(p, start), "nu": full(p, start, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        return {"unbias_mu": unbias(k.b1, t), "unbias_nu": unbias(k.b2, t)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        del p
        square = held(abs_sq(g))
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        nu = slots["nu"] + (1 - k.b2) * (jnp.sign(square - slots["nu"]) * square)
        return (k.unbias_mu * mu, root(nu * k.unbias_nu + k.eps_root) + k.eps), {"mu": mu, "nu": nu}

    hyper = {"b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}
    positive = is_above_0(eps)
    return quotient(Rule("scale_by_yogi", update, init, ("mu", "nu"), hyper, scalars=scalars, positive=positive))


@factory
def yogi(learning_rate: LearningRate, b1: Decay = 0.9, b2: Decay = 0.999, eps: NonNegative = 1e-3) -> Transform:
    """Descend as Adam does, at a rate that rises slowly.

    u_t = -eta_t (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t)) + eps), with m the moving mean of g from 1e-6 and
    v_t = v_{t-1} - (1-b2) sign(v_{t-1} - g_t^2) g_t^2, v_0 = 1e-6.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `yogi`.

    Args:
        {learning_rate}
        {b1}
        b2: 1 - b2 is the share of g^2 by which v moves; in [0, 1).
        {eps}

    State:
        a tuple: of `scale_by_yogi` (mu, nu, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zaheer et al. 2018, Algorithm 2, https://papers.nips.cc/paper/8186-adaptive-methods-for-nonconvex-optimization

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.yogi(0.1, eps=0.0)
        >>> u, state = tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))
        >>> round(u.item(), 4)
        -0.1
    """
    return chain(scale_by_yogi(b1, b2, eps), scale_by_learning_rate(learning_rate))
