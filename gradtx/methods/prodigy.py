"""Prodigy: Adam whose learning rate grows to the distance from the start, estimated as training goes."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import moved, products, size, times
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
    own_copy,
    root,
    scalar_dtype,
    steps,
    unbias,
    zeros,
)

RANGES = {
    "learning_rate": Range("[0, inf)", event=True),
    "b1": Range("[0, 1)"),
    "b2": Range("[0, 1)"),
    "beta3": Range("[0, 1)"),
    "eps": Range("[0, inf)"),
    "estim_lr_coef": Range("(0, inf)"),
}


@factory
def prodigy(
    learning_rate: LearningRate = 1.0,
    betas: tuple[Decay, Decay] = (0.9, 0.999),
    beta3: Decay | None = None,
    eps: NonNegative = 1e-8,
    estim_lr0: Positive = 1e-6,
    estim_lr_coef: Positive = 1.0,
    weight_decay: Finite = 0.0,
    safeguard_warmup: bool = False,
    weight_decay_mask: Any = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend as AdamW does, at a rate that is learned.

    with d_1 = estim_lr0, b1, b2 = betas, b3 = beta3 and eta_t the learning rate: gamma_t = d_t eta_t
    sqrt(1-b2^t) / (1-b1^t); m_t = b1 m_{t-1} + (1-b1) d_t g_t; v_t = b2 v_{t-1} + (1-b2) d_t^2 g_t^2;
    r_t = b3 r_{t-1} + (d_t / d_1) gamma_t <g_t, p_1 - p_t>; s_t = b3 s_{t-1} + (d_t / d_1) gamma_t g_t;
    d_{t+1} = max(d_t, estim_lr_coef r_t / |s_t|_1); u_t = -gamma_t (m_t / (sqrt(v_t) + d_{t+1} eps) +
    weight_decay p_t). m, v, r and s are 0 at first; the inner product and the norm are over all leaves.

    Units: eta is dimensionless, d has the units of p over those of Adam's ratio; eps has the units of g.
    Differs from: the paper, which does not correct the means and has d_t eps; its factors 1 - b3 and d_1 of both sums
    cancel. From optax's only where all gradients are 0 from the first step, where that divides 0 by 0.

    Args:
        learning_rate: eta, >= 0, relative to d; number, array, schedule (its largest value best 1) or event schedule.
        betas: decays of the means of g and of g^2, each in [0, 1).
        beta3: decay of the two sums that estimate d, in [0, 1); None is the root of b2.
        {eps}
        estim_lr0: the first d, > 0; no schedule, since the state starts with it.
        estim_lr_coef: multiplies each estimate of d, > 0.
        weight_decay: decoupled decay, finite; each step takes gamma weight_decay p off p.
        safeguard_warmup: whether s has d_t in place of gamma_t, so that a warm-up from 0 cannot make d too large.
        weight_decay_mask: tree of bools like the params or a prefix of them, or a function of the params that returns
            one, True where p decays; None is everywhere.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the sums are those of all
            shards together. None is no axis.

    State:
        exp_avg, exp_avg_sq, grad_sum, params0: like params, float32 or wider; exp_avg_sq real.
        estim_lr, numerator_weighted: scalars of the whole tree, d and r; `state.estim_lr` is the rate that was learned.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit; at update, params missing, or a leaf
            that varies over a manual axis which axis_name does not name.
        TypeError: estim_lr0 is a schedule.

    Cost: 4 arrays per parameter; two passes, since d needs all leaves before any of them moves.

    References:
        Mishchenko & Defazio 2023, Algorithm 4, https://arxiv.org/abs/2306.06101

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.prodigy()
        >>> params = jnp.array(1.0)
        >>> state = tx.init(params)
        >>> for _ in range(60):
        ...     updates, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, updates)
        >>> bool(state.estim_lr > 1e-3)
        True
    """
    if callable(estim_lr0):
        raise TypeError("prodigy: estim_lr0 is a schedule, expected a number; the state starts with it, give 1e-6")
    d0 = read(estim_lr0, 0)
    b1, b2 = betas

    def init(p: jax.Array) -> Slots:
        means = {"exp_avg": zeros(p), "exp_avg_sq": zeros(p, magnitude=True)}
        return {**means, "grad_sum": zeros(p), "params0": own_copy(p)}

    def rates(k: SimpleNamespace, d: jax.Array, t: jax.Array) -> dict[str, Any]:
        gamma = d * k.learning_rate * unbias(k.b1, t) / root(unbias(k.b2, t))
        into_sum = (d if safeguard_warmup else gamma) * (d / d0)
        return {"d": d, "gamma": gamma, "into_sum": into_sum}

    def decay3(k: SimpleNamespace) -> Any:
        if beta3 is not None:
            return k.beta3
        return math.sqrt(k.b2) if isinstance(k.b2, float) else jnp.sqrt(k.b2)

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        d = tree.memory["estim_lr"]
        more = rates(k, d, steps(tree.count))
        b3 = decay3(k)
        correlation = products(tree.grads, moved(tree.slots["params0"], tree.params), axis_name)
        zero = jnp.zeros((), scalar_dtype())
        numerator = b3 * tree.memory["numerator_weighted"] + d / d0 * more["gamma"] * correlation
        sums = [
            times(b3 + zero, s) + times(more["into_sum"], lax.convert_element_type(g, s.dtype))
            for g, s in zip(tree.grads, tree.slots["grad_sum"], strict=True)
        ]
        estimate = divide(k.estim_lr_coef * numerator, size(sums, axis_name))
        new = jnp.maximum(d, estimate)
        return {**more, "b3": b3, "next_d": new}, {"estim_lr": new, "numerator_weighted": numerator}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        scaled = k.d * g
        mean = k.b1 * slots["exp_avg"] + (1 - k.b1) * scaled
        square = k.b2 * slots["exp_avg_sq"] + (1 - k.b2) * held(abs_sq(scaled))
        new = {
            "exp_avg": mean,
            "exp_avg_sq": square,
            "grad_sum": k.b3 * slots["grad_sum"] + k.into_sum * g,
            "params0": slots["params0"],
        }
        step = divide(mean, root(square) + k.next_d * k.eps)
        return -k.gamma * (step + k.weight_decay * p if k.decays else step), new

    hyper = {
        "learning_rate": learning_rate,
        "b1": b1,
        "b2": b2,
        **({} if beta3 is None else {"beta3": beta3}),
        "eps": eps,
        "estim_lr_coef": estim_lr_coef,
        "weight_decay": weight_decay,
    }
    rule = Rule(
        "prodigy",
        update,
        init,
        ("exp_avg", "exp_avg_sq", "grad_sum", "params0"),
        hyper,
        {name: RANGES[name] for name in hyper if name in RANGES},
        needs_params=True,
        event="learning_rate",
        whole_tree=whole_tree,
        memory={"estim_lr": d0, "numerator_weighted": 0.0},
        where={"decays": weight_decay_mask},
    )
    return leafwise(rule)
