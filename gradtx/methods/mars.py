"""MARS: Adam on gradients whose noise is reduced by a share of their last change, each clipped to norm 1."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.arrays.axes import AxisName, check_axes, summed_over
from gradtx._core.arrays.norm import SHRINK, shrunk_square, total
from gradtx._core.arrays.numerics import wider
from gradtx._core.arrays.turns import first_turn, next_turn, takes_turns
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.limits.clip import clip_factor
from gradtx.rules import (
    Decay,
    Finite,
    Hyper,
    LearningRate,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    abs_sq,
    behind,
    chain,
    factory,
    held,
    in_turn,
    quotient,
    root,
    scalar_dtype,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate

Bound = Annotated[Hyper, Range("(0, inf]")]


def corrected(g: jax.Array, last: jax.Array, weight: jax.Array) -> jax.Array:
    """Return the gradient and a share of its last change, in the wider dtype of both."""
    dtype = wider(g.dtype, last.dtype)
    g, last = (lax.convert_element_type(x, dtype) for x in (g, last))
    return g + lax.convert_element_type(lax.convert_element_type(weight, g.real.dtype), dtype) * (g - last)


def share_of(
    grads: list[jax.Array], lasts: list[jax.Array], weight: jax.Array, bound: jax.Array, axis_name: AxisName
) -> jax.Array:
    """Return what bounds the norm of all corrected gradients, NaN where it is not finite."""
    squares, turn = [], first_turn()
    for g, last in zip(grads, lasts, strict=True):
        # with scalars of its own, for XLA:CPU would make one array of a scalar that many leaves are multiplied by
        own = turn if takes_turns(g) else None
        c = corrected(g, last, in_turn(weight, own))
        squares.append(shrunk_square(c, in_turn(SHRINK / bound, own)))
        turn = turn if own is None else next_turn(squares[-1])
    squares = summed_over(squares, grads, axis_name)
    excess = root(total(squares, bound.dtype)) * (1.0 / SHRINK)
    return jnp.where(jnp.isfinite(excess), 1.0 / jnp.maximum(excess, 1.0), jnp.nan)


@factory
def scale_by_mars(
    b1: Decay = 0.95,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    gamma: Finite = 0.025,
    mu_dtype: DTypeLike | None = None,
    *,
    max_norm: Bound = 1.0,
    per_array: bool = False,
    axis_name: AxisName = None,
) -> Transform:
    """Scale variance-reduced gradients by Adam's ratio of debiased moments.

    c_t = g_t + gamma b1 / (1-b1) (g_t - g_{t-1}), g_0 = g_1; d_t = c_t min(1, max_norm / |c_t|), the norm over all
    leaves; m_t = b1 m_{t-1} + (1-b1) d_t, m_0 = 0; v_t = b2 v_{t-1} + (1-b2) d_t^2, v_0 = 0;
    u_t = (m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t)) + eps).

    This is the approximate form, which takes the last gradient as it was; the exact one computes it anew on this batch.

    Units: dimensionless; max_norm and eps have the units of g.
    Differs from: the authors' code, which clips each array by a norm of its own (`per_array`), starts from g_0 = 0 and
    leaves arrays that are no matrices to AdamW.

    Args:
        b1: decay of the mean of d, in [0, 1).
        b2: decay of the mean of d^2, in [0, 1).
        {eps}
        gamma: weight of the change, finite; 0 reduces nothing.
        mu_dtype: dtype the mean of d is stored in; None is the parameter's, float32 or wider.
        max_norm: the largest norm of c that passes, > 0; infinity never clips.
        per_array: whether each array is clipped by its own norm.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: a norm is that of all
            shards together. None is no axis.

    State:
        mu, nu, last: like params, float32 or wider (mu in mu_dtype); nu real; last is g_{t-1}.

    Raises:
        ValueError: a hyperparameter is out of its range; a leaf varies over a manual axis that axis_name does not name.

    Cost: 3 arrays per parameter; one pass for the norm and one more.

    References:
        Yuan et al. 2024, Algorithm 2 (MARS-AdamW) in its approximate form, https://arxiv.org/abs/2411.10438

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_mars(b1=0.5, b2=0.5, gamma=0.5, max_norm=10.0)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> round(u.item(), 4)
        0.9045
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype), "nu": zeros(p, magnitude=True), "last": zeros(p)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        weight = jnp.where(count > 0, k.gamma * k.b1 / (1 - k.b1), 0.0)
        return {"weight": weight, "unbias_mu": unbias(k.b1, t), "unbias_nu": unbias(k.b2, t)}

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        bound = jnp.asarray(k.max_norm, scalar_dtype())
        if per_array:
            return {"bound": bound}, {}
        return {"share": share_of(tree.grads, tree.slots["last"], k.weight, bound, axis_name)}, {}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        del p
        # computed anew once the norm is known, or XLA would keep what was summed up for it
        c = corrected(in_turn(g, k.turn) if per_array else behind(g, k.share), slots["last"], k.weight)
        d = c * (clip_factor([c], k.bound, axis_name) if per_array else k.share)
        mu = k.b1 * slots["mu"] + (1 - k.b1) * d
        nu = k.b2 * slots["nu"] + (1 - k.b2) * held(abs_sq(d))
        return (k.unbias_mu * mu, root(nu * k.unbias_nu) + k.eps), {"mu": mu, "nu": nu, "last": behind(g, mu, nu)}

    rule = Rule(
        "scale_by_mars",
        update,
        init,
        ("mu", "nu", "last"),
        hyper={"b1": b1, "b2": b2, "eps": eps, "gamma": gamma, "max_norm": max_norm},
        ranges={"max_norm": Range("(0, inf]")},
        scalars=scalars,
        whole_tree=whole_tree,
        elementwise=not per_array,
        writes=per_array,
    )
    return quotient(rule)


@factory
def mars(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    gamma: Finite = 0.025,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Finite = 0.0,
    mask: Any = None,
    *,
    max_norm: Bound = 1.0,
    per_array: bool = False,
    axis_name: AxisName = None,
) -> Transform:
    """Descend as AdamW does along variance-reduced gradients.

    u_t = -eta_t (r_t + weight_decay p_{t-1}), r_t as in `scale_by_mars`: Adam's ratio of the moments of
    c_t = g_t + gamma b1 / (1-b1) (g_t - g_{t-1}), clipped to the norm max_norm. This is MARS-AdamW in its approximate
    form.

    Units: eta has the units of p; max_norm and eps have the units of g; weight_decay is per unit of p.
    Differs from: the authors' code as `scale_by_mars` does.

    Args:
        {learning_rate}
        b1: decay of the mean of the clipped c, in [0, 1).
        b2: decay of the mean of its square, in [0, 1).
        {eps}
        gamma: weight of the change, finite; the paper's is 0.025.
        mu_dtype: dtype the mean is stored in; None is the parameter's, float32 or wider.
        {weight_decay}
        {mask}
        max_norm: the largest norm of c that passes, > 0; infinity never clips.
        per_array: whether each array is clipped by its own norm, as the authors' code does.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        a tuple: of `scale_by_mars` (mu, nu, last, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params; a leaf varies over a
            manual axis that axis_name does not name.

    Cost: 3 arrays per parameter; one pass for the norm and one more.

    References:
        Yuan et al. 2024, Algorithm 2, https://arxiv.org/abs/2411.10438

    Examples:
        >>> import gradtx
        >>> gradtx.mars(3e-3).name
        'mars'
    """
    scaled = scale_by_mars(b1, b2, eps, gamma, mu_dtype, max_norm=max_norm, per_array=per_array, axis_name=axis_name)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
