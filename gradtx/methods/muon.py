"""Muon: momentum of a matrix, with all its singular values brought near 1."""

from types import SimpleNamespace
from typing import Any

import jax
from jax.typing import DTypeLike

from gradtx._core.arrays.layers import layer_axes, with_stacks
from gradtx._core.arrays.matrices import LEAVE, Layout, is_mixed, layout_of, where_none
from gradtx._core.arrays.sums import refuse_parts
from gradtx.factors.newton_schulz import JORDAN, check_preconditioning, orders
from gradtx.factors.orthogonal_momentum import orthogonal_momentum
from gradtx.factors.shape import times_shape_factor
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
)
from gradtx.schedules.apply import scale_by_learning_rate


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
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Replace each matrix by its momentum, orthogonalised.

    m_t = beta m_{t-1} + (1-beta) g_t, m_0 = 0; h_t = beta m_t / (1-beta^(t+1)) + (1-beta) g_t / (1-beta^t), or
    m_t / (1-beta^t) without `nesterov`; X_0 = h_t / (|h_t|_F + eps); X_i = a X + (b X X^H + c (X X^H)^2) X for each
    step i, where X = X_{i-1}; u_t = X of the last step. With `adaptive` u_t is multiplied by Re <h_t, u_t>. Other
    `preconditioning` puts another X_0, see `orthogonalize_via_newton_schulz`. All matrices of one shape, transposed or
    not, go through one chain of products.

    With `layers` a stack that is split over rows or columns goes to whole matrices on each device by one all-to-all and
    back by another, and a number of layers that the axes do not divide is filled up with zeros.

    Units: dimensionless (invariant to g -> c g when eps = 0), those of g with `adaptive`; eps has the units of g.
    Differs from: the paper, whose momentum is a sum and not a debiased mean; both have the same direction in the long
    run. optax's, where `adaptive` multiplies a stack of matrices by one number, the sum of theirs, and "aol" and
    "schatten" leave entries of 1e-8 and less too small; here a stack is as its matrices, whatever their unit.

    Args:
        ns_coeffs: a, b and c, or a tuple of them for each step, which then counts the steps, or "standard" or "dion";
            by default (3.4445, -4.775, 2.0315).
        ns_steps: the number of Newton-Schulz steps.
        beta: decay of the mean of g, in [0, 1).
        eps: added to the norm, >= 0.
        {mu_dtype}
        {nesterov}
        adaptive: whether to multiply by the dual norm of what was orthogonalised.
        preconditioning: what to divide by before the steps: "frobenius", "spectral", "aol" or "schatten".
        weight_dimension_numbers: a tree of `MuonDimensionNumbers`, like the params or a prefix of them, or a function
            of the params that returns one; a leaf at None stays as it is. None takes all leaves as matrices.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        mu: like params, float32 or wider, or in mu_dtype.

    Raises:
        ValueError: a leaf of another number of dimensions than 2 without dimension numbers, or dimension numbers that
            do not fit it; beta outside [0, 1), eps < 0; coefficients that are not three numbers; a matrix that differs
            by device without axis_name; with layers, no stack, no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: 1 array per parameter; 3 matrix products per Newton-Schulz step, in JAX's default matmul precision.

    References:
        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_muon(ns_coeffs=(1.5, -0.5, 0.0), ns_steps=20)
        >>> grads = jnp.array([[3.0, 0.0], [0.0, -0.5]])
        >>> updates, state = tx.update(grads, tx.init(jnp.zeros((2, 2))))
        >>> updates.round(4).tolist()
        [[1.0, 0.0], [0.0, -1.0]]
    """
    name = "scale_by_muon"
    check_preconditioning(name, preconditioning)
    split = layer_axes(name, layers)
    layout = layout_of(name, "weight_dimension_numbers", weight_dimension_numbers, LEAVE, small=False)
    check = refuse_parts(name, axis_name, is_mixed)
    rows = orders(name, ns_coeffs, ns_steps)
    how: dict[str, Any] = {"nesterov": nesterov, "adaptive": adaptive, "layers": split}
    layout = with_stacks(layout, name, split)
    return orthogonal_momentum(layout, beta, eps, mu_dtype, rows, preconditioning, check, **how)


def decay(weight_decay: Any, layout: Layout | None = None, mask: Any = None) -> Transform:
    """Return the weight decay of the matrices of a layout, or of the leaves at which a mask is True."""

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return g + k.weight_decay * p, slots

    hyper = {"weight_decay": weight_decay}
    return leafwise(
        Rule("add_decayed_weights", update, hyper=hyper, needs_params=True, layout=layout, role="decay"), mask=mask
    )


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
    preconditioning: str = "frobenius",
    adam_b1: Decay = 0.9,
    adam_b2: Decay = 0.999,
    adam_eps_root: NonNegative = 0.0,
    adam_weight_decay: Finite = 0.0,
    adam_learning_rate: LearningRate | None = None,
    muon_weight_dimension_numbers: Any = None,
    consistent_rms: NonNegative | None = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Descend along orthogonalised momentum at matrices, and as AdamW does elsewhere.

    at a matrix of r rows and c columns u_t = -eta_t (f X_t + weight_decay p_t), X_t as in `scale_by_muon` and
    f = sqrt(max(1, c / r)), or consistent_rms sqrt(max(r, c)); elsewhere `adamw` with adam_b1, adam_b2, eps,
    adam_eps_root and adam_weight_decay.

    Units: eta has the units of p; eps those of g; weight_decay is per unit of p.
    Differs from: optax's `muon`, which hands an array of 3 or more dimensions to Adam unless it is told its axes; here
    that is an error, so that a stack of layers or a convolution is not left out by mistake.

    Args:
        {learning_rate}
        ns_coeffs: a, b and c of the Newton-Schulz step, or a tuple of them for each step, or "standard" or "dion"; by
            default (3.4445, -4.775, 2.0315).
        ns_steps: the number of Newton-Schulz steps.
        beta: decay of the mean of g at matrices, in [0, 1).
        eps: added to the norm of a matrix and to Adam's root, >= 0.
        weight_decay: decoupled decay of matrices, finite.
        weight_decay_mask: where matrices decay, as the mask of `adamw`.
        {mu_dtype}
        {nesterov}
        adaptive: whether to multiply by the dual norm of what was orthogonalised.
        preconditioning: what to divide a matrix by before the steps: "frobenius", "spectral", "aol" or "schatten".
        adam_b1: b1 where Adam works.
        adam_b2: b2 where Adam works.
        adam_eps_root: eps_root where Adam works.
        adam_weight_decay: decoupled decay of the leaves where Adam works, finite.
        adam_learning_rate: eta where Adam works; None is learning_rate.
        muon_weight_dimension_numbers: which leaves are matrices, and their axes: a tree of `MuonDimensionNumbers`, like
            the params or a prefix of them, or a function of the params that returns one; Adam works where it is None.
            None takes each array of 2 dimensions as a matrix, and those of fewer are Adam's.
        consistent_rms: root mean square of the updates of matrices, such as 0.2 to be like Adam's; None scales by the
            shape.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        a tuple, one entry per link; mu at matrices, mu and nu elsewhere, float32 or wider (mu in mu_dtype).

    Raises:
        ValueError: a hyperparameter is out of its range; the mask or the dimension numbers do not fit the params; an
            array of 3 or more dimensions without dimension numbers; a matrix that differs by device without axis_name;
            with layers, no stack, no mesh, or one without these axes.
        TypeError: a leaf of muon_weight_dimension_numbers is something else; layers is no name.

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
    check_preconditioning("muon", preconditioning)
    check = refuse_parts("muon", axis_name, is_mixed)
    split, elsewhere = layer_axes("muon", layers), "leave it to Adam"
    rows = orders("muon", ns_coeffs, ns_steps)
    how: dict[str, Any] = {"nesterov": nesterov, "adaptive": adaptive, "layers": split}
    layout = layout_of("muon", "muon_weight_dimension_numbers", muon_weight_dimension_numbers, elsewhere, small=True)
    layout = with_stacks(layout, "muon", split)
    is_other = where_none(layout)
    adam = scale_by_adam(adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, nesterov=nesterov)
    links = [
        orthogonal_momentum(layout, beta, eps, mu_dtype, rows, preconditioning, check, **how),
        times_shape_factor(layout, consistent_rms, check),
        Transform.of(adam.body.where(is_other)),
        decay(weight_decay, layout, weight_decay_mask),
        decay(adam_weight_decay, mask=is_other),
    ]
    if adam_learning_rate is None:
        return chain(*links, scale_by_learning_rate(learning_rate))
    rate, other = scale_by_learning_rate(learning_rate).body, scale_by_learning_rate(adam_learning_rate).body
    at_matrices = rate.where(lambda params: jax.tree.map(lambda other: not other, is_other(params)))
    return chain(*links, Transform.of(at_matrices), Transform.of(other.where(is_other)))
