"""The ends of the Hessian's spectrum, from products of the Hessian with vectors.

Lanczos builds an orthonormal basis of v, Hv, H^2 v, ... for a random v; the eigenvalues of H seen in that basis (Ritz
values) close in on both ends of the spectrum first. Where the basis does not fit, power iteration finds both ends with
two vectors, more slowly. The basis is a tree like the params with one axis more, so that it is sharded as they are.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.numerics import accumulator, wider

Tree = Any
Method = Literal["lanczos", "power"]
Sign = Literal["positive", "negative", "undecided"]
NEGLIGIBLE = 1e-3  # an eigenvalue below this share of the largest does not matter to training
DOUBT = 0.01  # probability with which a random start may hide an eigenvalue
FLOOR = 8.0  # rounding of a Ritz value, in units of the dtype's eps times the largest


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss as a function of the params alone in float32 or wider; hashable, so that its traces are kept.

    Attributes:
        loss_fn: `(params, batch) -> loss`.
        has_aux: whether it returns (loss, aux).
    """

    loss_fn: Callable[..., Any]
    has_aux: bool

    def __call__(self, params: Tree, batch: Any) -> jax.Array:
        """Return the loss in float32 or wider."""
        out = self.loss_fn(params, batch)
        loss = jnp.asarray(out[0] if self.has_aux else out)
        return lax.convert_element_type(loss, accumulator(loss.dtype))


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """Both ends of a spectrum.

    Attributes:
        largest: estimate of the largest eigenvalue, never above it but for rounding.
        largest_residual: some eigenvalue is this near to it.
        smallest: estimate of the smallest eigenvalue, never below it but for rounding.
        smallest_residual: some eigenvalue is this near to it.
        rounding: error of the products themselves, as seen in how far the operator is from symmetric.
        products: products with the Hessian spent.
        hidden: share of the spread by which an eigenvalue may lie outside both, with probability 0.99; 0 where the
            basis spans all that the start can reach.
        method: what found them.
        lowest: unit vector of the smallest eigenvalue where that is negative, like the params; else None.
    """

    largest: float
    largest_residual: float
    smallest: float
    smallest_residual: float
    rounding: float
    products: int
    hidden: float
    method: Method = "lanczos"
    lowest: Tree = None

    @property
    def sign(self) -> Sign:
        """The sign of the lowest curvature: "negative" somewhere, "positive" everywhere, or "undecided" by these steps.

        A Ritz value is a curvature that was met: one that is negative beyond rounding proves a direction of negative
        curvature. A positive one proves nothing about directions not met, unless they are bounded (`hidden`).
        """
        small = max(NEGLIGIBLE * abs(self.largest), 3.0 * self.rounding)
        if self.smallest < -small:
            return "negative"
        if self.hidden == 0.0:
            return "positive" if self.smallest > 3.0 * self.smallest_residual else "undecided"
        unseen = max(small, 3.0 * self.smallest_residual, self.hidden * (self.largest - self.smallest))
        return "positive" if self.smallest > unseen else "undecided"


