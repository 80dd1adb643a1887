"""Momentum as a mean: the exponential moving average of past gradients, Adam's direction."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
from jax.typing import DTypeLike

from gradtx.rules import Decay, Rule, Slots, Transform, factory, leafwise, steps, unbias, zeros


@factory
def ema(
    decay: Decay, debias: bool = True, accumulator_dtype: DTypeLike | None = None, *, nesterov: bool = False
) -> Transform:
    """Average past gradients with exponentially decaying weights.

    m_t = decay m_{t-1} + (1 - decay) g_t, m_0 = 0; u_t = m_t / (1 - decay^t) with `debias`, else m_t.
    With `nesterov`, u_t = decay m_t / (1 - decay^(t+1)) + (1 - decay) g_t / (1 - decay^t); undebiased without
    the denominators.

    Units: those of g; under a steady gradient u tends to g.

    Args:
        decay: weight of the past, in [0, 1); 0 gives u = g.
        debias: whether to divide by the sum of the weights so far, which makes the mean unbiased from the start.
        {accumulator_dtype}
        nesterov: whether to look one step ahead, as NAdam does.

    State:
        mu: like params.

    Raises:
        ValueError: decay outside [0, 1).

    Cost: 1 array per parameter; one pass.

    References:
        Kingma & Ba 2014, section 3, https://arxiv.org/abs/1412.6980
        Dozat 2016 (nesterov), https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.ema(0.9, debias=False)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> round(float(u), 4)
        0.1
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, accumulator_dtype)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        if not debias:
            return {"unbias": 1.0, "unbias_next": 1.0}
        now = unbias(k.decay, steps(count))
        # with now = 1 / (1 - decay^t) that of the next step needs no power of its own: 1 / (1 - decay (1 - 1 / now))
        next_one = {"unbias_next": now / (now * (1 - k.decay) + k.decay)} if nesterov else {}
        return {"unbias": now, **next_one}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        m = k.decay * slots["mu"] + (1 - k.decay) * g
        if nesterov:
            return (k.decay * k.unbias_next) * m + ((1 - k.decay) * k.unbias) * g, {"mu": m}
        return k.unbias * m, {"mu": m}

    return leafwise(Rule("ema", update, init, ("mu",), {"decay": decay}, scalars=scalars, role="direction"))
