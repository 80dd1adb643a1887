"""MoMo: momentum whose step is the Polyak step of a model of the loss, never longer than the learning rate."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import products, square, times
from gradtx._core.contract.errors import describe, message
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
    divide,
    factory,
    leafwise,
    scalar_dtype,
    zeros,
)

RANGES = {
    "learning_rate": Range("[0, inf)", event=True),
    "beta": Range("[0, 1)"),
    "weight_decay": Range("[0, inf)"),
}


def loss(name: str, tree: Tree) -> jax.Array:
    """Return the loss that `update` was given.

    Raises:
        ValueError: it is no scalar.
    """
    value = jnp.asarray(tree.extra["value"])
    if value.shape != ():
        fix = "give the loss that the gradients were taken of"
        raise ValueError(message(name, "value", f"is {describe(value)}", "a scalar", fix))
    return lax.convert_element_type(value, scalar_dtype())


def mean(decay: Any, slots: Sequence[jax.Array], grads: Sequence[jax.Array]) -> list[jax.Array]:
    """Return the new mean of each leaf, for sums over it: as the rule writes it, so that XLA computes it once."""
    pairs = zip(slots, grads, strict=True)
    return [times(decay, m) + times(1 - decay, lax.convert_element_type(g, m.dtype)) for m, g in pairs]


def averages(memory: Mapping[str, jax.Array], decay: jax.Array, value: jax.Array, slope: jax.Array) -> dict[str, Any]:
    """Return the next means of the loss and of <g, p>."""
    new = {"barf": value, "gamma": slope}
    return {name: decay * memory[name] + (1 - decay) * x for name, x in new.items()}


def step_of(k: SimpleNamespace, memory: Any, new: Any, model: SimpleNamespace) -> tuple[Any, dict[str, Any]]:
    """Return the length of the step, and the next lower bound where the memory holds one, to be adapted.

    Args:
        k: `learning_rate`, `weight_decay` and `lower_bound` of this step.
        memory: the memory before it.
        new: the next means.
        model: `slope` <m, p>, `square` |m|^2 over sigma, `weight`, the sum of the weights of the means.
    """
    grown = 1.0 + k.learning_rate * k.weight_decay
    ahead = grown * (new["barf"] - new["gamma"]) + model.slope
    bound = floor = jnp.asarray(k.lower_bound, scalar_dtype())
    if "lb" in memory:  # a bound above the model's value is brought down
        highest = ahead / model.weight
        lowered = jnp.maximum(highest / (2.0 * grown), floor)
        bound = jnp.where(highest < grown * memory["lb"], lowered, memory["lb"])
    over = jnp.maximum(ahead - grown * model.weight * bound, 0.0)
    step = jnp.minimum(k.learning_rate / model.weight, divide(over, model.square))
    if "lb" not in memory:
        return step, {}
    predicted = new["barf"] + model.slope - new["gamma"] - 0.5 * step * model.square
    return step, {"lb": jnp.maximum(predicted / model.weight, floor)}


@factory
def momo(
    learning_rate: LearningRate = 1.0,
    beta: Decay = 0.9,
    lower_bound: Finite = 0.0,
    weight_decay: NonNegative = 0.0,
    adapt_lower_bound: bool = False,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend along the mean gradient, by the Polyak step of the model that the means of loss and gradient make.

    with f_t the loss, b_1 = 0 and b_t = beta after it, w_t = 1 + eta_t weight_decay: m_t = b_t m_{t-1} + (1-b_t) g_t;
    F_t = b_t F_{t-1} + (1-b_t) f_t; c_t = b_t c_{t-1} + (1-b_t) <g_t, p_t>;
    tau_t = min(eta_t, max(w_t (F_t - c_t - l_t) + <m_t, p_t>, 0) / |m_t|^2);
    u_t = -tau_t m_t - (w_t - 1) / w_t p_t. Inner products and the norm are over all leaves.

    l_t = lower_bound, unless it is adapted: then l_1 = lower_bound, a bound for which w_t (F_t - c_t) + <m_t, p_t> <
    w_t l_t is brought down to half of that over w_t, and l_{t+1} = F_t - c_t + <m_t, p_t> - tau_t |m_t|^2 / 2; neither
    ever below lower_bound.

    Units: eta has those of p over those of g, and bounds a step that has them itself; lower_bound those of the loss.
    Equivalent to: optax's `momo`. The paper divides tau_t m_t by w_t too.

    Args:
        learning_rate: eta, >= 0, the longest step, rather large; number, array, schedule or event schedule.
        beta: decay of the means, in [0, 1).
        lower_bound: of the loss, finite; 0 fits most losses.
        weight_decay: decoupled decay, >= 0.
        adapt_lower_bound: whether to estimate the bound from the losses seen, starting at lower_bound.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the sums are those of all
            shards together. None is no axis.

    State:
        exp_avg: m, like params, float32 or wider.
        barf, gamma: scalars of the whole tree, F and c; lb, the next l, where it is adapted.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params or value missing, or value no scalar, or a
            leaf that varies over a manual axis which axis_name does not name.

    Cost: 1 array per parameter; two passes, since the step needs all leaves before any of them moves. Call
    `update(grads, state, params, value=loss)`.

    References:
        Schaipp, Ohana, Eickenberg, Defazio & Gower 2023, Algorithms 1 and 3, https://arxiv.org/abs/2305.07583

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.momo(), jnp.array([1.0, 2.0, 3.0])
        >>> state = tx.init(params)
        >>> updates, state = tx.update(2 * params, state, params, value=jnp.sum(params**2))
        >>> (params + updates).tolist()  # half way, as Polyak's step goes on a square
        [0.5, 1.0, 1.5]
    """

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        decayed = k.learning_rate * k.weight_decay
        first = lax.convert_element_type(count == 0, scalar_dtype())
        return {"decay": (1.0 - first) * k.beta, "shrink": decayed / (1.0 + decayed)}

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        new = averages(tree.memory, k.decay, loss("momo", tree), products(tree.grads, tree.params, axis_name))
        m = mean(k.decay, tree.slots["exp_avg"], tree.grads)
        model = SimpleNamespace(slope=products(m, tree.params, axis_name), square=square(m, axis_name), weight=1.0)
        tau, bound = step_of(k, tree.memory, new, model)
        return {"tau": tau}, {**new, **bound}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        m = k.decay * slots["exp_avg"] + (1 - k.decay) * g
        return -k.tau * m - k.shrink * p, {"exp_avg": m}

    start = {"lb": read(lower_bound, jnp.zeros((), jnp.int32))} if adapt_lower_bound else {}
    hyper = {
        "learning_rate": learning_rate,
        "beta": beta,
        "lower_bound": lower_bound,
        "weight_decay": weight_decay,
    }
    rule = Rule(
        "momo",
        update,
        lambda p: {"exp_avg": zeros(p)},
        ("exp_avg",),
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
