"""An inverse Hessian made of the last steps and of how the gradient changed: Nocedal & Wright's Algorithm 7.4."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.norm import SMALL, norm_over
from gradtx._core.arrays.numerics import increment, scalar_dtype
from gradtx._core.arrays.sums import after, once, product, products, square, times
from gradtx._core.arrays.turns import behind


class Memory(NamedTuple):
    """The pairs (s, y), leaf by leaf, with 1 / <s, y>, and a table of <s_i, y_j> for each y_j not older than s_i."""

    s: list[jax.Array]
    y: list[jax.Array]
    rho: jax.Array
    products: jax.Array


class Last(NamedTuple):
    """What is known of the updates before: the params and gradients of the last, the pairs, and how many there are."""

    p: list[jax.Array]
    g: list[jax.Array]
    memory: Memory
    updates: jax.Array
    pairs: jax.Array

    @property
    def newest(self) -> jax.Array:
        """The place of the newest pair."""
        return (self.pairs - 1) % self.memory.rho.size


def row(memory: list[jax.Array], i: jax.Array) -> list[jax.Array]:
    """Return one entry of a memory."""
    return [lax.dynamic_index_in_dim(x, i, keepdims=False) for x in memory]


def written(memory: list[jax.Array], new: list[jax.Array], i: jax.Array, *, where: jax.Array) -> list[jax.Array]:
    """Return the memory with one entry written, as it was unless `where`."""
    kept = [jnp.where(where, x, old) for x, old in zip(new, row(memory, i), strict=True)]
    return [lax.dynamic_update_index_in_dim(m, x, i, 0) for m, x in zip(memory, kept, strict=True)]


def remembered(p: list[jax.Array], g: list[jax.Array], last: Last) -> tuple[Last, jax.Array]:
    """Return what is known after this update, with a pair more if the gradient grew along the step, and its |y|^2.

    The |y|^2 is that of the newest pair. It is not read from the new memory, which XLA:CPU would compute twice, from a
    copy of the old one; where the pair is an older one, the memory is written once it is read.
    """
    s = [new - old for new, old in zip(p, last.p, strict=True)]
    y = [new - old for new, old in zip(g, last.g, strict=True)]
    along, change = once(products(s, y)), once(square(y))
    # <s, y> <= 0 is no step in a bowl: the inverse Hessian would not be positive, and its direction might climb
    keep = (last.updates > 0) & (along > 0) & jnp.isfinite(along) & (change > 0) & jnp.isfinite(change)
    old = last.memory
    before, at = after(once(square(row(old.y, last.newest))), last.pairs % old.rho.size)
    rho = jnp.where(keep, 1.0 / jnp.where(keep, along, 1.0), old.rho[at])
    steps, changes = written(old.s, s, at, where=keep), written(old.y, y, at, where=keep)
    column = jnp.where(keep, against(steps, y, old.rho.size), old.products[:, at])
    memory = Memory(steps, changes, old.rho.at[at].set(rho), old.products.at[:, at].set(column))
    pairs = jnp.where(keep, increment(last.pairs), last.pairs)
    p, g = ([behind(x, d) for x, d in zip(xs, ds, strict=True)] for xs, ds in ((p, s), (g, y)))
    return Last(p, g, memory, increment(last.updates), pairs), jnp.where(keep, change, before)


def against(memory: list[jax.Array], x: list[jax.Array], size: int) -> jax.Array:
    """Return the real part of <entry, x> over the whole tree for each of the entries of a memory.

    Each leaf keeps its shape: of one that is split over devices, only the sums are sent.
    """

    def one(m: jax.Array, x: jax.Array) -> jax.Array:
        axes = tuple(range(1, m.ndim))
        if x.size <= SMALL:  # XLA:CPU compiles a sum 5 times as fast as a matrix times a vector
            return jnp.sum(lax.convert_element_type(product(m, x[None]), scalar_dtype()), axes)
        # the conjugate of x and not of the memory, which would be copied; the real part is the same
        over = ((axes, tuple(range(x.ndim))), ((), ()))
        found = lax.dot_general(m, jnp.conj(x), over, precision=lax.Precision.HIGHEST)
        return lax.convert_element_type(found.real, scalar_dtype())

    return sum(map(one, memory, x), jnp.zeros(size, scalar_dtype()))


def combined(factors: jax.Array, memory: list[jax.Array]) -> list[jax.Array]:
    """Return the sum of the entries of a memory, each times its factor."""

    def one(m: jax.Array) -> jax.Array:
        own = lax.convert_element_type(factors, m.dtype)
        if m[0].size <= SMALL:
            return jnp.sum(own.reshape(-1, *[1] * (m.ndim - 1)) * m, 0)
        return lax.dot_general(own, m, (((0,), (0,)), ((), ())), precision=lax.Precision.HIGHEST)

    return [one(m) for m in memory]


def two_loops(g: list[jax.Array], memory: Memory, newest: jax.Array, gamma: jax.Array) -> list[jax.Array]:
    """Return the inverse Hessian times g: Algorithm 7.4, which goes from the newest pair to the oldest and back.

    As q = g - sum_j a_j y_j and r = gamma q + sum_j c_j s_j, the loops need only the factors a and c, and the table of
    <s_i, y_j>. The time that XLA:CPU takes to compile a loop grows as the square of the number of arrays it carries, so
    these carry no leaf. A factor is 0 until its turn, so that nothing is taken of the other half of the table.
    """
    size = memory.rho.size

    def back(i: Any, a: jax.Array) -> jax.Array:
        at = (newest - i) % size
        return a.at[at].set(memory.rho[at] * (on_s[at] - jnp.sum(memory.products[at] * a)))

    def forth(i: Any, c: jax.Array) -> jax.Array:
        at = (newest + 1 + i) % size
        beta = memory.rho[at] * (on_y[at] + jnp.sum(memory.products[:, at] * c))
        return c.at[at].set(a[at] - beta)

    none = jnp.zeros_like(memory.rho)
    on_s = against(memory.s, g, size)
    a = lax.fori_loop(0, size, back, none)
    r = [times(gamma, x - y) for x, y in zip(g, combined(a, memory.y), strict=True)]
    on_y = against(memory.y, r, size)
    c = lax.fori_loop(0, size, forth, none)
    return [x + s for x, s in zip(r, combined(c, memory.s), strict=True)]


@functools.partial(jax.jit, static_argnums=3)
def newton(p: list[jax.Array], g: list[jax.Array], last: Last, fitted: bool) -> tuple[list[jax.Array], Last]:
    """Return the inverse Hessian times the gradient, and what is known after this update.

    Args:
        p: the params.
        g: their gradient.
        last: what was known.
        fitted: whether the identity that the inverse Hessian is made from is scaled to fit the newest pair.
    """
    new, change = remembered(p, g, last)
    one = jnp.ones((), scalar_dtype())
    gamma = one
    if fitted:
        norm = lax.convert_element_type(norm_over(g, jnp.ones((), jnp.float32)), one.dtype) if g else one
        some = new.pairs > 0
        change = jnp.where(some, new.memory.rho[new.newest] * change, one)
        gamma = 1.0 / jnp.where(some, change, jnp.maximum(norm, one))
    return two_loops(g, new.memory, new.newest, gamma), new
