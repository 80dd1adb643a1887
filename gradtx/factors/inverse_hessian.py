"""An inverse Hessian made of the last steps and of how the gradient changed: Nocedal & Wright's Algorithm 7.4."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.norm import norm_over
from gradtx._core.arrays.numerics import increment, scalar_dtype
from gradtx._core.arrays.sums import after, products, square, times
from gradtx._core.arrays.turns import behind


class Memory(NamedTuple):
    """The pairs (s, y), leaf by leaf, with 1 / <s, y>."""

    s: list[jax.Array]
    y: list[jax.Array]
    rho: jax.Array


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
    along, change = products(s, y), square(y)
    # <s, y> <= 0 is no step in a bowl: the inverse Hessian would not be positive, and its direction might climb
    keep = (last.updates > 0) & (along > 0) & jnp.isfinite(along) & (change > 0) & jnp.isfinite(change)
    old = last.memory
    before, at = after(square(row(old.y, last.newest)), last.pairs % old.rho.size)
    rho = jnp.where(keep, 1.0 / jnp.where(keep, along, 1.0), old.rho[at])
    memory = Memory(written(old.s, s, at, where=keep), written(old.y, y, at, where=keep), old.rho.at[at].set(rho))
    pairs = jnp.where(keep, increment(last.pairs), last.pairs)
    p, g = ([behind(x, d) for x, d in zip(xs, ds, strict=True)] for xs, ds in ((p, s), (g, y)))
    return Last(p, g, memory, increment(last.updates), pairs), jnp.where(keep, change, before)


def two_loops(g: list[jax.Array], memory: Memory, newest: jax.Array, gamma: jax.Array) -> list[jax.Array]:
    """Return the inverse Hessian times g: Algorithm 7.4, which makes one pass to the oldest pair and one back."""
    size = memory.rho.size

    def back(i: Any, carry: tuple[list[jax.Array], jax.Array]) -> tuple[list[jax.Array], jax.Array]:
        q, alphas = carry
        at = (newest - i) % size
        alpha = memory.rho[at] * products(row(memory.s, at), q)
        return [x - times(alpha, y) for x, y in zip(q, row(memory.y, at), strict=True)], alphas.at[at].set(alpha)

    def forth(i: Any, r: list[jax.Array]) -> list[jax.Array]:
        at = (newest + 1 + i) % size
        beta = memory.rho[at] * products(row(memory.y, at), r)
        return [x + times(alphas[at] - beta, s) for x, s in zip(r, row(memory.s, at), strict=True)]

    q, alphas = lax.fori_loop(0, size, back, (g, jnp.zeros_like(memory.rho)))
    found: list[jax.Array] = lax.fori_loop(0, size, forth, [times(gamma, x) for x in q])
    return found


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
