"""Hold updates back and give their sum every few steps."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.whole import whole
from gradtx.rules import Rule, Slots, Transform, factory, leafwise, zeros


@factory
def apply_every(k: int = 1) -> Transform:
    """Give the sum of the last k updates every k steps, and zeros between.

    with v_t what comes in, t = 1, 2, ...: u_t = v_{t-k+1} + ... + v_t where t is a multiple of k, else u_t = 0.

    Put it last in a chain: what stands before it runs in every step, at parameters that move every k steps only. To
    update once for the mean of several gradients, use `accumulate`.

    Units: those of v.
    Differs from: optax's, in which a v that is not finite stays in the sum for good outside jit; here it spoils the sum
    that it is in, and no later one.

    Args:
        k: steps to an update, a whole number >= 1; at 1 nothing changes.

    State:
        grad_acc: like params, float32 or wider: the sum so far.

    Raises:
        TypeError: k is no whole number.
        ValueError: k < 1.

    Cost: 1 array per parameter; one pass.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.chain(gradtx.sgd(0.5), gradtx.apply_every(2))
        >>> state = tx.init(jnp.array(0.0))
        >>> for g in (2.0, 4.0, 6.0):
        ...     u, state = tx.update(jnp.array(g), state)
        ...     print(u.item())
        0.0
        -3.0
        0.0
    """
    every = whole("apply_every", "k", k)

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del k
        place = count % every
        return {"begins": place == 0, "ends": place == every - 1}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        total = jnp.where(k.begins, g, slots["grad_acc"] + g)
        return jnp.where(k.ends, total, jnp.zeros_like(total)), {"grad_acc": total}

    return leafwise(Rule("apply_every", update, lambda p: {"grad_acc": zeros(p)}, ("grad_acc",), scalars=scalars))
