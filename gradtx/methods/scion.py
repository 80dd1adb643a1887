"""Scion: step to the point of a norm ball that lies furthest along the momentum, one ball for each kind of array."""

import math
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.arrays.layers import check_layers, check_mesh, layer_axes, with_stacks
from gradtx._core.arrays.matrices import fans, is_alone, is_mixed, layout_of, or_alone
from gradtx._core.arrays.sums import refuse_parts
from gradtx.factors.newton_schulz import JORDAN, all_orthogonalised, check_preconditioning, orders
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Decay,
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
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def scale_by_scion(
    b1: Decay = 0.9,
    radius: NonNegative = 50.0,
    other_radius: NonNegative = 3000.0,
    ns_coeffs: Any = JORDAN,
    ns_steps: int = 5,
    eps: NonNegative = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Replace each array by the point of a norm ball that lies furthest along its momentum.

    m_t = b1 m_{t-1} + (1-b1) g_t, m_0 = 0. At a matrix of r rows and c columns the ball is that of the operator norm
    from root mean square to root mean square: u_t = radius sqrt(c / r) X_t, X_t as in `scale_by_muon` of m_t.
    Elsewhere it is that of the largest entry: u_t = other_radius sign(m_t).

    With `layers` a stack that is split over rows or columns goes to whole matrices on each device by one all-to-all and
    back by another, as in `scale_by_muon`.

    Units: those of the radii, which are those of p (invariant to g -> c g when eps = 0); eps has the units of g.
    Equivalent to: the paper's -lmo(m_t) for the norms Spectral and Sign; its alpha is 1 - b1.

    Args:
        {b1}
        radius: of the balls of matrices, >= 0.
        other_radius: of the balls of all other arrays, >= 0; for the weights of an output layer with fan in d the paper
            takes a radius over d.
        ns_coeffs: a, b and c, or a tuple of them for each step, or "standard" or "dion"; by default
            (3.4445, -4.775, 2.0315).
        ns_steps: the number of Newton-Schulz steps.
        eps: added to the norm of a matrix, >= 0.
        {mu_dtype}
        preconditioning: what to divide by before the steps: "frobenius", "spectral", "aol" or "schatten".
        weight_dimension_numbers: which leaves are matrices, and their axes: a tree of `MuonDimensionNumbers`, like the
            params or a prefix of them, or a function of the params that returns one; the sign is taken where it is
            None. None takes each array of 2 dimensions as a matrix, and those of fewer get the sign.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        mu: like params, float32 or wider, or in mu_dtype.

    Raises:
        ValueError: b1 outside [0, 1), a radius or eps < 0; an array of 3 or more dimensions without dimension numbers,
            or dimension numbers that do not fit; coefficients that are not three numbers; a matrix that differs by
            device without axis_name; with layers, no stack, no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: 1 array per parameter; 3 matrix products per Newton-Schulz step.

    References:
        Pethick et al. 2025, Algorithms 1 and 2, https://arxiv.org/abs/2502.07529

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> cubic = (1.5, -0.5, 0.0)
        >>> tx = gradtx.scale_by_scion(radius=2.0, other_radius=0.5, ns_coeffs=cubic, ns_steps=20)
        >>> grads = {"w": jnp.array([[3.0, 0.0, 0.0, 0.0]]), "b": jnp.array([3.0, -0.5])}
        >>> u, state = tx.update(grads, tx.init(grads))
        >>> u["w"].round(4).tolist(), u["b"].tolist()
        ([[4.0, 0.0, 0.0, 0.0]], [0.5, -0.5])
    """
    name, argument, split = "scale_by_scion", "weight_dimension_numbers", layer_axes("scale_by_scion", layers)
    rows = orders(name, ns_coeffs, ns_steps)
    check_preconditioning(name, preconditioning)
    layout = or_alone(layout_of(name, argument, weight_dimension_numbers, "take the sign", small=True))
    layout = with_stacks(layout, name, split)

    def init(p: jax.Array, axes: Any) -> Slots:
        del axes
        return {"mu": zeros(p, mu_dtype)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        check_mesh(split, k.layout, g, slots["mu"])
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        return (k.other_radius * jnp.sign(mu) if is_alone(k.layout) else mu), {"mu": mu}

    def together(values: list[jax.Array], layouts: list[Any], k: SimpleNamespace) -> list[jax.Array]:
        out, at = list(values), [i for i, axes in enumerate(layouts) if not is_alone(axes)]
        means, axes = [values[i] for i in at], [layouts[i] for i in at]
        found = all_orthogonalised(means, axes, rows, k.eps, preconditioning, split)
        for i, x, own in zip(at, found, axes, strict=True):
            fan_in, fan_out = fans(x.shape[1:], own)
            out[i] = x * lax.convert_element_type(k.radius * math.sqrt(fan_out / max(fan_in, 1)), x.dtype)
        return out

    hyper = {"b1": b1, "radius": radius, "other_radius": other_radius, "eps": eps}
    return leafwise(
        Rule(
            name,
            update,
            init,
            ("mu",),
            hyper,
            check=check_layers(split, refuse_parts(name, axis_name, is_mixed), even=False),
            elementwise=False,
            layout=layout,
            together=together,
            role="direction",
        )
    )


@factory
def scion(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    radius: NonNegative = 50.0,
    other_radius: NonNegative = 3000.0,
    ns_coeffs: Any = JORDAN,
    ns_steps: int = 5,
    eps: NonNegative = 1e-8,
    mu_dtype: DTypeLike | None = None,
    *,
    constrained: bool = True,
    preconditioning: str = "frobenius",
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Descend by steps towards, or along, the point of a norm ball that lies furthest along the momentum.

    u_t = -eta_t (s_t + p_t), s_t as in `scale_by_scion`: parameters that start in their balls stay there for eta <= 1.
    Without `constrained` u_t = -eta_t s_t.

    Units: eta is dimensionless; the radii have the units of p, eps those of g.
    Equivalent to: the paper's Scion, and without `constrained` its unconstrained Scion.

    Args:
        {learning_rate}
        {b1}
        radius: of the balls of matrices, >= 0.
        other_radius: of the balls of all other arrays, >= 0.
        ns_coeffs: a, b and c, or a tuple of them for each step, or "standard" or "dion"; by default
            (3.4445, -4.775, 2.0315).
        ns_steps: the number of Newton-Schulz steps.
        eps: added to the norm of a matrix, >= 0.
        {mu_dtype}
        constrained: whether to step towards the point, so that parameters stay in their balls, or along it.
        preconditioning: what to divide a matrix by before the steps.
        weight_dimension_numbers: which leaves are matrices, and their axes, as in `scale_by_scion`.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        a tuple: of `scale_by_scion` (mu, like params), of the pull to 0 where constrained, of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range; an array of 3 or more dimensions without dimension numbers, or
            dimension numbers that do not fit; a matrix that differs by device without axis_name; with layers, no stack,
            no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: as `scale_by_scion`.

    References:
        Pethick et al. 2025, Algorithms 1 and 2, https://arxiv.org/abs/2502.07529

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.scion(0.25, other_radius=2.0), jnp.array([1.0, -1.0])
        >>> tx.update(jnp.array([5.0, 0.01]), tx.init(params), params)[0].tolist()
        [-0.75, -0.25]
    """
    numbers = {"weight_dimension_numbers": weight_dimension_numbers, "axis_name": axis_name, "layers": layers}
    how = {"preconditioning": preconditioning, **numbers}
    pointed = scale_by_scion(b1, radius, other_radius, ns_coeffs, ns_steps, eps, mu_dtype, **how)
    pull = [add_decayed_weights(1.0)] if constrained else []
    return chain(pointed, *pull, scale_by_learning_rate(learning_rate))
