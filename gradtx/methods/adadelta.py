"""AdaDelta: a rate made of the updates' own size over the gradients', so that an update has the units of p."""

from types import SimpleNamespace
from typing import Any

import jax

from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    abs_sq,
    chain,
    divide,
    divide_by,
    factory,
    held,
    root,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_adadelta(rho: Decay = 0.9, eps: NonNegative = 1e-6) -> Transform:
    """Scale by the root mean square of past updates over that of past gradients.

    v_t = rho v_{t-1} + (1-rho) g_t^2; u_t = sqrt(w_{t-1} + eps) / sqrt(v_t + eps) g_t;
    w_t = rho w_{t-1} + (1-rho) u_t^2; v_0 = w_0 = 0.

    Units: those of sqrt(eps), which the first updates are made of.
    Equivalent to: optax's `scale_by_adadelta`; where v_t + eps is 0, u is 0.

    Args:
        rho: decay of both means of squares, in [0, 1).
        eps: added inside both roots, >= 0; at 0 nothing ever moves.

    State:
        nu, nu_update: v and w, like params, real, float32 or wider.

    Raises:
        ValueError: rho outside [0, 1), eps < 0.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zeiler 2012, Algorithm 1, https://arxiv.org/abs/1212.5701

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_adadelta(rho=0.5, eps=1.0)
        >>> u, state = tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)))
        >>> round(u.item(), 4), round(state.slots["nu_update"].item(), 4)
        (1.1547, 0.6667)
    """

    def init(p: jax.Array) -> Slots:
        return {"nu": zeros(p, magnitude=True), "nu_update": zeros(p, magnitude=True)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        square = held(abs_sq(g))
        nu = k.rho * slots["nu"] + (1 - k.rho) * square
        share = divide(square, nu + k.eps)  # u_t^2 = share (w_{t-1} + eps)
        nu_update = k.rho * slots["nu_update"] + (1 - k.rho) * (share * (slots["nu_update"] + k.eps))
        # w_{t-1} + eps is (w_t + rho eps) / (rho + (1-rho) share): the old slot need not be copied, no digits are lost
        sigma = divide(k.rho * (nu + k.eps) + (1 - k.rho) * square, nu_update + k.rho * k.eps)
        return root(sigma), {"nu": nu, "nu_update": nu_update}

    hyper = {"rho": rho, "eps": eps}
    return divide_by(Rule("scale_by_adadelta", update, init, ("nu", "nu_update"), hyper))


@factory
def adadelta(
    learning_rate: LearningRate | None = None,
    rho: Decay = 0.9,
    eps: NonNegative = 1e-6,
    weight_decay: Finite = 0.0,
    weight_decay_mask: Any = None,
) -> Transform:
    """Descend by steps whose size is learned from that of past updates and gradients.

    h_t = g_t + weight_decay p_t; u_t = -eta_t sqrt(w_{t-1} + eps) / sqrt(v_t + eps) h_t, with v the moving mean of h^2
    from 0 and w that of (u_t / eta_t)^2.

    Units: eta is dimensionless; sqrt(eps) has the units of p where eps is that of w, of g where it is that of v.
    Differs from: optax's `adadelta`, which without a learning rate adds the update and so climbs. weight_decay is added
    to the gradient, as there.

    Args:
        learning_rate: eta, >= 0; number, array, schedule or event schedule. None is 1, the paper's.
        rho: decay of both means of squares, in [0, 1).
        eps: added inside both roots, >= 0.
        weight_decay: share of p that is added to the gradient, finite.
        weight_decay_mask: where p is added, as the mask of `adamw`.

    State:
        a tuple: of the decay, of `scale_by_adadelta` (nu, nu_update, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 2 arrays per parameter; one pass.

    References:
        Zeiler 2012, Algorithm 1, https://arxiv.org/abs/1212.5701

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.adadelta(), jnp.array(1.0)
        >>> u, state = tx.update(jnp.array(2.0), tx.init(p), p)
        >>> round(u.item(), 6)
        -0.003162
    """
    rate = scale_by_learning_rate(1.0 if learning_rate is None else learning_rate)
    return chain(add_decayed_weights(weight_decay, weight_decay_mask), scale_by_adadelta(rho, eps), rate)
