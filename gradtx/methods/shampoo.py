"""Shampoo: each matrix of gradients between two inverse roots, one of its rows' products and one of its columns'."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.layers import check_layers, has_layers, layer_axes, with_stacks
from gradtx._core.arrays.matrices import (
    Axes,
    as_stack,
    fans,
    from_stack,
    is_alone,
    is_mixed,
    layout_of,
    or_alone,
    whole_number,
)
from gradtx._core.arrays.sums import refuse_parts
from gradtx.factors.inverse_roots import inverse_root, root_when_due
from gradtx.factors.kronecker import in_layers, products, squares
from gradtx.factors.momentum import trace
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.rules import (
    Finite,
    LearningRate,
    Momentum,
    NonNegative,
    Rule,
    Slots,
    Transform,
    abs_sq,
    chain,
    divide,
    factory,
    held,
    identity,
    leafwise,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate

SIDES = ("left", "right")
SLOTS = (*SIDES, *(f"{name}_root" for name in SIDES))


def whole_sides(shape: tuple[int, ...], axes: Axes, most: int) -> tuple[bool, bool]:
    """Return whether the rows and whether the columns keep all their products; else they keep the squares alone."""
    rows, columns = fans(shape, axes)
    return (False, False) if is_alone(axes) else (0 < rows <= most, 0 < columns <= most)


def weights(b2: Any, t: jax.Array) -> dict[str, Any]:
    """Return the weight of a new product, and what makes a mean of the sum so far: both 1 for a plain sum, b2 = 1."""
    if isinstance(b2, float):
        return {"add": 1.0, "mean": 1.0} if b2 == 1.0 else {"add": 1 - b2, "mean": unbias(b2, t)}
    below = jnp.where(b2 < 1.0, b2, 0.5)
    return {"add": jnp.where(b2 < 1.0, 1 - b2, 1.0), "mean": jnp.where(b2 < 1.0, unbias(below, t), 1.0)}


@factory
def scale_by_shampoo(
    b2: Momentum = 1.0,
    eps: NonNegative = 1e-6,
    precondition_frequency: int = 1,
    max_precond_dim: int = 10_000,
    *,
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Multiply each matrix by the inverse fourth roots of the sums of its rows' and of its columns' products.

    L_t = b2 L_{t-1} + (1-b2) G_t G_t^H, R_t = b2 R_{t-1} + (1-b2) G_t^H G_t, L_0 = R_0 = 0, each over 1-b2^t where it
    is used; at b2 = 1 both are plain sums. u_t = (L_t + eps)^(-1/4) G_t (R_t + eps)^(-1/4). The roots are those of the
    last step whose number, from 0, is a multiple of precondition_frequency. Vectors and scalars are as in Adagrad,
    u_t = g_t / sqrt(s_t + eps), with s_t the sum or mean of g_t^2.

    With `layers` the products and the roots of a stack are kept split over its layers, so that each step moves the
    gradient there and the update back, by an all-to-all each where the parameter is split otherwise.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g^2.
    Differs from: the paper in nothing at b2 = 1, whose L_0 = R_0 = eps is this eps; a side beyond max_precond_dim keeps
    the diagonal of its products, as its diagonal form does for both.

    Args:
        b2: weight of the past in L and R, in [0, 1]; 1 is the paper's sum.
        eps: added to L and R, >= 0; with 0, directions that no gradient had get none.
        precondition_frequency: steps from one computation of the roots to the next, >= 1.
        max_precond_dim: a side with more rows or columns keeps the squares of its numbers alone.
        weight_dimension_numbers: which leaves are matrices, and their axes: a tree of `MuonDimensionNumbers`, like the
            params or a prefix of them, or a function of the params that returns one; Adagrad works where it is None.
            None takes each array of 2 dimensions as a matrix, and those of fewer are Adagrad's.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        left, right: L and R of each matrix, (..., m, m) and (..., n, n), or (..., m) and (..., n) beyond
        max_precond_dim; left is like a vector where Adagrad works. left_root, right_root: like left and right. Those
        that an array does not use have the shape (1,). Float32 or wider.

    Raises:
        ValueError: b2 outside [0, 1], eps < 0; an array of 3 or more dimensions without dimension numbers, or dimension
            numbers that do not fit; precondition_frequency or max_precond_dim no whole number;
            a matrix that differs by device without axis_name; with layers, no stack, one that the axes do not divide,
            no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: 2 m^2 + 2 n^2 numbers for an m x n matrix; 4 matrix products a step, and two eigendecompositions and two
        products where the roots are computed.

    References:
        Gupta, Koren & Singer 2018, Algorithm 1, https://arxiv.org/abs/1802.09568

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_shampoo(eps=0.0)
        >>> grads = jnp.array([[3.0, 1.0], [1.0, 3.0]])
        >>> u, state = tx.update(grads, tx.init(jnp.zeros((2, 2))))
        >>> u, state = tx.update(grads, state)
        >>> [[round(x, 4) + 0.0 for x in row] for row in u.tolist()]
        [[0.7071, 0.0], [0.0, 0.7071]]
    """
    name, argument, split = "scale_by_shampoo", "weight_dimension_numbers", layer_axes("scale_by_shampoo", layers)
    every = whole_number(name, "precondition_frequency", precondition_frequency, 1)
    most = whole_number(name, "max_precond_dim", max_precond_dim, 0)
    layout = or_alone(layout_of(name, argument, weight_dimension_numbers, "leave it to Adagrad", small=True))

    def init(p: jax.Array, axes: Axes) -> Slots:
        sides = whole_sides(p.shape, axes, most)
        kept, roots = squares(p, axes, sides), squares(p, axes, sides)
        if is_alone(axes):
            kept["left"] = zeros(p, magnitude=True)
        else:
            stack = as_stack(p, axes)
            for side, on, axis in zip(SIDES, sides, (-1, -2), strict=True):
                kept[side] = kept[side] if on else zeros(jnp.sum(stack, axis), magnitude=True)
        return {**kept, **{f"{side}_root": x for side, x in roots.items()}}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {**weights(k.b2, steps(count)), "due": count % every == 0}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        axes, squared = k.layout, held(abs_sq(g))
        if is_alone(axes):
            s = held(k.b2 * slots["left"] + k.add * squared)
            return divide(g, root(s * k.mean + k.eps)), {**slots, "left": s}
        sides, stack = whole_sides(g.shape, axes, most), as_stack(g, axes)
        layers_here = split if has_layers(axes) else ()
        new = {**slots, **products(stack, slots, sides, k.b2, k.add)}
        for side, on, axis in zip(SIDES, sides, (-1, -2), strict=True):
            if on:
                new[f"{side}_root"] = root_when_due(new[side] * k.mean, slots[f"{side}_root"], k, layers_here)
            else:
                new[side] = held(k.b2 * slots[side] + k.add * jnp.sum(as_stack(squared, axes), axis))
                diagonal = jnp.expand_dims(inverse_root(new[side] * k.mean + k.eps), axis)
                stack = stack * lax.convert_element_type(diagonal, stack.dtype)
        stack = new["left_root"] @ stack if sides[0] else stack
        stack = stack @ new["right_root"] if sides[1] else stack
        return from_stack(stack, axes, g.shape), new

    hyper = {"b2": b2, "eps": eps}
    rule = Rule(
        name,
        update,
        init,
        SLOTS,
        hyper,
        scalars=scalars,
        check=check_layers(split, refuse_parts(name, axis_name, is_mixed), even=True),
        elementwise=False,
        layout=with_stacks(layout, name, split),
        role="direction",
    )
    return leafwise(in_layers(rule, split))


