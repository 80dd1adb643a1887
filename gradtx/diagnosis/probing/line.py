"""Measurements on a batch that need no spectrum: losses, slope and curvature along a direction; gradient noise."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.diagnosis.probing.curvature import Objective, Tree, hessian_product, inner, scaled, vector_dtype

SCALES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4)
FARTHEST = 1e8  # times the update, where a loss without end is looked at


class Line(NamedTuple):
    """The loss along p + s u.

    Attributes:
        losses: at `SCALES`; may be infinite or NaN.
        slope: g.u, the loss's first derivative at s = 0.
        curvature: u.Hu, its second.
        best_scale: the scale of the lowest loss, 0 if none is below the loss at s = 0.
        best_fall: the fall of the loss there, relative to |loss| (absolute if the loss is 0).
    """

    losses: tuple[float, ...]
    slope: float
    curvature: float
    best_scale: float
    best_fall: float


class Noise(NamedTuple):
    """How much of a minibatch's gradient is signal.

    Attributes:
        signal: S, the share of E|g_i|^2 that is |E g_i|^2: 1 without noise, 0 if there is only noise.
        error: its standard error, by the jackknife.
    """

    signal: float
    error: float


@functools.partial(jax.jit, static_argnames="objective")
def value_and_grad(objective: Objective, params: Tree, batch: Any) -> tuple[jax.Array, Tree]:
    """Return the loss and its gradient."""
    return jax.value_and_grad(objective)(params, batch)


@functools.partial(jax.jit, static_argnames="objective")
def along(objective: Objective, params: Tree, batch: Any, grads: Tree, u: Tree) -> tuple[jax.Array, ...]:
    """Return the losses at `SCALES`, one after another, the slope and the curvature along u."""

    def loss_at(s: jax.Array) -> jax.Array:
        moved = jax.tree.map(lambda p, x: p + lax.convert_element_type(s * x, p.dtype), params, u)
        return objective(moved, batch)

    losses = lax.map(loss_at, jnp.asarray(SCALES, vector_dtype(params)))
    wide = jax.tree.map(lambda g, x: lax.convert_element_type(g, x.dtype), grads, u)
    return losses, inner(wide, u), inner(u, hessian_product(objective, params, batch, u))


def line_probe(objective: Objective, params: Tree, batch: Any, loss: float, grads: Tree, u: Tree) -> Line:
    """Return the loss along u."""
    losses, slope, curvature = along(objective, params, batch, grads, u)
    values = tuple(float(x) for x in losses)
    best, scale = min([(loss, 0.0), *((x, s) for x, s in zip(values, SCALES, strict=True) if math.isfinite(x))])
    return Line(values, float(slope), float(curvature), scale, (loss - best) / (abs(loss) or 1.0))


class Way(NamedTuple):
    """The loss along an eigenvector of negative curvature.

    Attributes:
        fall: how far the loss falls along it, 0 if nowhere.
        length: how far away that is.
        slope: |g.v|, how much of the gradient leads there already.
    """

    fall: float
    length: float
    slope: float


def way_down(objective: Objective, params: Tree, batch: Any, loss: float, grads: Tree, v: Tree) -> Way:
    """Return how far the loss falls along the unit vector v or against it.

    The steps are 0.001 to 300 times as long as the params, or that long where the params are 0;
    around the best of them two more are tried.
    """
    size = jnp.sqrt(inner(params, params))
    unit = jnp.where(size > 0, size, 1.0) / SCALES[6]  # SCALES reach from 1/1000 of it to 333 times it

    def falls(way: jax.Array) -> list[tuple[float, float]]:
        losses = along(objective, params, batch, grads, scaled(v, way))[0]
        return [(loss - float(x), s * float(way)) for x, s in zip(losses, SCALES, strict=True) if math.isfinite(x)]

    slope = abs(float(inner(grads, v)))
    fall, length = max(falls(unit) + falls(-unit), default=(0.0, 0.0))
    if fall <= 0.0:
        return Way(0.0, 0.0, slope)
    # the scales are a factor of 3 apart: two more between them
    return Way(max(fall, *(x for x, _ in falls(jnp.asarray(0.6 * length, unit.dtype)))), abs(length), slope)


def falls_without_end(objective: Objective, params: Tree, batch: Any, loss: float, grads: Tree, u: Tree) -> bool:
    """Return True if the loss falls along u in proportion to the length or faster, up to lengths of 1e8 times u.

    A flat start makes any loss fall so at first, by its curvature; what is bounded rises or flattens further out.
    """
    p_norm, u_norm = (float(jnp.sqrt(inner(x, x))) for x in (params, u))
    if not FARTHEST * u_norm > 10 * max(p_norm, 1.0):  # not far enough to see a bound
        return False
    for stage in (1.0, FARTHEST / SCALES[-1]):
        losses = along(objective, params, batch, grads, jax.tree.map(lambda x, by=stage: by * x, u))[0]
        near, far = float(losses[-2]), float(losses[-1])
        if far == -math.inf:
            return True
        if not (math.isfinite(near) and math.isfinite(far) and far - loss < 0.8 * (near - loss) * 10 < 0):
            return False
    return True


def gradient_noise(objective: Objective, params: Tree, batches: Sequence[Any]) -> Noise:
    """Return the share of signal in the gradients g_i of n minibatches.

    S = (n |mean g|^2 / mean |g_i|^2 - 1) / (n - 1), which is unbiased in its numerator and denominator; with S, the
    batch at which noise equals signal (B_simple) is (1 - S) / S minibatches.

    Cost: 2 gradients for each minibatch; only their sum is kept in memory.

    References:
        McCandlish et al. 2018, appendix A, https://arxiv.org/abs/1812.06162
    """
    n = len(batches)
    total, squares = None, []
    for batch in batches:
        g = value_and_grad(objective, params, batch)[1]
        squares.append(float(product(g, g)))
        total = g if total is None else jax.tree.map(jnp.add, total, g)
    both = float(product(total, total))
    overlaps = [float(product(total, value_and_grad(objective, params, batch)[1])) for batch in batches]
    signal = share(both, sum(squares), n)
    without = [
        share(both - 2.0 * c + q, sum(squares) - q, n - 1) if n > 2 else signal  # a pair at least
        for c, q in zip(overlaps, squares, strict=True)
    ]
    mean = sum(without) / n
    error = math.sqrt((n - 1) / n * sum((x - mean) ** 2 for x in without)) if n > 2 else 1.0
    return Noise(signal, error)


def share(sum_squared: float, squares: float, n: int) -> float:
    """Return S from |sum of n gradients|^2 and the sum of |g_i|^2; 0 if all are 0."""
    return (sum_squared / squares - 1.0) / (n - 1) if squares > 0 else 0.0


@jax.jit
def product(a: Tree, b: Tree) -> jax.Array:
    """Return the inner product of two gradients in the widest of their dtypes."""
    dtype = vector_dtype(a)
    wide = [jax.tree.map(lambda x: lax.convert_element_type(x, dtype), tree) for tree in (a, b)]
    return inner(*wide)
