"""Rprop: a step size for each number, which grows while its gradient keeps its sign and shrinks where it turns."""

from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.contract.errors import message
from gradtx.rules import (
    Hyper,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    behind,
    chain,
    factory,
    full,
    leafwise,
    zeros,
)
from gradtx.schedules.apply import scale

Shrink = Annotated[Hyper, Range("(0, 1]")]
Grow = Annotated[Hyper, Range("[1, inf)")]
Largest = Annotated[Hyper, Range("(0, inf]")]


def check_order(least: Any, most: Any) -> None:
    """Raise ValueError where both bounds of the step size are numbers and cross."""
    if isinstance(least, (int, float)) and isinstance(most, (int, float)) and least > most:
        got, fix = f"= {least!r}", "exchange the two"
        raise ValueError(message("scale_by_rprop", "min_step_size", got, f"at most max_step_size = {most!r}", fix))


def next_size(size: jax.Array, agree: jax.Array, k: SimpleNamespace) -> jax.Array:
    """Return the next step size where the product of the signs is `agree`; NaN stays in it."""
    factor = jnp.where(agree > 0, k.eta_plus, jnp.where(agree < 0, k.eta_minus, agree))
    bounded = jnp.minimum(jnp.maximum(size * factor, k.min_step_size), k.max_step_size)
    return jnp.where(agree == 0, size, bounded)


def next_sign(g: jax.Array, last: jax.Array) -> jax.Array:
    """Return the sign to remember: 0 where the gradient has turned."""
    sign = jnp.sign(g)
    return jnp.where(sign * last < 0, jnp.zeros_like(sign), sign)


@factory
def scale_by_rprop(
    learning_rate: NonNegative,
    eta_minus: Shrink = 0.5,
    eta_plus: Grow = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: Largest = 50.0,
    *,
    delayed: bool = True,
) -> Transform:
    """Replace each number of the gradient by its sign times a step size of its own.

    a_t = sign(g_t) z_{t-1}, z_0 = 0; d_t = min(max(d_{t-1} f_t, min_step_size), max_step_size) with f_t = eta_plus
    where a_t > 0 and eta_minus where a_t < 0, d_t = d_{t-1} where a_t = 0, d_0 = learning_rate; z_t = sign(g_t), or 0
    where a_t < 0, so that the size shrinks once for each turn. u_t = d_t z_t; where `delayed` u_t = d_{t-1} z_{t-1},
    and 0 where a_t < 0: the step of the gradient before, left out where the gradient has turned since. A complex
    number is two real ones, each with a step size of its own.

    Units: those of learning_rate, which are the parameter's; invariant to g -> c g.
    Equivalent to: optax's `scale_by_rprop` where delayed, the Rprop of PyTorch (iRprop-) where not.
    Differs from: Riedmiller & Braun, who also undo the step before a turn; the delay is optax's alone.

    Args:
        learning_rate: the first step size, >= 0; of a schedule, its value at count 0.
        eta_minus: what shrinks a step size, in (0, 1].
        eta_plus: what makes it grow, >= 1.
        min_step_size: the smallest step size, >= 0.
        max_step_size: the largest, > 0; infinity is no bound.
        delayed: whether a step is taken one update after its gradient, as optax does.

    State:
        step_sizes: d, like params, float32 or wider.
        signs: z, like params, int8; of a complex parameter complex.

    Raises:
        ValueError: a hyperparameter is out of its range, or min_step_size > max_step_size.

    Cost: 1.25 arrays per parameter; one pass.

    References:
        Riedmiller & Braun 1993, https://doi.org/10.1109/ICNN.1993.298623
        Igel & Huesken 2003, section 2.2 (iRprop-), https://doi.org/10.1016/S0925-2312(01)00700-7

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_rprop(0.1, delayed=False)
        >>> state = tx.init(jnp.zeros(2))
        >>> for g in ([1.0, 1.0], [0.3, -5.0], [2.0, -5.0]):
        ...     u, state = tx.update(jnp.array(g), state)
        >>> [round(x, 4) for x in u.tolist()]
        [0.144, -0.05]
    """
    check_order(min_step_size, max_step_size)

    def init(p: jax.Array) -> Slots:
        size = full(p, learning_rate)
        if jnp.iscomplexobj(p):
            return {"step_sizes": size * (1 + 1j), "signs": zeros(p)}
        return {"step_sizes": size, "signs": zeros(p, jnp.int8)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        if jnp.iscomplexobj(g):
            parts = [({key: part(x) for key, x in slots.items()}, part(g)) for part in (jnp.real, jnp.imag)]
            (u, new), (v, other) = (update(x, own, p, k) for own, x in parts)
            return lax.complex(u, v), {key: lax.complex(new[key], other[key]) for key in new}
        last = lax.convert_element_type(slots["signs"], g.dtype)
        agree = jnp.sign(g) * last
        size = next_size(slots["step_sizes"], agree, k)
        sign = next_sign(behind(g, size), last)
        step = slots["step_sizes"] * last if delayed else size * sign
        signs = lax.convert_element_type(sign, slots["signs"].dtype)
        return jnp.where(agree < 0, jnp.zeros_like(step), step), {"step_sizes": size, "signs": signs}

    hyper = {
        "eta_minus": eta_minus,
        "eta_plus": eta_plus,
        "min_step_size": min_step_size,
        "max_step_size": max_step_size,
    }
    ranges = {"max_step_size": Range("(0, inf]")}
    return leafwise(
        Rule("scale_by_rprop", update, init, ("step_sizes", "signs"), hyper, ranges, role="direction", reads_old=True)
    )


@factory
def rprop(
    learning_rate: NonNegative,
    eta_minus: Shrink = 0.5,
    eta_plus: Grow = 1.2,
    min_step_size: NonNegative = 1e-6,
    max_step_size: Largest = 50.0,
    *,
    delayed: bool = True,
) -> Transform:
    """Descend by the sign of the gradient, with a step size for each number that adapts to its turns.

    u_t = -d_t sign(g_t), 0 where the gradient has turned; d grows by eta_plus while it keeps its sign and shrinks by
    eta_minus where it turns, as `scale_by_rprop` says. It suits gradients of the whole data, whose signs are no noise.

    Units: learning_rate has the units of p; invariant to g -> c g.
    Equivalent to: optax's `rprop`, which takes each step one update late; PyTorch's Rprop with `delayed=False`.

    Args:
        learning_rate: the first step size, >= 0; of a schedule, its value at count 0.
        eta_minus: what shrinks a step size, in (0, 1].
        eta_plus: what makes it grow, >= 1.
        min_step_size: the smallest step size, >= 0.
        max_step_size: the largest, > 0; infinity is no bound.
        delayed: whether a step is taken one update after its gradient, as optax does.

    State:
        a tuple: of `scale_by_rprop` (step_sizes, signs, like params) and of the sign.

    Raises:
        ValueError: a hyperparameter is out of its range, or min_step_size > max_step_size.

    Cost: 1.25 arrays per parameter; one pass.

    References:
        Riedmiller & Braun 1993, https://doi.org/10.1109/ICNN.1993.298623; Igel & Huesken 2003, https://doi.org/10.1016/S0925-2312(01)00700-7

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.rprop(0.1, delayed=False), jnp.array([3.0, -0.02])
        >>> state = tx.init(params)
        >>> for _ in range(3):
        ...     u, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, u)
        >>> [round(x, 4) for x in params.tolist()]
        [2.636, 0.03]
    """
    scaled = scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size, delayed=delayed)
    return chain(scaled, scale(-1.0))