def spectrum(
    objective: Objective, params: Tree, batch: Any, key: jax.Array, steps: int, memory: float, root: Tree = None
) -> Spectrum:
    """Return both ends of the spectrum of H, or of R H R where `root` holds the diagonal R.

    v_1 random; w = H v_j, a_j = w.v_j, w less its part in the basis (twice), b_j = |w|, v_{j+1} = w / b_j. T has a on
    its diagonal and b beside it; an eigenpair (t, s) of T has the residual |b_m s_m|. It stops where b_j is 0 to
    rounding: the basis then spans every eigenvector that the start reaches.

    Units: those of the loss over those of p squared.

    Args:
        objective: the loss.
        params: float32 or wider.
        batch: second argument of the loss.
        key: random key of the start.
        steps: Lanczos steps at most; power iterations for each end.
        memory: elements the basis may hold; above it, power iteration.
        root: like the params, or None.

    Cost: 1 product (about 2 gradients) a step; a basis of steps x parameters, or 2 vectors and 2 products a step.

    References:
        Lanczos 1950, https://doi.org/10.6028/jres.045.026
        Kuczynski & Wozniakowski 1992 (random starts), https://doi.org/10.1137/0613066
    """
    total = sum(math.prod(x.shape) for x in jax.tree.leaves(params))
    eps = float(jnp.finfo(vector_dtype(params)).eps)
    if min(steps, total) * total > memory:
        ends, vectors = power(objective, params, batch, root, key, steps)
        first, first_residual, second, second_residual = map(float, ends)
        rounding = FLOOR * eps * max(abs(first), abs(second))
        low, high = sorted([(first, first_residual), (second, second_residual)])
        lowest = vectors[0 if low[0] == first else 1] if low[0] < 0 else None
        hidden = 1.0 - (DOUBT / math.sqrt(total)) ** (1.0 / (steps - 0.5))
        return Spectrum(*high, *low, rounding, 2 * steps + 2, hidden, "power", lowest)
    diagonal, beside, noise, size, done, basis = lanczos(objective, params, batch, root, key, min(steps, total))
    m = int(size)
    a, b = np.asarray(diagonal, np.float64)[:m], np.asarray(beside, np.float64)[:m]
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Spectrum(math.nan, math.nan, math.nan, math.nan, math.nan, m, 1.0)
    values, vectors = np.linalg.eigh(np.diag(a) + np.diag(b[:-1], 1) + np.diag(b[:-1], -1))
    rounding = max(FLOOR * eps * float(np.abs(values).max()), float(noise))
    high, low = ((float(values[i]), max(abs(float(b[-1] * vectors[-1, i])), rounding)) for i in (-1, 0))
    hidden = 0.0 if done or m == total else (math.log(1.648 * math.sqrt(total) / DOUBT) / (2 * m - 1)) ** 2
    weights = np.pad(vectors[:, 0], (0, len(diagonal) - m))
    lowest = combine(basis, jnp.asarray(weights, diagonal.dtype)) if low[0] < 0 else None
    return Spectrum(*high, *low, rounding, m, hidden, lowest=lowest)


def vector_dtype(params: Tree) -> Any:
    """Return the widest dtype of the params, float32 at least, in which all vectors are kept."""
    return functools.reduce(wider, (x.dtype for x in jax.tree.leaves(params)), jnp.float32)


def hessian_product(objective: Objective, params: Tree, batch: Any, v: Tree, root: Tree = None) -> Tree:
    """Return H v, or R H R v, as the derivative of the gradient along v."""
    stretched = v if root is None else jax.tree.map(jnp.multiply, root, v)
    tangent = jax.tree.map(lambda x, p: lax.convert_element_type(x, p.dtype), stretched, params)
    product = jax.jvp(lambda p: jax.grad(objective)(p, batch), (params,), (tangent,))[1]
    wide = jax.tree.map(lambda x, like: lax.convert_element_type(x, like.dtype), product, v)
    return wide if root is None else jax.tree.map(jnp.multiply, root, wide)


