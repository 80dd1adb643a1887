"""Frozen parameters: an update of 0, and no state where the optimizer is told of them."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx.rules import Rule, Slots, Transform, factory, leafwise
from gradtx.wrappers.masked import Masked


@factory
def freeze(mask: Any) -> Transform:
    """Set the updates to 0 where a mask is True, and pass the others on.

    u_t = 0 where the mask is True, also where g_t is not finite; u_t = g_t elsewhere. Put it last in a chain. What runs
    before it keeps state for the frozen leaves too: `selective_transform` does not.

    Units: those of g.
    Equivalent to: optax's `freeze`.

    Args:
        mask: tree of bools, like the params or a prefix of them, or a function of the params (of the gradients where
            `update` is given no params) that returns one.

    State:
        no slots; the count alone.

    Raises:
        TypeError: at init or update, a leaf of the mask is no bool.
        ValueError: at init or update, the mask lacks a key of the params or has one too many.

    Cost: no array; what only a frozen update would need is not computed under jit.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.freeze({"w": True, "b": False})
        >>> params = {"w": jnp.array(1.0), "b": jnp.array(1.0)}
        >>> u, _ = tx.update({"w": jnp.array(2.0), "b": jnp.array(3.0)}, tx.init(params), params)
        >>> u["w"].item(), u["b"].item()
        (0.0, 3.0)
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p, k
        return jnp.zeros_like(g), slots

    return leafwise(Rule("freeze", update, role="limit", still=True), mask=mask)


@factory
def selective_transform(optimizer: optax.GradientTransformation, *, freeze_mask: Any) -> Transform:
    """Optimize the leaves at which a mask is False, and hold the others still.

    u_t is what `optimizer` makes of g_t where the mask is False, u_t = 0 elsewhere. A frozen leaf has no state, is not
    decayed, and counts in no norm that the optimizer takes.

    Units: those of the update of optimizer.
    Equivalent to: optax's `selective_transform`.

    Args:
        optimizer: gradtx's or optax's.
        freeze_mask: tree of bools, like the params or a prefix of them, or a function that returns one, called with the
            params by `init` and with the gradients by `update`; True holds a leaf still.

    State:
        inner_state: that of optimizer, None in place of the frozen leaves.

    Raises:
        TypeError: optimizer is no transform; a leaf of the mask is no bool.
        ValueError: at init or update, the mask lacks a key or has one too many; at update, another's state.

    Cost: no array; that of optimizer on what is not frozen.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> mask = {"w": True, "b": False}
        >>> tx = gradtx.selective_transform(gradtx.adamw(0.1), freeze_mask=mask)
        >>> params = {"w": jnp.array(1.0), "b": jnp.array(0.0)}
        >>> grads = {"w": jnp.array(2.0), "b": jnp.array(3.0)}
        >>> u, state = tx.update(grads, tx.init(params), params)
        >>> u["w"].item(), round(u["b"].item(), 4), state.inner_state[0].mu["w"]
        (0.0, -0.1, None)
    """
    inside = member("selective_transform", "optimizer", optimizer)
    settings = {"optimizer": inside, "freeze_mask": freeze_mask}
    body = Masked(inside, "selective_transform", mask=freeze_mask, wanted=False, freezes=True)
    return Transform.of(body, Info(settings, wrapped("selective_transform", settings)))
