"""ADOPT: a mean of gradients each divided by the root mean square of those before it."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from gradtx.rules import (
    Decay,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    abs_sq,
    behind,
    chain,
    divide,
    factory,
    held,
    leafwise,
    root,
    scalar_dtype,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


def fourth_root(count: Any) -> jax.Array:
    """Return count^(1/4), the bound of the paper."""
    return jnp.asarray(count).astype(scalar_dtype()) ** 0.25


fourth_root.pure = True  # type: ignore[attr-defined]  # the same count gives the same value: compiled once for good


def clipped(x: jax.Array, bound: Any) -> jax.Array:
    """Return `x` held to [-bound, bound], a complex number to that size."""
    if jnp.iscomplexobj(x):
        size = jnp.abs(x)
        return x * divide(jnp.minimum(size, bound), size)
    return jnp.clip(x, -bound, bound)


@factory
def scale_by_adopt(
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: NonNegative = fourth_root,
) -> Transform:
    """Average gradients, each divided by the root mean square of those before it.

    h_t = clip(g_t / max(sqrt(v_{t-1}), eps), c_{t-1}), h_1 = 0; m_t = b1 m_{t-1} + (1-b1) h_t, m_0 = 0;
    v_t = b2 v_{t-1} + (1-b2) g_t^2, v_1 = g_1^2; u_t = m_t, or b1 m_t + (1-b1) h_t with `nesterov`. clip(x, c) holds x
    to [-c, c], and c_t = clip_value_fn(t) counts from 0; without `use_clipping` nothing is held.

    The first step only measures: its update is 0. Since v_{t-1} does not know g_t, any b2 converges.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g.
    Equivalent to: optax.contrib's `scale_by_adopt`, which takes no complex numbers.

    Args:
        b1: decay of the mean of h, in [0, 1).
        b2: decay of the mean of g^2, in [0, 1).
        eps: the smallest root that g is divided by, >= 0.
        mu_dtype: dtype the mean of h is stored in; None is the parameter's, float32 or wider.
        {nesterov}
        use_clipping: whether to hold h to a bound.
        clip_value_fn: the bound, >= 0, a function of the count (or a number); by default count^(1/4), the paper's.

    State:
        mu, nu: m and v, like params, float32 or wider (mu in mu_dtype); nu real.

    Raises:
        ValueError: b1 or b2 outside [0, 1), eps < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Taniguchi et al. 2024, Algorithms 1 and 2, https://arxiv.org/abs/2411.02853

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adopt(b1=0.5)
        >>> u, state = tx.update(jnp.array(4.0), tx.init(jnp.array(0.0)))
        >>> u.item()
        0.0
        >>> u, state = tx.update(jnp.array(2.0), state)
        >>> u.item()
        0.25
    """

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype), "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"first": count == 0, "share": jnp.where(count == 0, 1.0, 1 - k.b2)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        ready = divide(g, jnp.maximum(root(slots["nu"]), k.eps))
        ready = clipped(ready, k.clip_value_fn) if use_clipping else ready
        ready = lax.select(k.first, jnp.zeros_like(ready), ready)  # a choice by one bool takes any sharding
        mu = k.b1 * slots["mu"] + (1 - k.b1) * ready
        nu = k.b2 * slots["nu"] + k.share * held(abs_sq(behind(g, mu)))
        # b1 mu + (1-b1) h, with h in one place: XLA:CPU writes out a quotient that is read twice
        ahead = k.b1 * k.b1 * slots["mu"] + (1 - k.b1) * (1 + k.b1) * ready
        return (ahead if nesterov else mu), {"mu": mu, "nu": nu}

    hyper = {"b1": b1, "b2": b2, "eps": eps, **({"clip_value_fn": clip_value_fn} if use_clipping else {})}
    return leafwise(Rule("scale_by_adopt", update, init, ("mu", "nu"), hyper, scalars=scalars, reads_old=nesterov))


@factory
def adopt(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.9999,
    eps: NonNegative = 1e-6,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: NonNegative = fourth_root,
) -> Transform:
    """Descend as Adam does, by a sigma that does not know of the gradient it divides.

    u_t = -eta_t m_t, m_t = b1 m_{t-1} + (1-b1) h_t, with h_t = clip(g_t / max(sqrt(v_{t-1}), eps), c_{t-1}), h_1 = 0,
    and v the moving mean of g^2 from g_1^2.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax.contrib's `adopt`.

    Args:
        {learning_rate}
        b1: decay of the mean of h, in [0, 1).
        b2: decay of the mean of g^2, in [0, 1).
        eps: the smallest root that g is divided by, >= 0.
        mu_dtype: dtype the mean of h is stored in; None is the parameter's, float32 or wider.
        {nesterov}
        use_clipping: whether to hold h to a bound.
        clip_value_fn: the bound, >= 0, a function of the count (or a number); by default count^(1/4), the paper's.

    State:
        a tuple: of `scale_by_adopt` (mu, nu, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 2 arrays per parameter; one pass.

    References:
        Taniguchi et al. 2024, Algorithms 1 and 2, https://arxiv.org/abs/2411.02853

    Examples:
        >>> import gradtx
        >>> gradtx.adopt(1e-3)
        chain(scale_by_adopt(b1=0.9, b2=0.9999, eps=1e-06), scale_by_learning_rate(0.001))
    """
    settings = {"nesterov": nesterov, "use_clipping": use_clipping}
    scaled = scale_by_adopt(b1, b2, eps, mu_dtype, clip_value_fn=clip_value_fn, **settings)
    return chain(scaled, scale_by_learning_rate(learning_rate))
