"""MADGRAD: dual averaging from the first parameters, over the cube root of a sum of squares, with momentum."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    abs_sq,
    chain,
    divide,
    factory,
    held,
    leafwise,
    root,
    steps,
    zeros,
)


@jax.custom_jvp
def cube_root(x: jax.Array) -> jax.Array:
    """Return the cube root of `x` >= 0, with all derivatives 0 (not infinite) at 0.

    XLA:CPU calls the C library for each number of a `cbrt`, and writes out an `exp` that is read twice. Products stay
    in the loop: Newton's method for r = x^(-1/3), r <- r (4 - x r^3) / 3, from a number with -1/3 of the exponent of x.
    """
    zero = x == 0
    safe = jnp.where(zero, jnp.ones_like(x), x)
    info = jnp.finfo(x.dtype)
    integer = jnp.int32 if info.bits == 32 else jnp.int64  # an update has one of these two dtypes
    start = round((1 - info.minexp) * 4 / 3 * 2**info.nmant)  # the bits of 1, from which a third of those of x is taken
    bits = lax.bitcast_convert_type(safe, integer)
    third = lax.div(bits, jnp.full_like(bits, 3))
    r = lax.bitcast_convert_type(jnp.full_like(bits, start) - third, x.dtype)
    for _ in range(4 if info.bits == 32 else 5):  # each doubles the digits
        r = r * (4 / 3 - (safe * r) * (r * r) * (1 / 3))
    y = safe * (r * r)
    y = y - (y * (y * y) - safe) * (r * r) * (1 / 3)  # the last digit, which the products have rounded
    return jnp.where(zero, jnp.zeros_like(x), y)


@cube_root.defjvp
def cube_root_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Return the cube root and its derivative, `root / (3 x)` or 0; made safe before the choice."""
    (x,), (dx,) = primals, tangents
    zero = x == 0
    safe = jnp.where(zero, jnp.ones_like(x), x)
    y = cube_root(safe)
    value = jnp.where(zero, jnp.zeros_like(x), y)
    return value, dx * jnp.where(zero, jnp.zeros_like(x), y / (3.0 * safe))


@factory
def scale_by_madgrad(learning_rate: LearningRate, momentum: Decay = 0.9, eps: NonNegative = 1e-6) -> Transform:
    """Step towards the point that dual averaging gives for all gradients so far.

    l_t = (eta_t + eps) sqrt(t); s_t = s_{t-1} + l_t g_t; v_t = v_{t-1} + l_t g_t^2; s_0 = v_0 = 0;
    z_t = p_1 - s_t / (v_t^(1/3) + eps); u_t = (1-momentum) (z_t - p_t), which is added as it is: no rate follows.

    The last gradients weigh most, by sqrt(t), and p_1 is never forgotten: a weight decay pulls towards 0, this towards
    p_1.

    Units: eta^(2/3) has the units of p over those of g^(1/3); eps has the units of v^(1/3).
    Differs from: the paper, whose rate has no eps, so that nothing moves at eta = 0. Equivalent to the authors' code
    and to optax.contrib's `scale_by_madgrad`.

    Args:
        {learning_rate}
        momentum: share of the distance to z that a step leaves, in [0, 1).
        eps: added to the cube root and to eta, >= 0.

    State:
        grad_sum, sum_of_squares, params0: s, v and p_1, like params, float32 or wider; sum_of_squares real.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing.

    Cost: 3 arrays per parameter; one pass.

    References:
        Defazio & Jelassi 2021, Algorithm 1, https://arxiv.org/abs/2101.11075

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_madgrad(1.0, momentum=0.5, eps=0.0)
        >>> params = jnp.array(1.0)
        >>> u, state = tx.update(jnp.array(8.0), tx.init(params), params)
        >>> round(u.item(), 4)
        -1.0
    """

    def init(p: jax.Array) -> Slots:
        # a sum is an array of its own: the state may be donated beside the params
        start = zeros(p) + lax.convert_element_type(p, zeros(p).dtype)
        return {"grad_sum": zeros(p), "sum_of_squares": zeros(p, magnitude=True), "params0": start}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"weight": (k.learning_rate + k.eps) * root(steps(count))}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        s = slots["grad_sum"] + k.weight * g
        v = held(slots["sum_of_squares"]) + held(k.weight * abs_sq(g))
        z = slots["params0"] - divide(s, cube_root(v) + k.eps)
        return (1 - k.momentum) * (z - p), {"grad_sum": s, "sum_of_squares": v, "params0": slots["params0"]}

    hyper = {"learning_rate": learning_rate, "momentum": momentum, "eps": eps}
    slots = ("grad_sum", "sum_of_squares", "params0")
    ranges = {"learning_rate": Range("[0, inf)", event=True)}
    return leafwise(
        Rule(
            "scale_by_madgrad",
            update,
            init,
            slots,
            hyper,
            ranges,
            scalars=scalars,
            needs_params=True,
            event="learning_rate",
        )
    )


@factory
def madgrad(
    learning_rate: LearningRate, momentum: Decay = 0.9, weight_decay: Finite = 0.0, eps: NonNegative = 1e-6
) -> Transform:
    """Descend by dual averaging from the first parameters, with momentum.

    h_t = g_t + weight_decay p_t; u_t = (1-momentum) (z_t - p_t), z_t = p_1 - s_t / (v_t^(1/3) + eps), where s and v are
    the sums from 0 of l_t h_t and l_t h_t^2, l_t = (eta_t + eps) sqrt(t).

    Units: eta^(2/3) has the units of p over those of g^(1/3); eps has the units of v^(1/3).
    Equivalent to: optax.contrib's `madgrad`.

    Args:
        {learning_rate}
        momentum: share of the distance to z that a step leaves, in [0, 1).
        weight_decay: share of p that is added to the gradient, finite.
        eps: added to the cube root and to eta, >= 0.

    State:
        a tuple: of the decay and of `scale_by_madgrad` (grad_sum, sum_of_squares, params0, like params).

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing.

    Cost: 3 arrays per parameter; one pass.

    References:
        Defazio & Jelassi 2021, Algorithm 1, https://arxiv.org/abs/2101.11075

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.madgrad(1.0, momentum=0.5, weight_decay=4.0, eps=0.0)
        >>> params = jnp.array(2.0)
        >>> u, state = tx.update(jnp.array(0.0), tx.init(params), params)
        >>> round(u.item(), 4)
        -1.0
    """
    return chain(add_decayed_weights(weight_decay), scale_by_madgrad(learning_rate, momentum, eps))
