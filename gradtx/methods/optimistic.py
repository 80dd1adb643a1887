"""Optimistic descent: a step along the gradient predicted from its last change, which ends the circling of games."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gradtx.methods.adam import scale_by_adam
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Rule,
    Slots,
    Transform,
    chain,
    factory,
    leafwise,
    zeros,
)
from gradtx.schedules.apply import scale, scale_by_learning_rate


@factory
def scale_by_optimistic_gradient(alpha: Finite = 1.0, beta: Finite = 1.0) -> Transform:
    """Add to the gradient its last change.

    u_t = (alpha + beta) g_t - beta g_{t-1}, g_0 = g_1, so that u_1 = alpha g_1.

    Units: those of g.
    Equivalent to: optax's `scale_by_optimistic_gradient`.
    Differs from: optax's in that each argument may be a schedule.

    Args:
        alpha: weight of the gradient, finite.
        beta: weight of its change, finite; 0 adds none.

    State:
        previous_gradient: like params, float32 or wider.

    Raises:
        ValueError: alpha or beta is not finite.

    Cost: 1 array per parameter; one pass.

    References:
        Mokhtari, Ozdaglar & Pattathil 2020, equation 6, https://arxiv.org/abs/1901.08511

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_optimistic_gradient(alpha=1.0, beta=0.5)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(3.0), state)
        >>> float(u)
        4.0
    """

    def init(p: jax.Array) -> Slots:
        return {"previous_gradient": zeros(p)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> dict[str, Any]:
        return {"now": k.alpha + jnp.where(count > 0, k.beta, 0.0), "before": jnp.where(count > 0, k.beta, 0.0)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return k.now * g - k.before * slots["previous_gradient"], {"previous_gradient": g}

    hyper = {"alpha": alpha, "beta": beta}
    names = ("previous_gradient",)
    return leafwise(
        Rule(
            "scale_by_optimistic_gradient",
            update,
            init,
            names,
            hyper,
            scalars=scalars,
            role="direction",
            reads_old=True,
        )
    )


@factory
def optimistic_gradient_descent(learning_rate: LearningRate, alpha: Finite = 1.0, beta: Finite = 1.0) -> Transform:
    """Descend along the gradient plus its last change.

    u_t = -eta_t ((alpha + beta) g_t - beta g_{t-1}), g_0 = g_1. In a game, where plain descent circles, the last
    iterate converges.

    Units: eta has the units of p over those of g.
    Equivalent to: optax's `optimistic_gradient_descent`.

    Args:
        {learning_rate}
        alpha: weight of the gradient, finite.
        beta: weight of its change, finite.

    State:
        a tuple: of `scale_by_optimistic_gradient` (previous_gradient, like params) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 1 array per parameter; one pass.

    References:
        Mokhtari, Ozdaglar & Pattathil 2020, equation 6, https://arxiv.org/abs/1901.08511

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> def circle(tx, xy=jnp.array([1.0, 1.0])):  # the game min over x, max over y of x y
        ...     state = tx.init(xy)
        ...     for _ in range(200):
        ...         u, state = tx.update(jnp.array([xy[1], -xy[0]]), state, xy)
        ...         xy = gradtx.apply_updates(xy, u)
        ...     return round(float(jnp.linalg.norm(xy)), 2)
        >>> circle(gradtx.sgd(0.1)), circle(gradtx.optimistic_gradient_descent(0.1))
        (3.83, 0.52)
    """
    return chain(scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))


@factory
def optimistic_adam(
    learning_rate: LearningRate,
    optimism: Finite | None = None,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
) -> Transform:
    """Descend along Adam's ratio plus its last change, by optax's first interface.

    u_t = -eta_t r_t - optimism (r_t - r_{t-1}), r_t the update of `scale_by_adam`, r_0 = r_1. The newer
    `optimistic_adam_v2` has eta in front of both terms.

    Units: eta and optimism have the units of p; eps those of g.
    Differs from: optax's, which warns that it is deprecated, and takes no schedule as learning_rate.

    Args:
        learning_rate: eta, >= 0; number, array or schedule, and event schedule where optimism is None.
        optimism: weight of the change, finite; None is eta, as in the paper.
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        {nesterov}

    State:
        a tuple: of `scale_by_adam` (mu, nu), of `scale_by_optimistic_gradient` (previous_gradient), and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.
        TypeError: learning_rate is an event schedule beside an optimism.

    Cost: 3 arrays per parameter; one pass.

    References:
        Daskalakis et al. 2018, Algorithm 1, https://arxiv.org/abs/1711.00141

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.optimistic_adam(0.1, optimism=1.0, nesterov=False, b1=0.5, b2=0.5)
        >>> u, state = tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))
        >>> u, state = tx.update(jnp.array(-1.0), state)
        >>> round(float(u), 4)
        1.3667
    """
    scaled = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    if optimism is None:
        return chain(scaled, scale_by_optimistic_gradient(), scale_by_learning_rate(learning_rate))
    return chain(scaled, scale_by_optimistic_gradient(learning_rate, optimism), scale(-1.0))


@factory
def optimistic_adam_v2(
    learning_rate: LearningRate,
    *,
    alpha: Finite = 1.0,
    beta: Finite = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    nesterov: bool = True,
) -> Transform:
    """Descend along Adam's ratio plus its last change.

    u_t = -eta_t (alpha r_t + beta (r_t - r_{t-1})), r_t the update of `scale_by_adam`, r_0 = r_1.

    Units: eta has the units of p; eps those of g.
    Equivalent to: optax's `optimistic_adam_v2`; to the paper's Optimistic Adam without `nesterov`.

    Args:
        {learning_rate}
        alpha: weight of the ratio, finite.
        beta: weight of its change, finite.
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        {nesterov}

    State:
        a tuple: of `scale_by_adam` (mu, nu), of `scale_by_optimistic_gradient` (previous_gradient), and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range.

    Cost: 3 arrays per parameter; one pass.

    References:
        Daskalakis et al. 2018, Algorithm 1, https://arxiv.org/abs/1711.00141

    Examples:
        >>> import gradtx
        >>> gradtx.optimistic_adam_v2(1e-3).name
        'optimistic_adam_v2'
    """
    scaled = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    return chain(scaled, scale_by_optimistic_gradient(alpha, beta), scale_by_learning_rate(learning_rate))
