"""The root of the sum, or of the mean, of all past squared gradients: Adagrad's sigma."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax

from gradtx.rules import (
    NonNegative,
    Rule,
    Slots,
    Transform,
    abs_sq,
    divide_by,
    factory,
    full,
    held,
    is_above_0,
    root,
    steps,
)


@factory
def scale_by_adagrad(
    initial_accumulator_value: NonNegative = 0.1,
    eps: NonNegative = 1e-7,
    *,
    mean: bool = False,
    eps_in_sqrt: bool = True,
) -> Transform:
    """Divide by the root of the sum of all past squared gradients.

    s_t = s_{t-1} + g_t^2, s_0 = initial_accumulator_value; sigma_t = sqrt(s_t + eps), or with `mean` the lecture's
    root MEAN square sigma_t = sqrt((s_t + eps) / t); u_t = g_t / sigma_t, 0 where s_t is 0. The mean form with the
    rate eta / sqrt(t) is the sum form with the rate eta. With `eps_in_sqrt=False` sigma_t = sqrt(s_t) + eps.

    Units: dimensionless (invariant to g -> c g when eps = s_0 = 0); eps and s_0 have the units of g^2, eps those of g
    outside the root.
    Equivalent to: optax's `scale_by_rss` in the sum form.
    Differs from: PyTorch's Adagrad, where s_0 = 0 and eps stands outside the root: set `eps_in_sqrt=False`.

    Args:
        initial_accumulator_value: s_0, >= 0.
        eps: added inside or outside the root, >= 0.
        mean: whether sigma is the root of the mean instead of the sum; the paper's and the libraries' is the sum.
        eps_in_sqrt: whether eps is added inside the root.

    State:
        sum_of_squares: like params, real, float32 or wider.

    Raises:
        ValueError: initial_accumulator_value or eps < 0.

    Cost: 1 array per parameter; one pass.

    References:
        Duchi, Hazan & Singer 2011, Figure 1 (diagonal), https://jmlr.org/papers/v12/duchi11a.html

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adagrad(0.0, eps=0.0, mean=True)
        >>> u, state = tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(4.0), state)
        >>> round(float(u), 4)
        1.1314
    """

    def init(p: jax.Array) -> Slots:
        return {"sum_of_squares": full(p, initial_accumulator_value, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del k
        return {"share": 1.0 / steps(count) if mean else 1.0}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        s = held(slots["sum_of_squares"]) + held(abs_sq(g))
        return root((s + k.eps_root) * k.share) + k.eps, {"sum_of_squares": s}

    hyper = {"eps": 0.0 if eps_in_sqrt else eps, "eps_root": eps if eps_in_sqrt else 0.0}
    positive = is_above_0(hyper["eps"])
    rule = Rule("scale_by_adagrad", update, init, ("sum_of_squares",), hyper, scalars=scalars, positive=positive)
    return divide_by(rule)


@factory
def scale_by_rss(initial_accumulator_value: NonNegative = 0.1, eps: NonNegative = 1e-7) -> Transform:
    """Divide by the root of the sum of squares: optax's name for `scale_by_adagrad` in the sum form.

    s_t = s_{t-1} + g_t^2, s_0 = initial_accumulator_value; u_t = g_t / sqrt(s_t + eps).

    Units: dimensionless; see `scale_by_adagrad`.

    Args:
        initial_accumulator_value: s_0, >= 0.
        eps: added inside the root, >= 0.

    State:
        sum_of_squares: like params, real, float32 or wider.

    Raises:
        ValueError: initial_accumulator_value or eps < 0.

    Cost: 1 array per parameter; one pass.

    References:
        Duchi, Hazan & Singer 2011, Figure 1 (diagonal), https://jmlr.org/papers/v12/duchi11a.html

    Examples:
        >>> import gradtx
        >>> gradtx.scale_by_rss()
        scale_by_rss(initial_accumulator_value=0.1, eps=1e-07)
    """
    return scale_by_adagrad(initial_accumulator_value, eps)
