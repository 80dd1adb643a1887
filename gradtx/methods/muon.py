"""Muon: momentum of a matrix, with all its singular values brought near 1."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
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
    abs_sq,
    chain,
    divide,
    factory,
    leafwise,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate

Coefficients = tuple[float, float, float]
JORDAN: Coefficients = (3.4445, -4.775, 2.0315)


def is_matrix(params: Any) -> Any:
    """Return the mask that is True at matrices."""
    return jax.tree.map(lambda p: jnp.ndim(p) == 2, params)


def is_other(params: Any) -> Any:
    """Return the mask that is True at all leaves but matrices."""
    return jax.tree.map(lambda p: jnp.ndim(p) != 2, params)


def at(mask: Any, tx: Transform) -> Transform:
    """Return a lifted transform for the leaves at which a mask is True."""
    return Transform.of(tx.body.where(mask))


def orders(ns_coeffs: Any, ns_steps: int) -> tuple[Coefficients, ...]:
    """Return the three coefficients of each Newton-Schulz step.

    Raises:
        ValueError: they are not three numbers, or a tuple of three numbers for each step; ns_steps is no whole number.
    """
    if not isinstance(ns_steps, int) or isinstance(ns_steps, bool) or ns_steps < 0:
        raise ValueError(f"scale_by_muon: ns_steps = {ns_steps!r}, expected a whole number >= 0; the paper's is 5")
    try:
        rows = tuple(ns_coeffs) if isinstance(ns_coeffs[0], (tuple, list)) else (ns_coeffs,) * ns_steps
        return tuple((float(a), float(b), float(c)) for a, b, c in rows)
    except (TypeError, ValueError, IndexError, KeyError):
        raise ValueError(
            f"scale_by_muon: ns_coeffs = {ns_coeffs!r}, expected three numbers or a tuple of three for each step; "
            f"the paper's are {JORDAN}"
        ) from None


def orthogonalised(x: jax.Array, rows: tuple[Coefficients, ...], eps: Any) -> jax.Array:
    """Return a matrix with the singular vectors of `x` and singular values near 1, 0 for a matrix of zeros."""
    if not x.size:
        return x
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x  # x x^H is then the smaller of the two products
    # The result does not depend on the unit except through eps, so neither does its derivative. Without it the squares
    # of float32 gradients above 1.8e19 overflow and those of gradients below 1e-23 vanish.
    largest = lax.stop_gradient(jnp.max(jnp.abs(x)))
    unit = jnp.where(largest > 0, largest, 1.0)
    x = x / lax.convert_element_type(unit, x.dtype)
    norm = root(jnp.sum(abs_sq(x))) + eps / unit
    x = divide(x, jnp.broadcast_to(norm, x.shape))
    for a, b, c in rows:
        square = x @ x.conj().T
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.T if tall else x


@factory
def scale_by_muon(
    ns_coeffs: Any = JORDAN,
    ns_steps: int = 5,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
) -> Transform:
    """Replace each matrix by its momentum, orthogonalised.

    m_t = beta m_{t-1} + (1-beta) g_t, m_0 = 0; h_t = beta m_t / (1-beta^(t+1)) + (1-beta) g_t / (1-beta^t), or
    m_t / (1-beta^t) without `nesterov`; X_0 = h_t / (|h_t|_F + eps); X_i = a X + (b X X^H + c (X X^H)^2) X for each
    step i, where X = X_{i-1}; u_t = X of the last step. With `adaptive` u_t is multiplied by Re <h_t, u_t>.

    Units: dimensionless (invariant to g -> c g when eps = 0), those of g with `adaptive`; eps has the units of g.
    Differs from: the paper, whose momentum is a sum and not a debiased mean; both have the same direction in the long
    run. optax's takes other `preconditioning`, named coefficients and arrays of more dimensions too.

    Args:
        ns_coeffs: a, b and c, or a tuple of them for each step, which then counts the steps.
        ns_steps: the number of Newton-Schulz steps.
        beta: decay of the mean of g, in [0, 1).
        eps: added to the norm, >= 0.
        {mu_dtype}
        {nesterov}
        adaptive: whether to multiply by the dual norm of what was orthogonalised.

    State:
        mu: like params, float32 or wider, or in mu_dtype.

    Raises:
        ValueError: a leaf that is no matrix; beta outside [0, 1), eps < 0; coefficients that are not three numbers.

    Cost: 1 array per parameter; 3 matrix products per Newton-Schulz step, in JAX's default matmul precision.

    References:
        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> from gradtx.methods.muon import scale_by_muon
        >>> tx = scale_by_muon(ns_coeffs=(1.5, -0.5, 0.0), ns_steps=20)
        >>> grads = jnp.array([[3.0, 0.0], [0.0, -0.5]])
        >>> updates, state = tx.update(grads, tx.init(jnp.zeros((2, 2))))
        >>> updates.round(4).tolist()
        [[1.0, 0.0], [0.0, -1.0]]
    """
    rows = orders(ns_coeffs, ns_steps)

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        if not nesterov:
            return {"of_mu": unbias(k.beta, t)}
        return {"of_mu": k.beta * unbias(k.beta, t + 1.0), "of_g": (1 - k.beta) * unbias(k.beta, t)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.beta * slots["mu"] + (1 - k.beta) * g
        ahead = k.of_mu * mu + k.of_g * g if nesterov else k.of_mu * mu
        u = orthogonalised(ahead, rows, k.eps)
        if adaptive:
            u = u * jnp.sum((ahead.conj() * u).real)
        return u, {"mu": mu}

    hyper = {"beta": beta, "eps": eps}
    rule = Rule(
        "scale_by_muon", update, init, ("mu",), hyper, scalars=scalars, ndims=(2,), elementwise=False, role="direction"
    )
    return leafwise(rule)


def scale_by_shape(consistent_rms: Any) -> Transform:
    """Return the factor that makes the size of an orthogonal update right for its shape, fan in times fan out."""

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        fan_in, fan_out = g.shape
        if consistent_rms is None:
            return g * math.sqrt(max(1.0, fan_out / max(fan_in, 1))), slots
        return g * (k.consistent_rms * math.sqrt(max(fan_in, fan_out))), slots

    hyper = {} if consistent_rms is None else {"consistent_rms": consistent_rms}
    return leafwise(Rule("scale_by_shape", update, hyper=hyper, ndims=(2,)), mask=is_matrix)


def decay(weight_decay: Any, *, matrices: bool, mask: Any = None) -> Transform:
    """Return the weight decay of the matrices, or of all other leaves, where a mask is True."""

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return g + k.weight_decay * p if (g.ndim == 2) == matrices else g, slots

    rule = Rule("add_decayed_weights", update, hyper={"weight_decay": weight_decay}, needs_params=True, role="decay")
    return leafwise(rule, mask=mask)


@factory
def muon(
    learning_rate: LearningRate,
    ns_coeffs: Any = JORDAN,
    ns_steps: int = 5,
    beta: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: Finite = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
    adam_weight_decay: Finite = 0.0,
    adam_learning_rate: LearningRate | None = None,
    consistent_rms: NonNegative | None = None,
) -> Transform:
    """Descend along orthogonalised momentum at matrices, and as AdamW does elsewhere.

    at a matrix of r rows and c columns u_t = -eta_t (f X_t + weight_decay p_t), X_t as in `scale_by_muon` and
    f = sqrt(max(1, c / r)), or consistent_rms sqrt(max(r, c)); elsewhere `adamw` with adam_b1, adam_b2, eps,
    adam_eps_root and adam_weight_decay.

    Units: eta has the units of p; eps those of g; weight_decay is per unit of p.
    Differs from: optax's `muon` in nothing at these arguments; it has others for arrays of more dimensions
    (muon_weight_dimension_numbers), for other norms (preconditioning) and for named coefficients.

    Args:
        {learning_rate}
        ns_coeffs: a, b and c of the Newton-Schulz step, or a tuple of them for each step.
        ns_steps: the number of Newton-Schulz steps.
        beta: decay of the mean of g at matrices, in [0, 1).
        eps: added to the norm of a matrix and to Adam's root, >= 0.
        weight_decay: decoupled decay of matrices, finite.
        weight_decay_mask: where matrices decay, as the mask of `adamw`.
        {mu_dtype}
        {nesterov}
        adaptive: whether to multiply by the dual norm of what was orthogonalised.
        adam_b1: b1 where Adam works.
        adam_b2: b2 where Adam works.
        adam_eps_root: eps_root where Adam works.
        adam_weight_decay: decoupled decay of the leaves where Adam works, finite.
        adam_learning_rate: eta where Adam works; None is learning_rate.
        consistent_rms: root mean square of the updates of matrices, such as 0.2 to be like Adam's; None scales by the
            shape.

    State:
        a tuple, one entry per link; mu at matrices, mu and nu elsewhere, float32 or wider (mu in mu_dtype).

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params.

    Cost: 1 array per number of a matrix, 2 elsewhere; one pass, and the matrix products of `scale_by_muon`.

    References:
        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025, https://arxiv.org/abs/2502.16982

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.muon(0.02)
        >>> params = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
        >>> [sorted(link.slots) for link in tx.init(params)][:3]
        [['mu'], [], ['mu', 'nu']]
    """
    links = [
        at(is_matrix, scale_by_muon(ns_coeffs, ns_steps, beta, eps, mu_dtype, nesterov=nesterov, adaptive=adaptive)),
        scale_by_shape(consistent_rms),
        at(is_other, scale_by_adam(adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, nesterov=nesterov)),
        decay(weight_decay, matrices=True, mask=weight_decay_mask),
        decay(adam_weight_decay, matrices=False),
    ]
    if adam_learning_rate is None:
        return chain(*links, scale_by_learning_rate(learning_rate))
    rates = [(is_matrix, learning_rate), (is_other, adam_learning_rate)]
    return chain(*links, *(at(mask, scale_by_learning_rate(rate)) for mask, rate in rates))
