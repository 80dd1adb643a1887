"""Decoupled weight decay: add a share of the parameter to the update, always or only where both agree."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.numerics import opposed
from gradtx.rules import Finite, Rule, Slots, Transform, factory, leafwise


@factory
def add_decayed_weights(weight_decay: Finite = 0.0, mask: Any = None) -> Transform:
    """Add the parameter times the weight decay.

    u_t = g_t + weight_decay p_t where the mask is True, u_t = g_t elsewhere. After an adaptive scale this is AdamW's
    decoupled decay (times the learning rate that follows); before it, L2 regularisation.

    Units: weight_decay has those of g over those of p.
    Equivalent to: optax's `add_decayed_weights`.

    Args:
        weight_decay: finite; 0 turns it off, a negative one makes the parameters grow.
        mask: tree of bools, like the params or a prefix of them, or a function of the params that returns one; None
            decays everything.

    State:
        no slots; the count alone.

    Raises:
        ValueError: weight_decay is NaN or infinite; a mask that does not fit the params; at update, params missing.
        TypeError: a leaf of the mask is no bool.

    Cost: no array; one pass.

    References:
        Loshchilov & Hutter 2019, Algorithm 2, https://arxiv.org/abs/1711.05101

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.add_decayed_weights(0.1, mask={"w": True, "b": False})
        >>> params = {"w": jnp.array(2.0), "b": jnp.array(2.0)}
        >>> grads = {"w": jnp.array(1.0), "b": jnp.array(1.0)}
        >>> updates, _ = tx.update(grads, tx.init(params), params)
        >>> round(updates["w"].item(), 4), updates["b"].item()
        (1.2, 1.0)
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        if (
            isinstance(k.weight_decay, float) and k.weight_decay == 0.0
        ):  # else XLA writes g + 0 p out where it stands first
            return g, slots
        return g + k.weight_decay * p, slots

    hyper = {"weight_decay": weight_decay}
    rule = Rule("add_decayed_weights", update, hyper=hyper, needs_params=True, role="decay")
    return leafwise(rule, mask=mask)


@factory
def add_cautious_weight_decay(weight_decay: Finite = 0.0, mask: Any = None) -> Transform:
    """Add the parameter times the weight decay where the step would move it towards 0 anyway.

    u_t = g_t + weight_decay p_t where g_t p_t >= 0 and the mask is True, u_t = g_t elsewhere. g_t is what the scale
    before it made of the gradient, and points up it: put it where `add_decayed_weights` stands in AdamW.

    Units: weight_decay has those of g over those of p.
    Equivalent to: the paper's decay; of complex numbers the real part of conj(g) p is compared.

    Args:
        weight_decay: finite; 0 turns it off.
        {mask}

    State:
        no slots; the count alone.

    Raises:
        ValueError: weight_decay is NaN or infinite; a mask that does not fit the params; at update, params missing.
        TypeError: a leaf of the mask is no bool.

    Cost: no array; one pass.

    References:
        Chen et al. 2025, Algorithm 1, https://arxiv.org/abs/2510.12402

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.add_cautious_weight_decay(0.5)
        >>> params = jnp.array([2.0, -2.0, 2.0])
        >>> tx.update(jnp.array([1.0, 1.0, 0.0]), tx.init(params), params)[0].tolist()
        [2.0, 1.0, 1.0]
    """

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del k
        return {"one": jnp.where(count < 0, 2.0, 1.0)}  # always 1, which XLA cannot know

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        g = g * k.one  # XLA:CPU writes a quotient out that is read twice, and computes a product twice
        return g + jnp.where(opposed(g, p), 0.0, k.weight_decay) * p, slots

    hyper = {"weight_decay": weight_decay}
    rule = Rule("add_cautious_weight_decay", update, hyper=hyper, scalars=scalars, needs_params=True, role="decay")
    return leafwise(rule, mask=mask)