def inner(a: Tree, b: Tree) -> jax.Array:
    """Return the inner product of two trees."""
    products = [jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return functools.reduce(jnp.add, products)


def random_unit(params: Tree, key: jax.Array) -> Tree:
    """Return a random direction of length 1, like the params."""
    leaves, treedef = jax.tree.flatten(params)
    dtype = vector_dtype(params)
    keys = jax.random.split(key, len(leaves))
    normal = [jax.random.normal(k, x.shape, dtype) for k, x in zip(keys, leaves, strict=True)]
    v = jax.tree.unflatten(treedef, normal)
    return scaled(v, 1.0 / jnp.sqrt(inner(v, v)))


def scaled(v: Tree, factor: jax.Array) -> Tree:
    """Return the tree v multiplied by a scalar."""
    return jax.tree.map(lambda x: x * factor, v)


def minus(v: Tree, w: Tree) -> Tree:
    """Return v - w."""
    return jax.tree.map(jnp.subtract, v, w)


def coefficients(basis: Tree, w: Tree) -> jax.Array:
    """Return the inner product of w with each vector of the basis."""
    exact = lax.Precision.HIGHEST
    parts = [
        jnp.tensordot(b.reshape(b.shape[0], -1), x.reshape(-1), 1, precision=exact)
        for b, x in zip(jax.tree.leaves(basis), jax.tree.leaves(w), strict=True)
    ]
    return functools.reduce(jnp.add, parts)


def combine(basis: Tree, c: jax.Array) -> Tree:
    """Return the sum of the basis vectors with weights c."""
    return jax.tree.map(lambda b: jnp.tensordot(c, b, 1, precision=lax.Precision.HIGHEST), basis)


@functools.partial(jax.jit, static_argnames=("objective", "steps"))
def lanczos(objective: Objective, params: Tree, batch: Any, root: Tree, key: jax.Array, steps: int) -> tuple[Any, ...]:
    """Return the diagonal of T, that beside it, the operator's error, the steps, whether b became 0, and the basis."""
    v = random_unit(params, key)
    dtype = vector_dtype(params)
    tiny = 10.0 * float(jnp.finfo(dtype).eps)
    zero = jnp.zeros((), dtype)

    def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        j, basis, v, diagonal, beside, noise, scale, _ = carry
        basis = jax.tree.map(lambda b, x: b.at[j].set(x), basis, v)
        w = hessian_product(objective, params, batch, v, root)
        c = coefficients(basis, w)
        # A symmetric operator has no part in the older vectors, and b_{j-1} in the last one; the rest is its error.
        expected = jnp.where(jnp.arange(steps) == j - 1, beside[j - 1], 0.0) + jnp.where(jnp.arange(steps) == j, c, 0.0)
        noise = jnp.maximum(noise, jnp.sqrt(jnp.sum((c - expected) ** 2)))
        w = minus(w, combine(basis, c))
        w = minus(w, combine(basis, coefficients(basis, w)))
        b = jnp.sqrt(inner(w, w))
        scale = jnp.maximum(scale, jnp.maximum(jnp.abs(c[j]), b))
        done = b <= tiny * scale
        v = scaled(w, jnp.where(done, 0.0, 1.0 / jnp.where(done, 1.0, b)))
        return j + 1, basis, v, diagonal.at[j].set(c[j]), beside.at[j].set(b), noise, scale, done

    basis = jax.tree.map(lambda x: jnp.zeros((steps, *x.shape), dtype), params)
    numbers = jnp.zeros(steps, dtype)
    carry: tuple[Any, ...] = (0, basis, v, numbers, numbers, zero, zero, jnp.zeros((), bool))
    size, basis, _, diagonal, beside, noise, _, done = lax.while_loop(lambda c: (c[0] < steps) & ~c[-1], step, carry)
    return diagonal, beside, noise, size, done, basis


@functools.partial(jax.jit, static_argnames=("objective", "steps"))
def power(objective: Objective, params: Tree, batch: Any, root: Tree, key: jax.Array, steps: int) -> tuple[Any, ...]:
    """Return the eigenvalue of largest magnitude and the one farthest from it, with residuals, and their vectors."""
    start = random_unit(params, key)

    def farthest(shift: jax.Array) -> tuple[jax.Array, jax.Array, Tree]:
        def shifted(v: Tree) -> Tree:
            return minus(hessian_product(objective, params, batch, v, root), scaled(v, shift))

        def step(_: Any, v: Tree) -> Tree:
            w = shifted(v)
            size = jnp.sqrt(inner(w, w))
            stuck = size == 0
            return jax.tree.map(lambda x, y: jnp.where(stuck, x, y / jnp.where(stuck, 1.0, size)), v, w)

        v = lax.fori_loop(0, steps, step, start)
        w = shifted(v)
        value = inner(v, w)
        rest = minus(w, scaled(v, value))
        return value + shift, jnp.sqrt(inner(rest, rest)), v

    first, first_residual, first_vector = farthest(jnp.zeros((), vector_dtype(params)))
    second, second_residual, second_vector = farthest(first)
    return (first, first_residual, second, second_residual), (first_vector, second_vector)
