"""Inverse fourth roots of symmetric matrices, by their eigenvalues: what Shampoo multiplies gradients by."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.layers import Names, on_each_device
from gradtx.factors.kronecker import adjoint
from gradtx.rules import divide, root


def inverse_root(x: jax.Array) -> jax.Array:
    """Return x^(-1/4), 0 where x is 0."""
    found: jax.Array = divide(jnp.ones_like(x), root(root(x)))
    return found


def inverse_roots(x: jax.Array, eps: jax.Array, layers: Names = ()) -> jax.Array:
    """Return (x + eps)^(-1/4) of each symmetric matrix of a stack; `layers` as in `root_when_due`."""
    values, vectors = on_each_device(jnp.linalg.eigh, x, layers)
    scaled = vectors * lax.convert_element_type(inverse_root(jnp.maximum(values, 0.0) + eps)[..., None, :], x.dtype)
    found: jax.Array = scaled @ adjoint(vectors)
    return found


def root_when_due(x: jax.Array, old: jax.Array, k: SimpleNamespace, layers: Names = ()) -> jax.Array:
    """Return the inverse fourth roots, new where it is time, else the old ones; no derivative goes through them.

    Args:
        x: a stack of symmetric matrices.
        old: their roots before.
        k: the scalars of the step, `due` and `eps` among them.
        layers: the axes of the mesh over which the stack is split along its first axis.
    """
    x, eps = lax.stop_gradient(x), jnp.asarray(k.eps, x.real.dtype)
    made = functools.partial(inverse_roots, layers=layers)
    new: jax.Array = lax.cond(k.due, made, lambda x, eps: old, x, lax.stop_gradient(eps))
    return new
