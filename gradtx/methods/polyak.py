"""Polyak's step size: as far as a line along the gradient would take the loss down to its smallest value."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import measured
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.norm import norm_of
from gradtx._core.contract.errors import message
from gradtx.rules import (
    Finite,
    Hyper,
    LearningRate,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    chain,
    divide,
    factory,
    leafwise,
    root,
    scalar_dtype,
)
from gradtx.schedules.apply import scale_by_learning_rate

Largest = Annotated[Hyper, Range("[0, inf]")]
VARIANTS = ("sps", "sps+")


@factory
def scale_by_polyak(
    f_min: Finite = 0.0,
    max_learning_rate: Largest = 1.0,
    eps: NonNegative = 0.0,
    variant: str = "sps",
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Multiply by Polyak's step size, which needs the value of the loss.

    n_t = sqrt(sum over all leaves of |g_t|^2); s_t = min((f_t - f_min) / (n_t^2 + eps), max_learning_rate), 0 where
    n_t^2 + eps is 0; u_t = s_t g_t. The variant "sps+" has max(f_t - f_min, 0) in place of f_t - f_min.

    f_t is given at each update: `update(grads, state, params, value=loss)`. Below f_min "sps" ascends.

    Units: s has the units of p over those of g; eps has the units of g^2, f_min those of the loss.
    Equivalent to: optax's `scale_by_polyak`, which takes no step where n_t^2 + eps is below 2e-16.

    Args:
        f_min: the smallest value of the loss, or a guess of it, finite.
        max_learning_rate: the largest step size, >= 0; infinity is no bound.
        eps: added to the squared norm, >= 0.
        variant: "sps" or "sps+".
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norm is that of all
            shards together. None is no axis.

    State:
        no slots; the count alone.

    Raises:
        ValueError: a hyperparameter is out of its range, an unknown variant; at update, value missing or no scalar,
            or a leaf that varies over a manual axis which axis_name does not name.
        TypeError: at update, value is no real number.

    Cost: no array; one pass to sum, and one multiplication.

    References:
        Loizou et al. 2021, equation 3 (SPS_max), https://arxiv.org/abs/2002.10542
        Garrigos, Gower & Schaipp 2023, section 2 (SPS+), https://arxiv.org/abs/2307.14528

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, g = gradtx.scale_by_polyak(), jnp.array([3.0, 4.0])
        >>> tx.update(g, tx.init(g), value=12.5)[0].tolist()
        [1.5, 2.0]
    """
    if variant not in VARIANTS:
        raise ValueError(
            message("scale_by_polyak", "variant", f"= {variant!r}", "'sps' or 'sps+'", "write one of them")
        )

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        gap = measured("scale_by_polyak", "value", tree.extra["value"]) - k.f_min
        gap = gap if variant == "sps" else jnp.maximum(gap, 0.0)
        norm = lax.convert_element_type(norm_of(tree.grads, axis_name), scalar_dtype())
        least = root(jnp.asarray(k.eps, scalar_dtype()))
        unit = jnp.maximum(norm, least)  # over it neither square vanishes or overflows
        square = divide(norm, unit) ** 2 + divide(least, unit) ** 2
        far = lax.optimization_barrier(divide(gap, unit))  # XLA makes a / (b c) of (a / b) / c, and b c may vanish
        return {"step": jnp.minimum(divide(far, unit * square), k.max_learning_rate)}, {}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * k.step, slots

    rule = Rule(
        "scale_by_polyak",
        update,
        hyper={"f_min": f_min, "max_learning_rate": max_learning_rate, "eps": eps},
        ranges={"max_learning_rate": Range("[0, inf]"), "eps": Range("[0, inf)")},
        whole_tree=whole_tree,
        extra=("value",),
    )
    return leafwise(rule)


@factory
def polyak_sgd(
    max_learning_rate: Largest = 1.0,
    scaling: LearningRate = 1.0,
    f_min: Finite = 0.0,
    eps: NonNegative = 0.0,
    variant: str = "sps",
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend along the gradient by Polyak's step size.

    u_t = -scaling_t min((f_t - f_min) / (|g_t|^2 + eps), max_learning_rate) g_t, the norm over all leaves; with the
    variant "sps+" max(f_t - f_min, 0) in place of f_t - f_min. f_t is given at each update:
    `update(grads, state, params, value=loss)`.

    Units: scaling is dimensionless, max_learning_rate has the units of p over those of g.
    Equivalent to: optax's `polyak_sgd` where scaling = 1.
    Differs from: optax's elsewhere, which takes the norm after the scaling, so that its step goes as 1 / scaling.

    Args:
        max_learning_rate: the largest step size before it is scaled, >= 0; infinity is no bound.
        scaling: multiplies the step, >= 0; number, array, schedule or event schedule.
        f_min: the smallest value of the loss, or a guess of it, finite.
        eps: added to the squared norm, >= 0.
        variant: "sps" or "sps+".
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norm is that of all
            shards together. None is no axis.

    State:
        a tuple: of `scale_by_polyak` and of the rate; no slots.

    Raises:
        ValueError: a hyperparameter is out of its range, an unknown variant; at update, value missing or no scalar,
            or a leaf that varies over a manual axis which axis_name does not name.
        TypeError: at update, value is no real number.

    Cost: no array; one pass to sum, and one more.

    References:
        Loizou et al. 2021, equation 3 (SPS_max), https://arxiv.org/abs/2002.10542; Garrigos, Gower & Schaipp 2023, https://arxiv.org/abs/2307.14528

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.polyak_sgd(), jnp.array([1.0, 2.0, 3.0])
        >>> state, losses = tx.init(params), []
        >>> for _ in range(3):
        ...     loss = jnp.sum(params**2)
        ...     updates, state = tx.update(2 * params, state, params, value=loss)
        ...     params = gradtx.apply_updates(params, updates)
        ...     losses.append(round(float(loss), 4))
        >>> losses
        [14.0, 3.5, 0.875]
    """
    scaled = scale_by_polyak(f_min, max_learning_rate, eps, variant, axis_name=axis_name)
    return chain(scaled, scale_by_learning_rate(scaling))
