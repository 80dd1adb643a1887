"""Lion: the sign of a look ahead, a mean that weighs the newest gradient more than the memory does."""

from types import SimpleNamespace
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx.factors.sign import sign
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import Decay, Finite, LearningRate, Positive, Rule, Slots, Transform, chain, factory, leafwise, zeros
from gradtx.schedules.apply import scale_by_learning_rate

MODES = ("hard", "smooth", "refined")


def look_ahead(mu: jax.Array, old: jax.Array, g: jax.Array, b1: float | jax.Array, b2: float | jax.Array) -> jax.Array:
    """Return b1 old + (1-b1) g, written from the new mu where that loses no digits.

    Reading the old mu after the new one exists makes XLA copy it. For b1 <= b2 the other form is a weighted mean of mu
    and g; for b1 > b2 it is a difference of larger numbers.
    """
    if isinstance(b1, float) and isinstance(b2, float) and b1 <= b2 and b2 > 0:
        return (b1 / b2) * mu + (1 - b1 / b2) * g
    return b1 * old + (1 - b1) * g


@factory
def scale_by_lion(
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    mu_dtype: DTypeLike | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: Positive = 1.0,
) -> Transform:
    """Replace each number by the sign of a look ahead.

    c_t = b1 m_{t-1} + (1-b1) g_t; m_t = b2 m_{t-1} + (1-b2) g_t, m_0 = 0; u_t = sign(c_t) if `mode` is "hard",
    tanh(smooth_beta c_t) if "smooth", and c_t held to [-1, 1] if "refined".

    Units: dimensionless (invariant to g -> c g for c > 0) if hard; smooth_beta has the units of 1/g, and "refined"
    compares g with 1.
    Differs from: optax's only for complex numbers if smooth, where the tanh is that of |c_t|, at the phase of c_t; the
    tanh of a complex number is infinite at pi i / 2.

    Args:
        b1: weight of the memory in the look ahead, in [0, 1).
        b2: decay of the mean of g, in [0, 1).
        {mu_dtype}
        mode: "hard", "smooth" or "refined".
        smooth_beta: > 0, how steep the smooth sign is at 0; for "smooth" alone.

    State:
        mu: like params, float32 or wider, or in mu_dtype.

    Raises:
        ValueError: b1 or b2 outside [0, 1), smooth_beta <= 0, another mode.

    Cost: 1 array per parameter; one pass.

    References:
        Chen et al. 2023, Algorithm 2, https://arxiv.org/abs/2302.06675

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_lion(b1=0.5, b2=0.75, mode="refined")
        >>> u, state = tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> float(u)
        0.75
    """
    if mode not in MODES:
        expected = f"one of {', '.join(MODES)}"
        raise ValueError(f'scale_by_lion: mode = {mode!r}, expected {expected}; the paper\'s is "hard"')

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.b2 * slots["mu"] + (1 - k.b2) * g
        c = look_ahead(mu, slots["mu"], g, k.b1, k.b2)

        def squash(x: jax.Array) -> jax.Array:
            if mode == "smooth":
                return jnp.tanh(k.smooth_beta * x)
            return jnp.clip(x, -1.0, 1.0) if mode == "refined" else sign(x)

        return (sign(c) * squash(jnp.abs(c)) if jnp.iscomplexobj(c) else squash(c)), {"mu": mu}

    hyper = {"b1": b1, "b2": b2, **({"smooth_beta": smooth_beta} if mode == "smooth" else {})}
    return leafwise(Rule("scale_by_lion", update, init, ("mu",), hyper, role="direction"))


@factory
def lion(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.99,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Finite = 1e-3,
    mask: Any = None,
) -> Transform:
    """Descend along the sign of a look ahead, with decoupled weight decay.

    u_t = -eta_t (sign(b1 m_{t-1} + (1-b1) g_t) + weight_decay p_t), with m the moving mean of g from 0 with decay b2.

    Units: eta has the units of p, and every step is of that size; weight_decay is per unit of p.
    Equivalent to: optax's `lion`.

    Args:
        {learning_rate}
        b1: weight of the memory in the look ahead, in [0, 1).
        b2: decay of the mean of g, in [0, 1).
        {mu_dtype}
        {weight_decay}
        {mask}

    State:
        a tuple: of `scale_by_lion` (mu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 1 array per parameter; one pass.

    References:
        Chen et al. 2023, Algorithm 2, https://arxiv.org/abs/2302.06675

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.lion(0.1, weight_decay=0.5)
        >>> params = jnp.array([2.0, 2.0])
        >>> u, state = tx.update(jnp.array([3.0, -0.1]), tx.init(params), params)
        >>> [round(x, 4) for x in u.tolist()]
        [-0.2, -0.0]
    """
    scaled = scale_by_lion(b1, b2, mu_dtype)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
