"""Scale the whole gradient to norm 1."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.norm import norm_of
from gradtx.rules import Rule, Slots, Transform, Tree, divide, factory, leafwise


@factory
def normalize(*, axis_name: AxisName = None) -> Transform:
    """Divide all gradients by their global norm.

    u_t = g_t / sqrt(sum over all leaves of |g_t|^2), 0 where the norm is 0.

    Units: dimensionless (invariant to g -> c g).
    Differs from: optax's where all gradients are 0, which gives NaN there; the norm is taken in float32 or wider here.

    Args:
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norm is that of all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: at update, a leaf that varies over a manual axis that axis_name does not name.

    Cost: no array; one pass to sum, and one multiplication inside the transforms that follow.

    References:
        Foret et al. 2021, equation 2, https://arxiv.org/abs/2010.01412

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.normalize()
        >>> grads = {"a": jnp.array(3.0), "b": jnp.array(4.0)}
        >>> updates, _ = tx.update(grads, tx.init(grads))
        >>> round(updates["a"].item(), 4), round(updates["b"].item(), 4)
        (0.6, 0.8)
    """

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        del k
        check_axes(tree.grads, axis_name)
        norm = norm_of(tree.grads, axis_name)
        return {"per_norm": divide(jnp.ones_like(norm), norm)}, {}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * k.per_norm, slots

    return leafwise(Rule("normalize", update, whole_tree=whole_tree))