@factory
def shampoo(
    learning_rate: LearningRate,
    momentum: Momentum | None = 0.9,
    b2: Momentum = 1.0,
    eps: NonNegative = 1e-6,
    weight_decay: Finite = 0.0,
    mask: Any = None,
    precondition_frequency: int = 1,
    max_precond_dim: int = 10_000,
    *,
    nesterov: bool = False,
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Descend with each matrix of gradients between the inverse roots of its rows' and of its columns' products.

    m_t = momentum m_{t-1} + s_t, m_0 = 0, s_t as in `scale_by_shampoo`; u_t = -eta_t (m_t + weight_decay p_t).

    Units: eta has the units of p; eps those of g^2; weight_decay is per unit of p.
    Differs from: distributed Shampoo in that a step's size is its own and not that of another method (grafting).

    Args:
        {learning_rate}
        momentum: decay of the sum of past steps, in [0, 1]; None keeps no sum.
        b2: weight of the past in the products, in [0, 1]; 1 is the paper's sum.
        eps: added to the products, >= 0.
        {weight_decay}
        {mask}
        precondition_frequency: steps from one computation of the roots to the next, >= 1.
        max_precond_dim: a side with more rows or columns keeps the squares of its numbers alone.
        {nesterov}
        weight_dimension_numbers: which leaves are matrices, and their axes, as in `scale_by_shampoo`.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        a tuple: of `scale_by_shampoo` (left, right and their roots), of the momentum (trace, like params), of the
        decay, of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, the mask or the dimension numbers do not fit the params; an
            array of 3 or more dimensions without dimension numbers; a matrix that differs by device without axis_name;
            with layers, no stack, one that the axes do not divide, no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: as `scale_by_shampoo`, and 1 array per parameter with momentum.

    References:
        Gupta, Koren & Singer 2018, Algorithm 1, https://arxiv.org/abs/1802.09568

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> state = gradtx.shampoo(0.1).init({"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)})
        >>> left = state[0].slots["left"]
        >>> left["kernel"].shape, left["bias"].shape
        ((4, 4), (2,))
    """
    numbers = {"weight_dimension_numbers": weight_dimension_numbers, "axis_name": axis_name, "layers": layers}
    scaled = scale_by_shampoo(b2, eps, precondition_frequency, max_precond_dim, **numbers)
    moving = identity() if momentum is None else trace(momentum, nesterov)
    return chain(scaled, moving, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
