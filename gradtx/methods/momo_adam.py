"""MoMo-Adam: Adam whose step is the Polyak step of a model of the loss, never longer than the learning rate."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import products, quotients
from gradtx.methods.momo import averages, loss, mean, step_of
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    abs_sq,
    behind,
    divide,
    factory,
    held,
    leafwise,
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
    "eps": Range("[0, inf)"),
    "weight_decay": Range("[0, inf)"),
}


@factory
def momo_adam(
    learning_rate: LearningRate = 1e-2,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    lower_bound: Finite = 0.0,
    weight_decay: NonNegative = 0.0,
    adapt_lower_bound: bool = False,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend as AdamW does, by the Polyak step of the model that the means of loss and gradient make.

    with f_t the loss, B_t = 1 - b1^t, w_t = 1 + eta_t weight_decay: m_t = b1 m_{t-1} + (1-b1) g_t;
    v_t = b2 v_{t-1} + (1-b2) g_t^2; F_t = b1 F_{t-1} + (1-b1) f_t; c_t = b1 c_{t-1} + (1-b1) <g_t, p_t>; all 0 at
    first; sigma_t = sqrt(v_t / (1-b2^t)) + eps;
    tau_t = min(eta_t / B_t, max(w_t (F_t - c_t - B_t l_t) + <m_t, p_t>, 0) / <m_t, m_t / sigma_t>);
    u_t = -tau_t m_t / sigma_t - (w_t - 1) / w_t p_t. Inner products are over all leaves.

    l_t = lower_bound, unless it is adapted: as in `momo`, with the model's values over B_t and |m|^2 over sigma.

    Units: eta has the units of p, eps those of g, lower_bound those of the loss.
    Equivalent to: optax's `momo_adam`. The paper divides tau_t m_t by w_t too.

    Args:
        learning_rate: eta, >= 0, the longest step, rather large; number, array, schedule or event schedule.
        b1: decay of the means of g, of the loss and of <g, p>, in [0, 1).
        {b2}
        {eps}
        lower_bound: of the loss, finite; 0 fits most losses.
        weight_decay: decoupled decay, >= 0.
        adapt_lower_bound: whether to estimate the bound from the losses seen, starting at lower_bound.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the sums are those of all
            shards together. None is no axis.

    State:
        exp_avg, exp_avg_sq: m and v, like params, float32 or wider; exp_avg_sq real.
        barf, gamma: scalars of the whole tree, F and c; lb, the next l, where it is adapted.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params or value missing, or value no scalar, or a
            leaf that varies over a manual axis which axis_name does not name.

    Cost: 2 arrays per parameter; two passes, since the step needs all leaves before any of them moves. Call
    `update(grads, state, params, value=loss)`.

    References:
        Schaipp, Ohana, Eickenberg, Defazio & Gower 2023, Algorithms 2 and 3, https://arxiv.org/abs/2305.07583

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.momo_adam(10.0), jnp.array([3.0, 4.0])
        >>> state = tx.init(params)
        >>> updates, state = tx.update(2 * params, state, params, value=jnp.sum(params**2))
        >>> [round(x, 4) for x in updates.tolist()]  # 25 / 14, the sum of |g|
        [-1.7857, -1.7857]
    """

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t, decayed = steps(count), k.learning_rate * k.weight_decay
        unbiased = {"unbias_m": unbias(k.b1, t), "unbias_v": unbias(k.b2, t)}
        return {**unbiased, "shrink": decayed / (1.0 + decayed), "decay": jnp.asarray(k.b1, scalar_dtype())}

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        new = averages(tree.memory, k.decay, loss("momo_adam", tree), products(tree.grads, tree.params, axis_name))
        m = mean(k.b1, tree.slots["exp_avg"], tree.grads)
        squares = [held(abs_sq(lax.convert_element_type(g, x.dtype))) for g, x in zip(tree.grads, m, strict=True)]
        v = mean(k.b2, tree.slots["exp_avg_sq"], squares)
        scaled = quotients([abs_sq(x) for x in m], v, k.eps, k.unbias_v, axis_name)
        sums = {"slope": products(m, tree.params, axis_name), "square": scaled}
        model = SimpleNamespace(**sums, weight=1.0 / k.unbias_m)
        tau, bound = step_of(k, tree.memory, new, model)
        return {"tau": tau}, {**new, **bound}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        m = k.b1 * slots["exp_avg"] + (1 - k.b1) * g
        v = k.b2 * slots["exp_avg_sq"] + (1 - k.b2) * held(abs_sq(g))
        # the root anew once tau is known, or XLA would keep what was summed up for it
        u = -k.tau * divide(m, root(behind(v, k.tau) * k.unbias_v) + k.eps) - k.shrink * p
        return u, {"exp_avg": m, "exp_avg_sq": v}

    start = {"lb": read(lower_bound, jnp.zeros((), jnp.int32))} if adapt_lower_bound else {}
    hyper = {
        "learning_rate": learning_rate,
        "b1": b1,
        "b2": b2,
        "eps": eps,
        "lower_bound": lower_bound,
        "weight_decay": weight_decay,
    }
    rule = Rule(
        "momo_adam",
        update,
        lambda p: {"exp_avg": zeros(p), "exp_avg_sq": zeros(p, magnitude=True)},
        ("exp_avg", "exp_avg_sq"),
        hyper,
        RANGES,
        scalars=scalars,
        needs_params=True,
        event="learning_rate",
        whole_tree=whole_tree,
        memory={
            "barf": 0.0,
            "gamma": 0.0,
            **start,
        },
        extra=("value",),
    )
    return leafwise(rule)
