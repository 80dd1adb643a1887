"""Momentum as a decaying sum of past gradients: the heavy ball, and Nesterov's look ahead."""

from types import SimpleNamespace

import jax
from jax.typing import DTypeLike

from gradtx.rules import Momentum, Rule, Slots, Transform, factory, leafwise, zeros


@factory
def trace(decay: Momentum, nesterov: bool = False, accumulator_dtype: DTypeLike | None = None) -> Transform:
    """Sum past gradients with decaying weights.

    m_t = decay m_{t-1} + g_t, m_0 = 0; u_t = m_t, or with `nesterov` u_t = g_t + decay m_t.

    Units: those of g; under a steady gradient u tends to g / (1 - decay).
    Equivalent to: PyTorch's SGD momentum with dampening 0.

    Args:
        decay: weight of the past, in [0, 1]; 0 gives u = g, 1 a plain sum.
        nesterov: whether to look ahead, as Sutskever et al. write Nesterov's method.
        {accumulator_dtype}

    State:
        trace: like params.

    Raises:
        ValueError: decay outside [0, 1].

    Cost: 1 array per parameter; one pass.

    References:
        Polyak 1964, https://doi.org/10.1016/0041-5553(64)90137-5
        Sutskever et al. 2013, section 2, https://proceedings.mlr.press/v28/sutskever13.html

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.trace(0.9, nesterov=True)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> round(float(u), 4)
        2.71
    """

    def init(p: jax.Array) -> Slots:
        return {"trace": zeros(p, accumulator_dtype)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        m = g + k.decay * slots["trace"]
        return (g + k.decay * m if nesterov else m), {"trace": m}

    return leafwise(Rule("trace", update, init, ("trace",), {"decay": decay}, role="direction"))
