"""Inverse fourth roots of symmetric matrices, by their eigenvalues: what Shampoo multiplies gradients by."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.factors.kronecker import adjoint
from gradtx.rules import divide, root


def inverse_root(x: jax.Array) -> jax.Array:
    """Return x^(-1/4), 0 where x is 0."""
    found: jax.Array = divide(jnp.ones_like(x), root(root(x)))
    return found


def inverse_roots(x: jax.Array, eps: jax.Array) -> jax.Array:
    """Return (x + eps)^(-1/4) of each symmetric matrix of a stack."""
    values, vectors = jnp.linalg.eigh(x)
    scaled = vectors * lax.convert_element_type(inverse_root(jnp.maximum(values, 0.0) + eps)[..., None, :], x.dtype)
    found: jax.Array = scaled @ adjoint(vectors)
    return found


def root_when_due(x: jax.Array, old: jax.Array, k: SimpleNamespace) -> jax.Array:
    """Return the inverse fourth roots, new where it is time, else the old ones; no derivative goes through them."""
    x, eps = lax.stop_gradient(x), jnp.asarray(k.eps, x.real.dtype)
    new: jax.Array = lax.cond(k.due, inverse_roots, lambda x, eps: old, x, lax.stop_gradient(eps))
    return new
