"""DoG: gradient descent at the distance moved so far over the root of the sum of squared gradients, nothing to tune."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.ranges import Range, check
from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import moved, square
from gradtx._core.contract.errors import message
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Finite,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    Tree,
    chain,
    divide,
    factory,
    held,
    identity,
    leafwise,
    own_copy,
    root,
)
from gradtx.schedules.apply import scale_by_learning_rate

TAGS = ("distance", "learning_rate", "heuristic")


def first_step(name: str, init_step: Any) -> tuple[str, Any]:
    """Return the tag and the value of `init_step`, checked.

    Raises:
        ValueError: it is no pair, its tag is unknown, or its value is not > 0.
        TypeError: its value is a schedule.
    """
    if not (isinstance(init_step, (tuple, list)) and len(init_step) == 2 and init_step[0] in TAGS):  # a pair
        got, fix = f"is {init_step!r}", 'write ("heuristic", 1e-6)'
        raise ValueError(message(name, "init_step", got, f"a pair (tag, value) with a tag of {TAGS}", fix))
    tag, value = init_step
    if callable(value):
        got, fix = "is a schedule", "give a number, the state starts with it"
        raise TypeError(message(name, f"init_step, {tag},", got, "a number > 0", fix))
    check(name, {"init_step": value}, {"init_step": Range("(0, inf)")})
    return tag, value


@factory
def scale_by_dog(init_step: tuple[str, Any], eps: NonNegative = 1e-8, *, axis_name: AxisName = None) -> Transform:
    """Scale by the largest distance from the start over the root of the sum of squared gradients.

    r_t = max(r_{t-1}, |p_t - p_1|), G_t = G_{t-1} + |g_t|^2, G_0 = 0; u_t = g_t r_t / sqrt(G_t + eps). The norms are
    over all leaves. The start: with ("distance", a) r_0 = a; with ("heuristic", a) r_0 = a (1 + |p_1|); with
    ("learning_rate", a) r_0 = 0, and the quotient is a until something has moved.

    The authors recommend averaging the parameters beside it.

    Units: those of p (invariant to g -> c g when eps = 0); eps has the units of g^2.
    Differs from: optax's with "learning_rate", which stands still for good where the first update is 0, as at the
    start of a warm-up.

    Args:
        init_step: a pair of a tag, "distance", "learning_rate" or "heuristic", and a number > 0, small enough not to
            diverge: with "heuristic" best 1e-6, with batch normalisation 1e-4.
        eps: added to the sum of squares, >= 0.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the norms are those of
            all shards together. None is no axis.

    State:
        params0: like params, float32 or wider.
        max_dist, sum_sq_norm_grads: scalars of the whole tree, r and G.

    Raises:
        ValueError: init_step is no such pair, eps < 0; at update, params missing, or a leaf that varies over a
            manual axis which axis_name does not name.
        TypeError: init_step has a schedule.

    Cost: 1 array per parameter; two passes, since the norms need all leaves before any of them moves.

    References:
        Ivgi, Hinder & Carmon 2023, Algorithm 1, https://arxiv.org/abs/2302.12022

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_dog(("distance", 0.5), eps=0.0)
        >>> state = tx.init(jnp.zeros(2))
        >>> u, state = tx.update(jnp.array([3.0, 4.0]), state, jnp.zeros(2))
        >>> u, state = tx.update(jnp.array([0.0, 12.0]), state, jnp.array([0.0, -2.0]))
        >>> round(float(u[1]), 4)  # 12 times 2 / 13
        1.8462
    """
    tag, value = first_step("scale_by_dog", init_step)
    start = read(value, 0)

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        first, largest = tree.slots["params0"], tree.memory["max_dist"]
        total = held(tree.memory["sum_sq_norm_grads"] + square(tree.grads, axis_name))
        if tag == "heuristic":
            heuristic = lambda: jnp.asarray(start * (1.0 + root(square(first, axis_name))), largest.dtype)  # noqa: E731
            largest = lax.cond(tree.count == 0, heuristic, lambda: largest)
        largest = jnp.maximum(largest, root(square(moved(first, tree.params), axis_name)))
        rate = divide(largest, root(total + k.eps))
        if tag == "learning_rate":
            rate = jnp.where(largest > 0, rate, start)
        return {"rate": rate}, {"max_dist": largest, "sum_sq_norm_grads": total}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return k.rate * g, slots

    rule = Rule(
        "scale_by_dog",
        update,
        lambda p: {"params0": own_copy(p)},
        ("params0",),
        {"eps": eps},
        needs_params=True,
        whole_tree=whole_tree,
        memory={"max_dist": start if tag == "distance" else 0.0, "sum_sq_norm_grads": 0.0},
    )
    return leafwise(rule)


@factory
def dog(
    learning_rate: LearningRate = 1.0,
    init_step: tuple[str, Any] = ("heuristic", 1e-6),
    eps: NonNegative = 1e-8,
    weight_decay: Finite | None = None,
    mask: Any = None,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Descend at the distance moved so far over the root of the sum of squared gradients.

    h_t = g_t + weight_decay p_t; u_t = -eta_t h_t r_t / sqrt(G_t + eps), with r_t = max(r_{t-1}, |p_t - p_1|) and
    G_t = G_{t-1} + |h_t|^2, G_0 = 0, over all leaves; r_0 by init_step, see `scale_by_dog`.

    Units: eta is dimensionless; eps has the units of g^2, weight_decay those of g over those of p.
    Differs from: optax's as `scale_by_dog` does.

    Args:
        learning_rate: eta, >= 0, relative to the rate that is learned; number, array, schedule or event schedule.
        init_step: a pair of a tag, "distance", "learning_rate" or "heuristic", and a number > 0.
        eps: added to the sum of squares, >= 0.
        weight_decay: L2 regularisation, finite; None is none.
        {mask}
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    State:
        a tuple: of the decay, of `scale_by_dog` (params0, like params; max_dist, sum_sq_norm_grads) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit; at update, params missing, or a leaf
            that varies over a manual axis which axis_name does not name.
        TypeError: init_step has a schedule.

    Cost: 1 array per parameter; two passes.

    References:
        Ivgi, Hinder & Carmon 2023, Algorithm 1, https://arxiv.org/abs/2302.12022

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.dog(), jnp.array([1.0, 2.0, 3.0])
        >>> state = tx.init(params)
        >>> for _ in range(100):
        ...     updates, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, updates)
        >>> bool(abs(params).max() < 0.2)
        True
    """
    first_step("dog", init_step)
    decay = identity() if weight_decay is None else add_decayed_weights(weight_decay, mask)
    return chain(decay, scale_by_dog(init_step, eps, axis_name=axis_name), scale_by_learning_rate(learning_rate))
