"""The trust ratio: make the update of each array as large as the array, of LARS, LAMB and Fromage."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.axes import AxisName, refuse_shards
from gradtx._core.arrays.norm import norm_of_leaf
from gradtx.rules import Finite, NonNegative, Rule, Slots, Transform, factory, leafwise


def as_large_as(
    p: jax.Array, u: jax.Array, min_norm: Any, coefficient: Any = 1.0, eps: Any = 0.0, axis_name: AxisName = None
) -> jax.Array:
    """Return coefficient u max(|p|, min_norm) / (max(|u|, min_norm) + eps), u itself where one of the sizes is 0."""
    size_p, size_u = (jnp.maximum(norm_of_leaf(x, axis_name), min_norm) for x in (p, u))
    zero = (size_p == 0) | (size_u == 0)
    inverse = jnp.where(zero, 1.0, 1.0 / jnp.where(zero, 1.0, size_u + eps))
    inverse = jnp.where(jnp.isfinite(size_u), inverse, jnp.nan)
    # one after the other, for their product may leave the range of float32
    return (u * inverse) * jnp.where(zero, 1.0, coefficient * size_p)


@factory
def scale_by_trust_ratio(
    min_norm: NonNegative = 0.0,
    trust_coefficient: Finite = 1.0,
    eps: NonNegative = 0.0,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Scale each array of the update to the size of its parameter.

    with |x| the Euclidean norm of one array, and n(x) = max(|x|, min_norm):
    u_t = trust_coefficient g_t n(p_t) / (n(g_t) + eps), and u_t = g_t where n(p_t) or n(g_t) is 0, so that a parameter
    of zeros can move.

    The norms are summed in float32 or wider and neither overflow nor vanish. An array with a NaN or an infinity becomes
    NaN as a whole: it is never applied in part.

    Units: those of p (invariant to g -> c g when min_norm = eps = 0); min_norm has the units of p and of g, eps of g.
    Differs from: optax's, which squares in the dtypes of g and p, and which turns one infinity into zeros beside a NaN.

    Args:
        min_norm: >= 0, the least size that p and g count with.
        trust_coefficient: finite, multiplies the ratio; LARS calls it eta.
        eps: added to the size of g, >= 0.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: a norm is that of all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: min_norm or eps < 0; a leaf varies over a manual axis that axis_name does not name; at update,
            params missing.

    Cost: no array; one pass to sum each of g and p, and one to multiply. In a chain what comes before is written out
        once, on one CPU device one leaf after another in the same memory.

    References:
        You et al. 2017, equation 6, https://arxiv.org/abs/1708.03888

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_trust_ratio()
        >>> params = jnp.array([6.0, 8.0])
        >>> updates, _ = tx.update(jnp.array([3e19, 4e19]), tx.init(params), params)
        >>> [round(u, 4) for u in updates.tolist()]
        [6.0, 8.0]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return as_large_as(p, g, k.min_norm, k.trust_coefficient, k.eps, axis_name), slots

    hyper, check = {"min_norm": min_norm, "trust_coefficient": trust_coefficient, "eps": eps}, refuse_shards(axis_name)
    rule = Rule("scale_by_trust_ratio", update, hyper=hyper, needs_params=True, check=check, elementwise=False)
    return leafwise(rule)
