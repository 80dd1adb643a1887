"""The root of a moving mean of squared gradients, RMSProp's sigma, and the same about the mean."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.reading import read
from gradtx.rules import (
    Decay,
    Hyper,
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
    unbias,
    zeros,
)


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
        nu = k.keep * slots["nu"] + k.add * held(abs_sq(g))
        return root(nu * k.unbias + k.eps_root) + k.eps, {"nu": nu}

    hyper = {"decay": decay, "eps": eps, "eps_root": eps_root}
    return Rule("rms", update, init, ("nu",), hyper, scalars=scalars, positive=is_above_0(eps))


@factory
def scale_by_rms(
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
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


def per(part: Any, rest: Any) -> Any:
    """Return part / rest, 0 where rest is 0."""
    if isinstance(rest, float):
        return part / rest if rest else 0.0
    return jnp.where(rest == 0, 0.0, part / jnp.where(rest == 0, 1.0, rest))


@factory
def scale_by_stddev(
    decay: Decay = 0.9,
    eps: NonNegative = 1e-8,
    initial_scale: NonNegative = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> Transform:
    """Divide by the moving standard deviation of the gradients: RMSProp, centred.

    mu_t = decay mu_{t-1} + (1 - decay) g_t, mu_0 = 0; nu_t = decay nu_{t-1} + (1 - decay) g_t^2, nu_0 = initial_scale;
    with `bias_correction` both are first divided by 1 - decay^t; sigma_t = sqrt(nu_t - mu_t^2 + eps), or
    sqrt(nu_t - mu_t^2) + eps with `eps_in_sqrt=False`; u_t = g_t / sigma_t.

    The variance s_t = nu_t - mu_t^2 itself is stored, since the difference loses all digits where the mean is much
    larger than the deviation:
    s_t = (1 - a_t) (s_{t-1} + a_t (g_t - mu_{t-1})^2), mu_t = mu_{t-1} + a_t (g_t - mu_{t-1})
    where a_t = 1 - decay, or with `bias_correction` (1 - decay) / (1 - decay^t), which gives the debiased moments. The
    numbers are the same and never negative. With `bias_correction` the first variance is 0, whatever g is, so the
    first step is g / sqrt(eps): start it with an `initial_scale`, or a warm-up.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g^2 inside the root, of g outside.

    Args:
        decay: weight of the past, in [0, 1).
        eps: added inside or outside the root, >= 0.
        initial_scale: nu_0, >= 0.
        eps_in_sqrt: whether eps is added inside the root.
        bias_correction: whether to divide by the sum of the weights so far.

    State:
        mu, variance: like params, float32 or wider; variance real.

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
        return {"mu": zeros(p), "variance": full(p, 0.0 if bias_correction else initial_scale, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        if not bias_correction:
            return {"new": 1 - k.decay, "rest": k.decay, "away": per(1 - k.decay, k.decay), "start": 0.0}
        t = steps(count)
        corrected, before = unbias(k.decay, t), unbias(k.decay, jnp.maximum(t - 1.0, 1.0))
        rest = jnp.where(count == 0, 0.0, k.decay * corrected / before)  # (1 - decay^(t-1)) decay / (1 - decay^t)
        start = read(initial_scale, jnp.zeros((), jnp.int32)) * (corrected - 1.0)  # what is left of nu_0, corrected
        return {"new": 1.0 - rest, "rest": rest, "away": per(1.0 - rest, rest), "start": start}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = slots["mu"] + k.new * (g - slots["mu"])
        # (1 - a) a (g - mu_{t-1})^2 by the new mean, g - mu_t = (1 - a) (g - mu_{t-1}): the old one would be copied
        variance = k.rest * slots["variance"] + k.away * held(abs_sq(g - mu))
        return root(variance + k.start + k.eps_root) + k.eps, {"mu": mu, "variance": variance}

    hyper = {"decay": decay, "eps": outside, "eps_root": inside}
    positive = is_above_0(outside)
    return divide_by(
        Rule("scale_by_stddev", update, init, ("mu", "variance"), hyper, scalars=scalars, positive=positive)
    )
