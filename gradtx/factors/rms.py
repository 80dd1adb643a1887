"""The root of a moving mean of squared gradients, RMSProp's sigma, and the same about the mean."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.hyperparams import Hyper
from gradtx._core.arrays.numerics import abs_sq, full, root, steps, unbias, zeros
from gradtx._core.contract.transform import Transform, factory
from gradtx._core.engine.leafwise import divide_by
from gradtx._core.engine.rule import Rule, Slots


def rms(
    decay: Hyper,
    eps: Hyper,
    initial_scale: Hyper = 0.0,
    eps_root: Hyper = 0.0,
    *,
    debias: bool = False,
    first_gradient: bool = False,
) -> Rule:
    """Return the rule sigma_t = sqrt(nu_t + eps_root) + eps with nu a moving mean of g^2; see `scale_by_rms`."""

    def init(p: jax.Array) -> Slots:
        return {"nu": full(p, initial_scale, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        more = {"unbias": unbias(k.decay, steps(count)) if debias else 1.0}
        if first_gradient:  # sigma_0 = |g_0|: the first step keeps nothing of the past
            return {**more, "keep": jnp.where(count == 0, 0.0, k.decay), "add": jnp.where(count == 0, 1.0, 1 - k.decay)}
        return {**more, "keep": k.decay, "add": 1 - k.decay}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        nu = k.keep * slots["nu"] + k.add * abs_sq(g)
        return root(nu * k.unbias + k.eps_root) + k.eps, {"nu": nu}

    hyper = {"decay": decay, "eps": eps, "eps_root": eps_root}
    return Rule("rms", update, init, hyper, scalars)


@factory
def scale_by_rms(
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: Hyper = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
    *,
    first_gradient: bool = False,
) -> Transform:
    """Divide by the root of a moving mean of squared gradients.

    nu_t = decay nu_{t-1} + (1 - decay) g_t^2, nu_0 = initial_scale; with `bias_correction` nu_t is first divided by
    1 - decay^t; sigma_t = sqrt(nu_t + eps), or sqrt(nu_t) + eps with `eps_in_sqrt=False`; u_t = g_t / sigma_t.
    With `first_gradient`, the lecture's start: sigma of the first step is |g|, so its step has size 1 everywhere.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g^2 inside the root, of g outside.
    Differs from: PyTorch's RMSprop, which adds eps outside the root; set `eps_in_sqrt=False`.

    Args:
        decay: weight of the past, in [0, 1); 0 gives u = sign(g) as eps -> 0.
        eps: added inside or outside the root, >= 0.
        initial_scale: nu_0, >= 0 (a mean SQUARE, in spite of its name, which is optax's).
        eps_in_sqrt: whether eps is added inside the root.
        bias_correction: whether to divide by the sum of the weights so far.
        first_gradient: whether nu starts at the first squared gradient instead of `initial_scale`.

    State:
        nu: like params, real, float32 or wider.

    Raises:
        ValueError: decay outside [0, 1), eps or initial_scale < 0, or `first_gradient` with another start.

    Cost: 1 array per parameter; one pass.

    References:
        Tieleman & Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_rms(0.75, eps=0.0, first_gradient=True)
        >>> u, state = tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(1.0), state)
        >>> round(float(u), 4)
        0.5547
    """
    if first_gradient and (bias_correction or not (isinstance(initial_scale, (int, float)) and initial_scale == 0)):
        raise ValueError(
            "scale_by_rms: first_gradient is True beside bias_correction or initial_scale, expected one start only; "
            "leave bias_correction False and initial_scale 0"
        )
    inside, outside = (eps, 0.0) if eps_in_sqrt else (0.0, eps)
    rule = rms(decay, outside, initial_scale, inside, debias=bias_correction, first_gradient=first_gradient)
    return divide_by(rule)


@factory
def scale_by_stddev(
    decay: Hyper = 0.9,
    eps: Hyper = 1e-8,
    initial_scale: Hyper = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Transform:
    """Divide by the moving standard deviation of the gradients: RMSProp, centred.

    mu_t = decay mu_{t-1} + (1 - decay) g_t, mu_0 = 0; nu_t = decay nu_{t-1} + (1 - decay) g_t^2, nu_0 = initial_scale;
    with `bias_correction` both are first divided by 1 - decay^t; sigma_t = sqrt(nu_t - mu_t^2 + eps), or
    sqrt(nu_t - mu_t^2) + eps with `eps_in_sqrt=False`; u_t = g_t / sigma_t. Rounding cannot make the variance
    negative here: it is taken as 0 then. With `bias_correction` the first variance is 0 by this formula, whatever g is,
    so the first step is g / sqrt(eps): start it with an `initial_scale`, or a warm-up.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g^2 inside the root, of g outside.

    Args:
        decay: weight of the past, in [0, 1).
        eps: added inside or outside the root, >= 0.
        initial_scale: nu_0, >= 0.
        eps_in_sqrt: whether eps is added inside the root.
        bias_correction: whether to divide by the sum of the weights so far.

    State:
        mu, nu: like params, float32 or wider; nu real.

    Raises:
        ValueError: decay outside [0, 1), eps or initial_scale < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Graves 2013, equations 38-45, https://arxiv.org/abs/1308.0850

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_stddev(0.5, eps=0.0)
        >>> u, state = tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)))
        >>> round(float(u), 4)
        2.0
    """
    inside, outside = (eps, 0.0) if eps_in_sqrt else (0.0, eps)

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p), "nu": full(p, initial_scale, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"unbias": unbias(k.decay, steps(count)) if bias_correction else 1.0}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.decay * slots["mu"] + (1 - k.decay) * g
        nu = k.decay * slots["nu"] + (1 - k.decay) * abs_sq(g)
        variance = jnp.maximum(nu * k.unbias - abs_sq(mu * k.unbias), 0.0)
        return root(variance + k.eps_root) + k.eps, {"mu": mu, "nu": nu}

    hyper = {"decay": decay, "eps": outside, "eps_root": inside}
    return divide_by(Rule("scale_by_stddev", update, init, hyper, scalars))
