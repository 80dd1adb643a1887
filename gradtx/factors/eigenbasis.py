"""The bases in which SOAP scales: eigenvectors of the mean products of a matrix's rows and of its columns."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.layers import Names, on_each_device
from gradtx.factors.kronecker import adjoint
from gradtx.rules import Slots


def identities(x: jax.Array) -> jax.Array:
    """Return a stack of square matrices as identities; what is no such stack as it is."""
    return x + jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape) if x.ndim > 1 else x


def rotations(slots: Slots, sides: tuple[bool, bool]) -> tuple[Any, Any]:
    """Return the functions of a stack of matrices that turn them into the bases and back."""
    left, right = slots["left_basis"], slots["right_basis"]

    def into(x: jax.Array) -> jax.Array:
        x = adjoint(left) @ x if sides[0] else x
        return x @ right if sides[1] else x

    def back(x: jax.Array) -> jax.Array:
        x = left @ x if sides[0] else x
        return x @ adjoint(right) if sides[1] else x

    return into, back


def eigenvectors(x: jax.Array) -> jax.Array:
    """Return the eigenvectors of each symmetric matrix of a stack, that of the largest value first."""
    found: jax.Array = jnp.linalg.eigh(x)[1][..., ::-1]
    return found


def orthogonal_factor(x: jax.Array) -> jax.Array:
    """Return Q of Q R of each matrix of a stack."""
    found: jax.Array = jnp.linalg.qr(x)[0]
    return found


def refined(means: Sequence[jax.Array], bases: Sequence[jax.Array], layers: Names) -> list[jax.Array]:
    """Return bases after one step towards the eigenvectors of the means."""
    return [on_each_device(orthogonal_factor, x @ q, layers) for x, q in zip(means, bases, strict=True)]


def renewed(slots: Slots, means: dict[str, jax.Array], renewal: jax.Array, layers: Names = ()) -> dict[str, jax.Array]:
    """Return the bases of these means of products, new ones where it is time; no derivative goes through them.

    Args:
        slots: the bases before.
        means: the means of products.
        renewal: 0 where they stay, 1 for eigenvectors, 2 for one step to them.
        layers: the axes of the mesh over which the stacks are split along their first axis.
    """
    names = [f"{name}_basis" for name in means]
    if not names:
        return {}
    choices = [
        lambda means, bases: bases,
        lambda means, bases: [on_each_device(eigenvectors, x, layers) for x in means],
        lambda means, bases: refined(means, bases, layers),
    ]
    given = lax.stop_gradient((list(means.values()), [slots[name] for name in names]))
    return dict(zip(names, lax.switch(renewal, choices, *given), strict=True))
