"""D-Adapted AdamW: Adam whose learning rate is a lower bound of the distance to the solution, which only grows."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import after, product, quotients, size, times
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Positive,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    abs_sq,
    divide,
    factory,
    held,
    leafwise,
    root,
    steps,
    unbias,
    zeros,
)

RANGES = {
    "learning_rate": Range("[0, inf)", event=True),
    "b1": Range("[0, 1)"),
    "b2": Range("[0, 1)"),
    "eps": Range("[0, inf)"),
}


@factory
def dadapt_adamw(
    learning_rate: LearningRate = 1.0,
    betas: tuple[Decay, Decay] = (0.9, 0.999),
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    weight_decay: Finite = 0.0,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend as AdamW does, at a rate that is estimated from the gradients and only grows.

    with d_1 = estim_lr0, b1, b2 = betas, b3 = sqrt(b2) and eta_t the learning rate: gamma_t = d_t eta_t sqrt(1-b2^t) /
    (1-b1^t); m_t = b1 m_{t-1} + (1-b1) gamma_t g_t; v_t = b2 v_{t-1} + (1-b2) g_t^2;
    r_t = b3 r_{t-1} + (1-b3) gamma_t <g_t, s_{t-1} / (sqrt(v_{t-1}) + eps)>; s_t = b3 s_{t-1} + (1-b3) gamma_t g_t;
    d_{t+1} = max(d_t, r_t / ((1-b3) |s_t|_1)); u_t = -m_t / (sqrt(v_t) + eps) - weight_decay gamma_t p_t. m, v, s and r
    are 0 at first; the inner product and the norm are over all leaves.

    Units: eta is dimensionless, d has the units of p; eps has the units of g.
    Differs from: the paper, which divides by v_t in r_t and does not correct gamma for the start of the means. From
    optax's only where all gradients are 0 from the first step, which makes its d NaN for good.

    Args:
        learning_rate: eta, >= 0, relative to d; number, array, schedule (its largest value best 1) or event schedule.
        betas: decays of the means of g and of g^2, each in [0, 1).
        {eps}
        estim_lr0: the first d, > 0; no schedule, since the state starts with it.
        weight_decay: decoupled decay, finite; each step takes gamma weight_decay p off p.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the sums are those of all
            shards together. None is no axis.

    State:
        exp_avg, exp_avg_sq, grad_sum: m, v and s, like params, float32 or wider; exp_avg_sq real.
        estim_lr, numerator_weighted: scalars of the whole tree, d and r; `state.estim_lr` is the rate that was learned.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing, or a leaf that varies over a
            manual axis which axis_name does not name.
        TypeError: estim_lr0 is a schedule.

    Cost: 3 arrays per parameter; two passes, since d needs all leaves before any of them moves.

    References:
        Defazio & Mishchenko 2023, Algorithm 5, https://arxiv.org/abs/2301.07733

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.dadapt_adamw()
        >>> params = jnp.array(1.0)
        >>> state = tx.init(params)
        >>> for _ in range(60):
        ...     updates, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, updates)
        >>> bool(state.estim_lr > 1e-3)
        True
    """
    if callable(estim_lr0):
        raise TypeError("dadapt_adamw: estim_lr0 is a schedule, expected a number; the state starts with it, give 1e-6")
    b1, b2 = betas

    def init(p: jax.Array) -> Slots:
        return {"exp_avg": zeros(p), "exp_avg_sq": zeros(p, magnitude=True), "grad_sum": zeros(p)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        of_step = k.learning_rate * unbias(k.b1, t) / root(unbias(k.b2, t))
        return {"of_step": of_step, "b3": math.sqrt(k.b2) if isinstance(k.b2, float) else jnp.sqrt(k.b2)}

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        d, sums = tree.memory["estim_lr"], tree.slots["grad_sum"]
        gamma = d * k.of_step
        grads = [lax.convert_element_type(g, s.dtype) for g, s in zip(tree.grads, sums, strict=True)]
        along = [product(g, s) for g, s in zip(grads, sums, strict=True)]
        b2, share = jnp.asarray(k.b2, d.dtype), 1 - jnp.asarray(k.b3, d.dtype)
        slope = quotients(along, tree.slots["exp_avg_sq"], k.eps, axis_name=axis_name)
        slope, known = after(slope, {"gamma": gamma, "b2": b2, "into_sum": share * gamma})
        # as the rule writes it, so that XLA computes it once
        new = [times(k.b3, s) + times(known["into_sum"], g) for s, g in zip(sums, grads, strict=True)]
        numerator = k.b3 * tree.memory["numerator_weighted"] + known["into_sum"] * slope
        estimate = divide(numerator, share * size(new, axis_name))
        return known, {"estim_lr": jnp.maximum(d, estimate), "numerator_weighted": numerator}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        mean = k.b1 * slots["exp_avg"] + ((1 - k.b1) * k.gamma) * g
        square = k.b2 * slots["exp_avg_sq"] + (1 - k.b2) * held(abs_sq(g))
        total = k.b3 * slots["grad_sum"] + k.into_sum * g
        u = -divide(mean, root(square) + k.eps) - (k.weight_decay * k.gamma) * p
        return u, {"exp_avg": mean, "exp_avg_sq": square, "grad_sum": total}

    hyper = {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "weight_decay": weight_decay}
    rule = Rule(
        "dadapt_adamw",
        update,
        init,
        ("exp_avg", "exp_avg_sq", "grad_sum"),
        hyper,
        RANGES,
        scalars=scalars,
        needs_params=True,
        event="learning_rate",
        whole_tree=whole_tree,
        memory={"estim_lr": read(estim_lr0, 0), "numerator_weighted": 0.0},
    )
    return leafwise(rule)
