"""Sophia: momentum over a running mean of each parameter's curvature, clipped, and so a sign where that is flat."""

from typing import Any

import optax
from jax.typing import DTypeLike

from gradtx._core.arguments.whole import check_count
from gradtx._core.engine.members import check_member, own
from gradtx.factors.clipped_curvature import Sophia, clipped
from gradtx.factors.hutchinson import hutchinson_estimator_diag_hessian
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import Decay, Finite, LearningRate, NonNegative, Positive, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate

HUTCHINSON = hutchinson_estimator_diag_hessian()


@factory
def scale_by_sophia(
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    gamma: NonNegative = 0.01,
    clip_threshold: Positive | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: optax.GradientTransformation = HUTCHINSON,
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> Transform:
    """Scale the debiased mean of the gradients by the mean curvature of each parameter, and clip the ratio.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0; u_t = clip((m_t / (1-b1^t)) / max(gamma h_{t-1}, eps), clip_threshold), each
    number to at most clip_threshold in size; h_t = b2 h_{t-1} + (1-b2) e_t where t - 1 is a multiple of
    update_interval, else h_t = h_{t-1}; h_0 = 0. e_t is what hessian_diagonal_fn makes of the gradients: an estimate of
    the diagonal of the Hessian.

    Where the curvature is not positive, as before the first estimate, u is nearly clip_threshold times a sign.

    Units: dimensionless once it is clipped; gamma has the units of p, eps those of g.
    Differs from: the paper, which takes the new estimate into h before the step and does not debias m; from optax's in
    nothing.

    Args:
        {b1}
        b2: decay of the mean of the estimates, in [0, 1).
        eps: the least that the mean of the gradients is divided by, >= 0; with 0, u is 0 where it is 0.
        gamma: multiplies the curvature, >= 0; best so that a tenth to a half of the numbers are not clipped.
        clip_threshold: the largest size of a number of u, > 0; None does not clip.
        update_interval: updates from one estimate to the next, a whole number >= 1.
        hessian_diagonal_fn: the transform that makes the estimate, gradtx's or optax's, by default
            `hutchinson_estimator_diag_hessian()`; it is given the gradients, the params and all extra arguments.
        {mu_dtype}
        verbose: whether to print the share of numbers that are not clipped.
        print_win_rate_every_n_steps: updates from one print to the next; 0 is each.

    State:
        mu, nu: m and h, like params, float32 or wider, mu in mu_dtype; nu real; hessian_fn_state; count.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, an extra argument of hessian_diagonal_fn is missing
            (obj_fn).
        TypeError: hessian_diagonal_fn is no transform.

    Cost: 2 arrays per parameter; one pass, and an estimate in one of update_interval steps.

    References:
        Liu et al. 2023, Algorithm 3, https://arxiv.org/abs/2305.14342

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_sophia(b1=0.5, b2=0.5, gamma=0.1, update_interval=1)
        >>> p = jnp.array([1.0, 10.0])
        >>> state = tx.init(p)
        >>> for _ in range(2):
        ...     u, state = tx.update(p, state, p, obj_fn=lambda p: 30 * p[0] ** 2 + p[1] ** 2)
        >>> [round(x, 4) for x in u.tolist()]  # 1 / 3, and 100 clipped
        [0.3333, 1.0]
    """
    check_member("scale_by_sophia", "hessian_diagonal_fn", hessian_diagonal_fn)
    check_count("scale_by_sophia", "update_interval", update_interval, example=10)
    check_count("scale_by_sophia", "print_win_rate_every_n_steps", print_win_rate_every_n_steps, 0)
    hessian = own(hessian_diagonal_fn)
    body = Sophia(
        clipped(b1, eps, gamma, clip_threshold, mu_dtype),
        hessian if isinstance(hessian, Transform) else optax.with_extra_args_support(hessian),
        b2,
        update_interval,
        (print_win_rate_every_n_steps or 1) if verbose else 0,
        clip_threshold,
    )
    return Transform.of(body)


@factory
def sophia(
    learning_rate: LearningRate,
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: Finite = 1e-4,
    weight_decay_mask: Any = None,
    gamma: NonNegative = 0.01,
    clip_threshold: Positive | None = 1.0,
    update_interval: int = 10,
    hessian_diagonal_fn: optax.GradientTransformation = HUTCHINSON,
    mu_dtype: DTypeLike | None = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: int = 0,
) -> Transform:
    """Descend by momentum over curvature, clipped.

    u_t = -eta_t (clip((m_t / (1-b1^t)) / max(gamma h_{t-1}, eps), clip_threshold) + weight_decay p_t), with m the
    moving mean of g and h that of an estimate of the diagonal of the Hessian, made in one of update_interval steps,
    both from 0.

    Call update(grads, state, params, obj_fn=...), a function of the params alone that returns the loss of the batch.

    Units: eta has the units of p; gamma and eps as in `scale_by_sophia`; weight_decay is per unit of p.
    Equivalent to: optax's `sophia`; see `scale_by_sophia` for the paper.

    Args:
        {learning_rate}
        {b1}
        b2: decay of the mean of the estimates, in [0, 1).
        eps: the least that the mean of the gradients is divided by, >= 0.
        {weight_decay}
        weight_decay_mask: where the params decay, as the mask of `adamw`.
        gamma: multiplies the curvature, >= 0.
        clip_threshold: the largest size of a number before eta, > 0; None does not clip.
        update_interval: updates from one estimate to the next, a whole number >= 1.
        hessian_diagonal_fn: the transform that makes the estimate, by default `hutchinson_estimator_diag_hessian()`.
        {mu_dtype}
        verbose: whether to print the share of numbers that are not clipped.
        print_win_rate_every_n_steps: updates from one print to the next; 0 is each.

    State:
        a tuple: of `scale_by_sophia` (mu, nu, like params), of the decay and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, obj_fn or params missing.
        TypeError: hessian_diagonal_fn is no transform.

    Cost: 2 arrays per parameter; two passes, and an estimate in one of update_interval steps, about 2 gradients.

    References:
        Liu et al. 2023, Algorithm 3, https://arxiv.org/abs/2305.14342

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> f = lambda p: jnp.sum(jnp.array([1.0, 100.0]) * p**2)
        >>> tx, p = gradtx.sophia(0.05, gamma=0.1), jnp.array([1.0, 1.0])
        >>> state = tx.init(p)
        >>> for _ in range(100):
        ...     updates, state = tx.update(jax.grad(f)(p), state, p, obj_fn=f)
        ...     p = gradtx.apply_updates(p, updates)
        >>> bool(f(p) < 1)
        True
    """
    scaled = scale_by_sophia(
        b1,
        b2,
        eps,
        gamma,
        clip_threshold,
        update_interval,
        hessian_diagonal_fn,
        mu_dtype,
        verbose,
        print_win_rate_every_n_steps,
    )
    return chain(scaled, add_decayed_weights(weight_decay, weight_decay_mask), scale_by_learning_rate(learning_rate))
