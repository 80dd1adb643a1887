"""SOAP: Adam in the eigenbasis of Shampoo's two preconditioners, a basis that is renewed now and then."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.layers import check_layers, has_layers, layer_axes, with_stacks
from gradtx._core.arrays.matrices import Axes, as_stack, from_stack, is_mixed, layout_of, or_alone, whole_number
from gradtx._core.arrays.sums import refuse_parts
from gradtx.factors.eigenbasis import identities, renewed, rotations
from gradtx.factors.kronecker import in_layers, products, sides_of, squares
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
    factory,
    held,
    leafwise,
    root,
    steps,
    unbias,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate

SLOTS = ("mu", "nu", "left", "right", "left_basis", "right_basis")


@factory
def scale_by_soap(
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
    *,
    shampoo_beta: Decay | None = None,
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Scale as Adam does, in the eigenbasis of the mean products of a matrix's rows and of its columns.

    with Q_L, Q_R the bases before the step and b3 = shampoo_beta: M_t = b1 M_{t-1} + (1-b1) G_t;
    G'_t = Q_L^H G_t Q_R; V_t = b2 V_{t-1} + (1-b2) |G'_t|^2; u_t = Q_L N_t Q_R^H, where
    N_t = (Q_L^H M_t Q_R / (1-b1^t)) / (sqrt(V_t / (1-b2^t)) + eps). Then L_t = b3 L_{t-1} + (1-b3) G_t G_t^H,
    R_t = b3 R_{t-1} + (1-b3) G_t^H G_t, and each precondition_frequency steps Q_L = QR(L_t Q_L), Q_R = QR(R_t Q_R), the
    orthogonal factors. All start at 0. The first gradient G_0 makes the bases alone, the eigenvectors of L_0 and R_0:
    that update is 0, so that no gradient is scaled in the basis made of itself. Vectors and scalars are as in Adam.

    With `layers` mu, nu, the means and the bases of a stack are kept split over its layers, so that each step moves the
    gradient there and the update back, by an all-to-all each where the parameter is split otherwise.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g.
    Differs from: the authors' code in the order of the eigenvectors, which that sorts anew at each refresh, in eps,
    which it adds before the correction 1-b2^t, and in vectors, which it holds at the first step too.

    Args:
        {b1}
        {b2}
        {eps}
        precondition_frequency: steps from one refresh of the bases to the next, >= 1.
        max_precond_dim: a side with more rows or columns has no basis; where both have none this is Adam.
        shampoo_beta: decay of the means L and R, in [0, 1); None is b2.
        weight_dimension_numbers: which leaves are matrices, and their axes: a tree of `MuonDimensionNumbers`, like the
            params or a prefix of them, or a function of the params that returns one; Adam works where it is None. None
            takes each array of 2 dimensions as a matrix, and those of fewer are Adam's.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        mu, nu: like params, float32 or wider; nu real, in the basis.
        left, right, left_basis, right_basis: L, R, Q_L and Q_R of each matrix, (..., m, m) and (..., n, n); of
        shape (1,) where there are none.

    Raises:
        ValueError: b1, b2 or shampoo_beta outside [0, 1), eps < 0; an array of 3 or more dimensions without dimension
            numbers, or dimension numbers that do not fit; precondition_frequency or max_precond_dim no whole number;
            a matrix that differs by device without axis_name; with layers, no stack, one that the axes do not divide,
            no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: 2 arrays per parameter and 2 m^2 + 2 n^2 numbers for an m x n matrix; 8 matrix products a step, two more and
        two QR factorisations at a refresh.

    References:
        Vyas et al. 2024, Algorithms 3 and 4, https://arxiv.org/abs/2409.11321

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_soap(b1=0.0, eps=1e-3)
        >>> grads = jnp.array([[3.0, 1.0], [1.0, 3.0]])
        >>> u, state = tx.update(grads, tx.init(jnp.zeros((2, 2))))
        >>> u.tolist()
        [[0.0, 0.0], [0.0, 0.0]]
        >>> (tx.update(grads, state)[0].round(2) + 0.0).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    name, argument, split = "scale_by_soap", "weight_dimension_numbers", layer_axes("scale_by_soap", layers)
    every = whole_number(name, "precondition_frequency", precondition_frequency, 1)
    most = whole_number(name, "max_precond_dim", max_precond_dim, 0)
    layout = or_alone(layout_of(name, argument, weight_dimension_numbers, "leave it to Adam", small=True))

    def init(p: jax.Array, axes: Axes) -> Slots:
        sides = sides_of(p.shape, axes, most)
        bases = {f"{name}_basis": identities(x) for name, x in squares(p, axes, sides).items()}
        return {"mu": zeros(p), "nu": zeros(p, magnitude=True), **squares(p, axes, sides), **bases}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        def of(t: jax.Array, on: Any) -> dict[str, Any]:
            return {
                "new_mu": on * (1 - k.b1),
                "new_nu": on * (1 - k.b2),
                "unbias_mu": unbias(k.b1, t),
                "unbias_nu": unbias(k.b2, t),
            }

        t, later = steps(count), count > 0
        renewal = jnp.where(later, jnp.where(count % every == 0, 2, 0), 1)  # nothing, eigenvectors, one QR step
        before = jnp.maximum(t - 1.0, 1.0)
        return {"adam": of(t, 1.0), "soap": of(before, jnp.where(later, 1.0, 0.0).astype(t.dtype)), "renewal": renewal}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        axes, shape, sides = k.layout, g.shape, sides_of(g.shape, k.layout, most)
        own = k.soap if any(sides) else k.adam
        stack = as_stack(g, axes)
        into, back = rotations(slots, sides)
        mu = k.b1 * slots["mu"] + own.new_mu * g
        nu = k.b2 * slots["nu"] + own.new_nu * held(abs_sq(from_stack(into(stack), axes, shape)))
        sigma = as_stack(root(nu * own.unbias_nu) + k.eps, axes)
        u = from_stack(back(divide(own.unbias_mu * into(as_stack(mu, axes)), sigma)), axes, shape)
        b3 = k.b2 if shampoo_beta is None else k.shampoo_beta
        means = products(stack, slots, sides, b3, 1 - b3)
        return u, {
            **slots,
            "mu": mu,
            "nu": nu,
            **means,
            **renewed(slots, means, k.renewal, split if has_layers(axes) else ()),
        }

    hyper = {"b1": b1, "b2": b2, "eps": eps, **({} if shampoo_beta is None else {"shampoo_beta": shampoo_beta})}
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
def soap(
    learning_rate: LearningRate,
    b1: Decay = 0.95,
    b2: Decay = 0.95,
    eps: NonNegative = 1e-8,
    weight_decay: Finite = 0.01,
    mask: Any = None,
    precondition_frequency: int = 10,
    max_precond_dim: int = 10_000,
    *,
    shampoo_beta: Decay | None = None,
    weight_dimension_numbers: Any = None,
    axis_name: tuple[()] | None = None,
    layers: Any = None,
) -> Transform:
    """Descend as AdamW does, in the eigenbasis of Shampoo's preconditioners.

    u_t = -eta_t (s_t + weight_decay p_t), s_t as in `scale_by_soap`.

    Units: eta has the units of p; eps those of g; weight_decay is per unit of p.
    Differs from: the authors' code as `scale_by_soap` does.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {weight_decay}
        {mask}
        precondition_frequency: steps from one refresh of the bases to the next, >= 1.
        max_precond_dim: a side with more rows or columns has no basis.
        shampoo_beta: decay of the means of the preconditioners, in [0, 1); None is b2.
        weight_dimension_numbers: which leaves are matrices, and their axes, as in `scale_by_soap`.
        axis_name: () where each device of `shard_map` holds whole matrices; None refuses one that differs by device.
        {layers}

    State:
        a tuple: of `scale_by_soap` (mu, nu, like params, and the preconditioners and bases), of the decay, of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, the mask or the dimension numbers do not fit the params; an
            array of 3 or more dimensions without dimension numbers; a matrix that differs by device without axis_name;
            with layers, no stack, one that the axes do not divide, no mesh, or one without these axes.
        TypeError: a leaf of weight_dimension_numbers is something else; layers is no name.

    Cost: as `scale_by_soap`.

    References:
        Vyas et al. 2024, Algorithms 3 and 4, https://arxiv.org/abs/2409.11321

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> state = gradtx.soap(3e-3).init({"kernel": jnp.zeros((4, 2)), "bias": jnp.zeros(2)})
        >>> slots = state[0].slots
        >>> {name: slots[name]["kernel"].shape for name in slots if "basis" in name}
        {'left_basis': (4, 4), 'right_basis': (2, 2)}
    """
    numbers = {"weight_dimension_numbers": weight_dimension_numbers, "axis_name": axis_name, "layers": layers}
    sides = precondition_frequency, max_precond_dim
    scaled = scale_by_soap(b1, b2, eps, *sides, shampoo_beta=shampoo_beta, **numbers)
    return chain(scaled, add_decayed_weights(weight_decay, mask), scale_by_learning_rate(learning_rate))
