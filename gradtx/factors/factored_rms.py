"""A root mean square of past gradients that keeps of a matrix one number per row and one per column."""

import operator
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.mean_squares import mean, mean_squares
from gradtx._core.arrays.sums import refuse_parts
from gradtx.rules import (
    Finite,
    NonNegative,
    Rule,
    Slots,
    Transform,
    abs_sq,
    divide,
    divide_by,
    factory,
    held,
    in_turn,
    root,
    steps,
    zeros,
)


def power_decay(step: jax.Array, exponent: Any) -> jax.Array:
    """Return 1 - (step + 1)^-exponent, the decay of the paper; `step` counts from 0."""
    decay: jax.Array = 1.0 - steps(step) ** -exponent
    return decay


def two_largest(shape: tuple[int, ...], smallest: int) -> tuple[int, int] | None:
    """Return the axes of the second largest and of the largest dimension, None where one is below `smallest`."""
    axes = sorted(range(len(shape)), key=shape.__getitem__)
    return (axes[-2], axes[-1]) if len(axes) > 1 and shape[axes[-2]] >= smallest else None


def whole_number(value: Any) -> int:
    """Return a size as an int.

    Raises:
        TypeError: it is no integer.
        ValueError: it is below 1.
    """
    where = f"scale_by_factored_rms: min_dim_size_to_factor = {value!r}, expected an integer >= 1"
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{where}; give the smallest dimension that is worth factoring") from None
    if size < 1:
        raise ValueError(f"{where}; 1 factors every matrix, and factored=False none")
    return size


@factory
def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: NonNegative = 0.8,
    step_offset: Finite = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: NonNegative = 1e-30,
    decay_rate_fn: Callable[[Any, Any], Any] = power_decay,
    *,
    axis_name: tuple[()] | None = None,
) -> Transform:
    """Divide by the root of a moving mean of squared gradients, kept for a matrix as its means over rows and columns.

    b_t = 1 - t^-decay_rate; s_t = g_t^2 + epsilon. For a matrix with both dimensions at least
    `min_dim_size_to_factor`: R_t = b_t R_{t-1} + (1-b_t) mean of s_t over columns, R_0 = 0;
    C_t = b_t C_{t-1} + (1-b_t) mean of s_t over rows, C_0 = 0; v_t = R_t C_t / mean(R_t), an outer product. Else
    v_t = b_t v_{t-1} + (1-b_t) s_t, v_0 = 0. u_t = g_t / sqrt(v_t).

    An array of more dimensions is a stack of matrices over its two largest ones. b_1 = 0, so that no correction of the
    start is needed, and b_t tends to 1. Rows and columns may change places: v is the same.

    Units: dimensionless (invariant to g -> c g when epsilon = 0); epsilon has the units of g^2.
    Differs from: the paper, which sums where this takes means: v is the same; optax's, which keeps the slots in the
    parameter's dtype, computes b_t in float32, and gives NaN before `step_offset`, where b is 0 here.

    Args:
        factored: whether to factor at all.
        decay_rate: >= 0; 0 gives b = 0, u = g / |g| for a vector, and a larger one a longer memory.
        step_offset: the step at which fine-tuning starts: t counts from it, and is 1 before it.
        min_dim_size_to_factor: integer >= 1; a smaller dimension is not worth factoring.
        epsilon: added to the squared gradient, >= 0; with 0, u is 0 where v is 0.
        decay_rate_fn: gives b from the steps made since `step_offset`, from 0, and `decay_rate`.
        axis_name: () where each device of `shard_map` holds whole arrays; None refuses one that is factored and differs
            by device.

    State:
        v_row, v_col: the means over the largest dimension and over the second largest; v: like the parameter. Those
        that an array does not use have the shape (1,). Real, float32 or wider.

    Raises:
        ValueError: decay_rate or epsilon < 0, step_offset is not finite, min_dim_size_to_factor < 1; a leaf that
            is factored varies over a manual axis of `shard_map`, without axis_name.
        TypeError: min_dim_size_to_factor is no integer.

    Cost: n + m numbers for an n x m matrix, else 1 array per parameter; one pass to sum and one to divide.

    References:
        Shazeer & Stern 2018, Algorithms 4 and 5, https://arxiv.org/abs/1804.04235

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)
        >>> state = tx.init(jnp.zeros((3, 2)))
        >>> {name: slot.shape for name, slot in state.slots.items()}
        {'v_row': (2,), 'v_col': (3,), 'v': (1,)}
        >>> u, state = tx.update(jnp.array([[1.0, 2.0], [0.0, 2.0], [0.0, 2.0]]), state)
        >>> [round(x, 4) for x in u[0].tolist()]
        [1.6125, 0.9309]
    """
    smallest, names = whole_number(min_dim_size_to_factor), ("v_row", "v_col", "v")

    def axes_of(x: jax.Array) -> tuple[int, int] | None:
        return two_largest(x.shape, smallest) if factored else None

    def init(p: jax.Array) -> Slots:
        axes, unused = axes_of(p), {name: zeros(jnp.zeros(1, p.dtype), magnitude=True) for name in names}
        if axes is None:
            return {**unused, "v": zeros(p, magnitude=True)}
        second, largest = axes
        # a sum has the shape and the sharding that the slot needs; its value is not used
        rows, columns = jnp.sum(p, largest), jnp.sum(p, second)
        return {**unused, "v_row": zeros(rows, magnitude=True), "v_col": zeros(columns, magnitude=True)}

    def decay(count: Any) -> Any:
        since = count - (step_offset if isinstance(step_offset, int) else read(step_offset, count))
        return decay_rate_fn(since, read(decay_rate, count))

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        if decay_rate_fn is not power_decay:
            return {"keep": k.decay_rate_fn, "add": 1 - k.decay_rate_fn}
        add = jnp.maximum(steps(count) - k.step_offset, 1.0) ** -k.decay_rate  # 1 - b_t would lose digits later on
        return {"keep": 1.0 - add, "add": add}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        axes = axes_of(g)
        if axes is None:
            keep = in_turn(jnp.asarray(k.keep, slots["v"].dtype), k.turn)
            v = keep * slots["v"] + k.add * (held(abs_sq(g)) + k.epsilon)
            return root(v), {**slots, "v": v}
        second, largest = axes
        rows, columns = mean_squares(g, (largest, second))
        v_row = k.keep * slots["v_row"] + k.add * (rows + k.epsilon)
        v_col = k.keep * slots["v_col"] + k.add * (columns + k.epsilon)
        whole = mean(v_row, second - (second > largest), keepdims=True)
        # roots before they are multiplied: the squares may leave float32's range
        by_row = jnp.expand_dims(divide(root(in_turn(v_row, k.turn)), root(whole)), largest)
        return by_row * jnp.expand_dims(root(v_col), second), {**slots, "v_row": v_row, "v_col": v_col}

    hyper: dict[str, Any] = {"epsilon": epsilon}
    # a function of the user's is a schedule: it may read what changes between calls
    hyper |= (
        {"decay_rate": decay_rate, "step_offset": step_offset}
        if decay_rate_fn is power_decay
        else {"decay_rate_fn": decay}
    )
    return divide_by(
        Rule(
            "scale_by_factored_rms",
            update,
            init,
            names,
            hyper,
            scalars=scalars,
            check=refuse_parts("scale_by_factored_rms", axis_name, lambda x, _: axes_of(x) is not None),
            elementwise=False,
            writes=True,
        )
    )
