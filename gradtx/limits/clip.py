"""Bound the whole gradient: scale it down where its global norm is too large."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.hyperparams import Hyper
from gradtx._core.arrays.norm import norm_over
from gradtx._core.arrays.numerics import scalar_dtype
from gradtx._core.contract.transform import Transform, factory
from gradtx._core.engine.leafwise import leafwise
from gradtx._core.engine.rule import Rule, Slots


@jax.jit
def clip_factor(leaves: list[jax.Array], bound: jax.Array) -> jax.Array:
    """Return what to multiply all leaves by: 1 within the bound, NaN where the norm is not finite."""
    excess = norm_over(leaves, bound)
    return jnp.where(jnp.isfinite(excess), 1.0 / jnp.maximum(excess, 1.0), jnp.nan)


@factory
def clip_by_global_norm(max_norm: Hyper) -> Transform:
    """Scale all gradients down together where their global norm exceeds a bound.

    n_t = sqrt(sum over all leaves of |g_t|^2); u_t = g_t min(1, max_norm / n_t).

    n_t is accumulated in float32 or wider in one pass, as sum |g 2^-40 / max_norm|^2: it neither overflows nor
    vanishes for gradients from 1e-7 to 1e31 times max_norm. On a CPU the sum is that of |g|^2, and once more the other
    where it overflows or is below 1e-18. A gradient with a NaN or an infinity makes every update NaN: such a step is
    never applied in part.

    Units: those of g; max_norm has the units of g.
    Differs from: optax's, whose norm is taken in the gradients' dtype, and which turns one infinity into zeros beside
    a NaN.

    Args:
        max_norm: > 0, the largest norm that passes; infinity never clips.

    State:
        no slots; the count alone.

    Raises:
        ValueError: max_norm <= 0 or NaN.

    Cost: no array; one pass to sum, and one multiplication inside the transforms that follow.

    References:
        Pascanu, Mikolov & Bengio 2013, Algorithm 1, https://arxiv.org/abs/1211.5063

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.clip_by_global_norm(1.0)
        >>> grads = {"a": jnp.array(3e19), "b": jnp.array(4e19)}
        >>> updates, _ = tx.update(grads, tx.init(grads))
        >>> round(updates["a"].item(), 4), round(updates["b"].item(), 4)
        (0.6, 0.8)
    """

    def global_scalars(k: SimpleNamespace, leaves: list[jax.Array]) -> Mapping[str, Any]:
        return {"factor": clip_factor(leaves, jnp.asarray(k.max_norm, scalar_dtype()))}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * lax.convert_element_type(k.factor, g.dtype), slots

    hyper = {"max_norm": max_norm}
    return leafwise(Rule("clip_by_global_norm", update, hyper=hyper, global_scalars=global_scalars))
