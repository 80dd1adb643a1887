"""COCOB: each parameter bets its winnings on a coin whose outcomes are the gradients; there is no rate to tune."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Finite,
    LearningRate,
    NonNegative,
    Positive,
    Rule,
    Slots,
    Transform,
    abs_sq,
    chain,
    divide,
    factory,
    full,
    leafwise,
    own_copy,
    root,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


def size(g: jax.Array) -> jax.Array:
    """Return the magnitude of each element."""
    return root(abs_sq(g)) if jnp.iscomplexobj(g) else jnp.abs(g)


@factory
def scale_by_cocob(alpha: Positive = 100.0, eps: NonNegative = 1e-8) -> Transform:
    """Bet on the direction that the negative gradients have taken so far.

    with c_t = -g_t: L_t = max(L_{t-1}, |c_t|), L_0 = eps;
    G_t = G_{t-1} + |c_t|; R_t = max(R_{t-1} + c_t (p_t - p_1), 0); s_t = s_{t-1} + c_t; G, R and s are 0 at first;
    u_t = p_1 + s_t (L_t + R_t) / (L_t max(G_t + L_t, alpha L_t)) - p_t, which goes downhill and is the whole update:
    put nothing behind it.

    Units: those of p (invariant to c -> k c when eps = 0), a first step is 1 / alpha; eps has those of g.
    Equivalent to: optax's `scale_by_cocob`; the paper starts L at 0 or 1e-8.

    Args:
        alpha: the first steps are 1 / alpha at most, > 0.
        eps: the first L, >= 0.

    State:
        init_particles, cumulative_gradients, scale, subgradients, reward: p_1, s, L, G and R, like params, float32 or
        wider; the last three real.

    Raises:
        ValueError: alpha <= 0, eps < 0; at update, params missing.

    Cost: 5 arrays per parameter; one pass.

    References:
        Orabona & Tommasi 2017, Algorithm 2, https://arxiv.org/abs/1705.07795

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_cocob(alpha=2.0, eps=0.0)
        >>> p = jnp.array(1.0)
        >>> state = tx.init(p)
        >>> for g in (-4.0, -2.0, -1.0):
        ...     u, state = tx.update(jnp.array(g), state, p)
        ...     p = p + u
        >>> round(float(p), 4)  # 1 + 7 / (7 + 4) (1 + 1.75 / 4)
        1.9148
    """

    def init(p: jax.Array) -> Slots:
        real = {name: zeros(p, magnitude=True) for name in ("subgradients", "reward")}
        scale = full(p, eps, magnitude=True)
        return {"init_particles": own_copy(p), "cumulative_gradients": zeros(p), "scale": scale, **real}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        first = slots["init_particles"]
        c = -g
        won = c * (p - first) if not jnp.iscomplexobj(g) else (jnp.conj(c) * (p - first)).real
        total = slots["cumulative_gradients"] + c
        largest = jnp.maximum(slots["scale"], size(g))
        sizes = slots["subgradients"] + size(g)
        # max(R + won, 0): XLA computes what ends in a maximum with a number once more for p, from a copy of the old R
        reward = slots["reward"] + jnp.maximum(won, -slots["reward"])
        share = divide(total, jnp.maximum(sizes + largest, k.alpha * largest))
        # 1 + R / L rather than (L + R) / L^2, whose square would vanish for small gradients
        u = first - p + share * (1.0 + divide(reward, largest))
        new = {
            "init_particles": first,
            "cumulative_gradients": total,
            "scale": largest,
            "subgradients": sizes,
            "reward": reward,
        }
        return u, new

    slots = ("init_particles", "cumulative_gradients", "scale", "subgradients", "reward")
    hyper = {"alpha": alpha, "eps": eps}
    return leafwise(Rule("scale_by_cocob", update, init, slots, hyper, needs_params=True))


@factory
def cocob(
    learning_rate: LearningRate = 1.0,
    alpha: Positive = 100.0,
    eps: NonNegative = 1e-8,
    weight_decay: Finite = 0.0,
    mask: Any = None,
) -> Transform:
    """Descend by betting on the direction that the gradients have taken so far.

    c_t = -eta_t (g_t + weight_decay p_t); u_t = p_1 + s_t (L_t + R_t) / (L_t max(G_t + L_t, alpha L_t)) - p_t, with
    s the sum of c, G that of |c|, L the largest |c| (at first eps) and R_t = max(R_{t-1} + c_t (p_t - p_1), 0).

    Units: invariant to g -> k g when eps = 0, so that a constant eta changes nothing; eps has the units of eta g.
    Equivalent to: optax's `cocob`; the paper has neither eta nor decay.

    Args:
        learning_rate: eta, >= 0, how much the gradient of this step counts; number, array, schedule or event schedule.
        alpha: the first steps are 1 / alpha at most, > 0.
        eps: the first L, >= 0.
        weight_decay: L2 regularisation, finite.
        {mask}

    State:
        a tuple: of the decay, of the rate and of `scale_by_cocob` (5 trees like params).

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit; at update, params missing.

    Cost: 5 arrays per parameter; one pass.

    References:
        Orabona & Tommasi 2017, Algorithm 2, https://arxiv.org/abs/1705.07795

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.cocob(), jnp.array(1.0)
        >>> state = tx.init(params)
        >>> for _ in range(50):
        ...     updates, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, updates)
        >>> bool(abs(params) < 1e-3)
        True
    """
    decay = add_decayed_weights(weight_decay, mask)
    return chain(decay, scale_by_learning_rate(learning_rate, flip_sign=False), scale_by_cocob(alpha, eps))
