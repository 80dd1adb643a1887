"""Gradient centralization: subtract from the gradient of each output unit its mean."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, refuse_shards, split_over
from gradtx.rules import Rule, Slots, Transform, factory, leafwise


@factory
def centralize(*, axis_name: AxisName = None) -> Transform:
    """Subtract the mean of the gradient over all dimensions but the first.

    u_t = g_t - mean of g_t over the dimensions 2, 3, ...; arrays of less than 2 dimensions pass unchanged.

    Units: those of g.
    Equivalent to: optax's `centralize`.
    Differs from: the paper where the first dimension is not that of the outputs, as in the kernels of flax, whose last
    dimension is; the paper's mean is over the inputs of each output.

    Args:
        axis_name: the mesh axis, or axes, over which the dimensions of the mean are split inside `shard_map`; () where
            each shard holds whole rows. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: a leaf varies over a manual axis that axis_name does not name.

    Cost: no array; one pass to sum, and one to subtract.

    References:
        Yong et al. 2020, equation 1, https://arxiv.org/abs/2004.01461

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.centralize()
        >>> g = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
        >>> tx.update(g, tx.init(g))[0].tolist()
        [[-1.0, 0.0, 1.0], [-2.0, -1.0, 3.0]]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p, k
        if g.ndim <= 1:
            return g, slots
        # a product with the share of each number, for a sum may overflow where its mean does not
        shares = jnp.full(g.shape[1:], 1.0 / max(math.prod(g.shape[1:]), 1), g.dtype)
        mean = jnp.tensordot(g, shares, axes=g.ndim - 1, precision=lax.Precision.HIGHEST)
        over = split_over(g, axis_name)
        return g - lax.expand_dims(lax.pmean(mean, over) if over else mean, range(1, g.ndim)), slots

    check = refuse_shards(axis_name)
    return leafwise(Rule("centralize", update, check=check, elementwise=False, role="direction"))
