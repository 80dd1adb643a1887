"""SM3: Adagrad whose sum of squares is kept for a matrix as one number per row and one per column, always too large."""

import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.sums import refuse_parts
from gradtx.rules import (
    Decay,
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
    in_turn,
    leafwise,
    root,
    zeros,
)
from gradtx.schedules.apply import scale_by_learning_rate


def others(x: jax.Array, axis: int) -> tuple[int, ...]:
    """Return all axes of an array but one."""
    return tuple(i for i in range(x.ndim) if i != axis)


def largest(x: jax.Array) -> tuple[jax.Array, ...]:
    """Return for each axis the maxima of `x` >= 0 over all others; `x` itself where it has one axis or none."""
    if x.ndim < 2:  # each number is its own row
        return (x,)
    return tuple(jnp.max(x, others(x, axis), initial=0.0) for axis in range(x.ndim))


def bound(covers: tuple[jax.Array, ...], like: jax.Array) -> jax.Array:
    """Return the smallest of the maxima that cover each element."""
    if like.ndim < 2:  # each number is its own row
        return covers[0]
    return functools.reduce(jnp.minimum, (lax.expand_dims(v, others(like, axis)) for axis, v in enumerate(covers)))


@factory
def scale_by_sm3(
    b1: Decay | None = 0.9,
    b2: Momentum = 1.0,
    eps: NonNegative = 1e-8,
    *,
    axis_name: tuple[()] | None = None,
) -> Transform:
    """Average the gradient over the root of a bound on its sum of squares, kept in one vector per dimension.

    v_t(i) = b2 min_r n_{t-1,r}(i) + c g_t(i)^2 over the vectors n_r that cover element i, one per dimension, with
    c = 1 - b2, or 1 where b2 = 1; n_{t,r} = max of v_t over all elements that an entry of n_r covers, n_0 = 0;
    m_t = b1 m_{t-1} + (1-b1) g_t / sqrt(v_t + eps), m_0 = 0; u_t = m_t.

    v is at least Adagrad's sum of squares, and is that sum where the array has one dimension or none.

    Units: dimensionless (invariant to g -> c g when eps = 0); eps has the units of g^2.
    Equivalent to: SM3-II of the paper at b2 = 1, eps = 0, with its momentum.
    Differs from: optax's, which fails on an array of no dimension and on complex ones, and takes no schedule.

    Args:
        b1: decay of the mean of g / sqrt(v), in [0, 1); None keeps no mean.
        b2: decay of v, in [0, 1]; 1 is a sum.
        eps: added inside the root, >= 0.
        axis_name: () where each device of `shard_map` holds whole arrays; None refuses one of two or more dimensions
            that differs by device.

    State:
        mu: m, like params, float32 or wider; absent without b1.
        nu: for each array a tuple of vectors n_r, one per dimension, real, float32 or wider.

    Raises:
        ValueError: b1 outside [0, 1), b2 outside [0, 1], eps < 0; an array of two or more dimensions that differs by
            device without axis_name.

    Cost: n + m numbers for an n x m matrix, and 1 array per parameter with b1; one pass and one for each dimension.

    References:
        Anil, Gupta, Koren & Singer 2019, Algorithm SM3-II, https://arxiv.org/abs/1901.11150

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_sm3(b1=None, eps=0.0)
        >>> state = tx.init(jnp.zeros((2, 3)))
        >>> [n.shape for n in state.slots["nu"]]
        [(2,), (3,)]
        >>> for g in ([[3.0, 0.0, 4.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]):
        ...     u, state = tx.update(jnp.array(g), state)
        >>> [round(x, 4) for x in u[1].tolist()]
        [0.0, 1.0, 0.7071]
    """

    def init(p: jax.Array) -> Slots:
        # a sum has the shape and the sharding that a vector needs; its value is not used
        vectors = [p] if p.ndim < 2 else [jnp.sum(p, others(p, axis)) for axis in range(p.ndim)]
        nu = tuple(zeros(v, magnitude=True) for v in vectors)
        return {"nu": nu} if b1 is None else {"mu": zeros(p), "nu": nu}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del count
        if isinstance(k.b2, float):
            return {"add": 1.0 if k.b2 == 1.0 else 1.0 - k.b2}
        return {"add": jnp.where(k.b2 == 1.0, 1.0, 1.0 - k.b2)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        # v is written out for its maxima, of which a vector has none
        covers = slots["nu"] if g.ndim < 2 else tuple(in_turn(n, k.turn) for n in slots["nu"])
        v = k.b2 * held(bound(covers, g)) + k.add * held(abs_sq(g))
        scaled, nu = divide(g, root(v + k.eps)), largest(v)
        if b1 is None:
            return scaled, {"nu": nu}
        mu = k.b1 * slots["mu"] + (1 - k.b1) * scaled
        return mu, {"mu": mu, "nu": nu}

    hyper = {"b2": b2, "eps": eps} if b1 is None else {"b1": b1, "b2": b2, "eps": eps}
    names = ("nu",) if b1 is None else ("mu", "nu")
    rule = Rule(
        "scale_by_sm3",
        update,
        init,
        names,
        hyper,
        scalars=scalars,
        check=refuse_parts("scale_by_sm3", axis_name, lambda x, _: x.ndim > 1),
        elementwise=False,
        role="direction",
        writes=True,
    )
    return leafwise(rule)


@factory
def sm3(learning_rate: LearningRate, momentum: Decay | None = 0.9, *, axis_name: tuple[()] | None = None) -> Transform:
    """Descend as Adagrad does, with a bound on its sum of squares in one vector per dimension, and with momentum.

    u_t = -eta_t m_t, m_t = momentum m_{t-1} + (1-momentum) g_t / sqrt(v_t + 1e-8), m_0 = 0, v as in `scale_by_sm3`.

    Units: eta has the units of p.
    Equivalent to: optax's `sm3`.

    Args:
        {learning_rate}
        momentum: decay of the mean of g / sqrt(v), in [0, 1); None keeps no mean.
        axis_name: () where each device of `shard_map` holds whole arrays; None refuses one of two or more dimensions
            that differs by device.

    State:
        a tuple: of `scale_by_sm3` (mu, like params, and nu, a tuple of vectors for each array) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range; an array of two or more dimensions that differs by device
            without axis_name.

    Cost: n + m numbers for an n x m matrix, and 1 array per parameter with momentum; one pass and one per dimension.

    References:
        Anil, Gupta, Koren & Singer 2019, https://arxiv.org/abs/1901.11150

    Examples:
        >>> import gradtx
        >>> gradtx.sm3(0.1)
        chain(scale_by_sm3(b1=0.9, b2=1.0, eps=1e-08), scale_by_learning_rate(0.1))
    """
    return chain(scale_by_sm3(momentum, axis_name=axis_name), scale_by_learning_rate(learning_rate))
