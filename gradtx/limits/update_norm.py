"""Make every update equally long: divide by the norm of the whole tree."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.norm import norm_of
from gradtx.rules import Finite, NonNegative, Rule, Slots, Transform, Tree, divide, factory, leafwise


@factory
def normalize_by_update_norm(
    scale_factor: Finite = 1.0, eps: NonNegative = 1e-6, *, axis_name: AxisName = None
) -> Transform:
    """Scale all gradients together so that their global norm is a given number.

    n_t = sqrt(sum over all leaves of |g_t|^2); u_t = scale_factor g_t / (n_t + eps), 0 where n_t + eps is 0.

    n_t is summed in float32 or wider and neither overflows nor vanishes. A gradient with a NaN or an infinity makes
    every update NaN: such a step is never applied in part.

    Units: those of scale_factor (invariant to g -> c g when eps = 0); eps has the units of g.
    Differs from: optax's, whose norm is taken in the gradients' dtype, and which turns one infinity into zeros beside a
    NaN.

    Args:
        scale_factor: finite, the norm of the updates; a negative one descends.
        eps: added to the norm, >= 0.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norm is that of all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf varies over a manual axis that axis_name does not name.

    Cost: no array; one pass to sum, and one multiplication inside the transforms that follow.

    References:
        Hazan, Levy & Shalev-Shwartz 2015, Algorithm 1, https://arxiv.org/abs/1507.02030

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.normalize_by_update_norm(scale_factor=-1.0)
        >>> grads = {"a": jnp.array(3e19), "b": jnp.array(4e19)}
        >>> updates, _ = tx.update(grads, tx.init(grads))
        >>> round(updates["a"].item(), 4), round(updates["b"].item(), 4)
        (-0.6, -0.8)
    """

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        norm = norm_of(tree.grads, axis_name)
        length, least = (jnp.asarray(x, norm.dtype) for x in (k.scale_factor, k.eps))
        return {"factor": jnp.where(jnp.isfinite(norm), divide(length, norm + least), jnp.nan)}, {}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * lax.convert_element_type(k.factor, g.dtype), slots

    hyper = {"scale_factor": scale_factor, "eps": eps}
    return leafwise(Rule("normalize_by_update_norm", update, hyper=hyper, whole_tree=whole_tree))
