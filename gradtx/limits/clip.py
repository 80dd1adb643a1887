"""Bound the gradient: each number of it, or the whole where its global norm is too large."""

import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.norm import norm_over
from gradtx.rules import Hyper, Range, Rule, Slots, Transform, Tree, factory, leafwise, scalar_dtype


@factory
def clip(max_delta: Annotated[Hyper, Range("[0, inf]")]) -> Transform:
    """Bound the size of each number of the gradient.

    u_t = min(max(g_t, -max_delta), max_delta); a complex number keeps its phase: u_t = g_t min(1, max_delta / |g_t|).
    An infinity becomes the bound, a NaN passes.

    Units: those of g; max_delta has the units of g.
    Equivalent to: optax's `clip`, which takes no complex numbers.

    Args:
        max_delta: >= 0, the largest size that passes; infinity never clips.

    State:
        no slots; the count alone.

    Raises:
        ValueError: max_delta < 0 or NaN.

    Cost: no array; one pass.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.clip(1.0)
        >>> tx.update(jnp.array([-3.0, 0.5, 2.0]), tx.init(jnp.zeros(3)))[0].tolist()
        [-1.0, 0.5, 1.0]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        if not jnp.iscomplexobj(g):
            return jnp.clip(g, -k.max_delta, k.max_delta), slots
        large = jnp.abs(g) > k.max_delta
        return jnp.where(large, g * (k.max_delta / jnp.where(large, jnp.abs(g), 1.0)), g), slots

    hyper, ranges = {"max_delta": max_delta}, {"max_delta": Range("[0, inf]")}
    return leafwise(Rule("clip", update, hyper=hyper, ranges=ranges, role="limit"))


@functools.partial(jax.jit, static_argnums=2)
def clip_factor(leaves: list[jax.Array], bound: jax.Array, axis_name: AxisName = None) -> jax.Array:
    """Return what to multiply all leaves by: 1 within the bound, NaN where the norm is not finite."""
    excess = norm_over(leaves, bound, axis_name)
    return jnp.where(jnp.isfinite(excess), 1.0 / jnp.maximum(excess, 1.0), jnp.nan)


@factory
def clip_by_global_norm(max_norm: Annotated[Hyper, Range("(0, inf]")], *, axis_name: AxisName = None) -> Transform:
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
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norm is that of all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: max_norm <= 0 or NaN; a leaf that varies over a manual axis that axis_name does not name.

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

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        return {"factor": clip_factor(tree.grads, jnp.asarray(k.max_norm, scalar_dtype()), axis_name)}, {}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * lax.convert_element_type(k.factor, g.dtype), slots

    hyper, ranges = {"max_norm": max_norm}, {"max_norm": Range("(0, inf]")}
    return leafwise(
        Rule("clip_by_global_norm", update, hyper=hyper, ranges=ranges, whole_tree=whole_tree, role="limit")
    )
