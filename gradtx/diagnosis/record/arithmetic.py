"""Norms and products of arrays that leave float32 in no step on the way."""

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.diagnosis.record import sample
from gradtx.diagnosis.record.record import MOST

# A float32 sum of squares overflows for a norm above 1.8e19. There it is taken again of arrays that are scaled by AWAY.
LARGE, AWAY = 2.0**126, 2.0**-64
FAR = 1e15  # a ratio of two norms beyond it only says that the sample missed the gradient; its square is finite


def root(x: jax.Array) -> jax.Array:
    """Return sign(x) sqrt(|x|): what squares and slopes are stored as."""
    return jnp.sign(x) * jnp.sqrt(jnp.abs(x))


def root_of_product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return sqrt(a b) of two norms, where a b may leave float32 (XLA makes it of sqrt(a) sqrt(b) as well)."""
    large, small = jnp.maximum(a, b), jnp.minimum(a, b)
    return large * jnp.sqrt(small / jnp.where(large > 0, large, 1.0))


def hypotenuse(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return sqrt(a^2 + b^2) of two norms, where the squares may leave float32."""
    large, small = jnp.maximum(a, b), jnp.minimum(a, b)
    part = small / jnp.where(large > 0, large, 1.0)
    return jnp.minimum(large * jnp.sqrt(1.0 + part * part), MOST)


def inner(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the inner product of two vectors, in full precision also where a matrix unit would round its inputs."""
    return jnp.vdot(a, b, precision=lax.Precision.HIGHEST)


def cosine(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the product of two vectors that are of norm 1 or 0, and whether both are of norm 1."""
    return inner(a, b), (inner(a, a) > 0) & (inner(b, b) > 0)


def unit(v: jax.Array, factor: float) -> tuple[jax.Array, jax.Array]:
    """Return a vector divided by its norm, 0 where it is 0, and `factor` times the norm; no entry is too large."""
    most = jnp.max(jnp.abs(v), initial=0.0)
    some = most >= jnp.finfo(jnp.float32).tiny
    shrink = jnp.where(most > FAR, AWAY, 1.0)  # the inverse of a number above 2^126 is 0 on most processors
    v = jnp.where(some, (v * shrink) / jnp.where(some, most * shrink, 1.0), 0.0)
    norm = jnp.sqrt(jnp.where(some, inner(v, v), 1.0))  # from 1 to the root of the length
    return v / norm, jnp.where(some, jnp.minimum(most * norm * factor, MOST), 0.0)


def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the inner product of two arrays, real, accumulated in float32."""
    x, y = wide(a), wide(b)
    if sample.is_explicit(x):  # a contraction over sharded axes would have to be told how its result is sharded
        return jnp.sum(x * y)
    # XLA's fastest sum on CPU; over all dimensions, since flattening first would gather a sharded array
    every = tuple(range(x.ndim))
    return lax.dot_general(x, y, ((every, every), ((), ())), precision=lax.Precision.HIGHEST)


def scaled_square(x: jax.Array, scale: float) -> jax.Array:
    """Return the sum of the squares of x times a scale.

    The scale is a constant, since XLA:CPU writes a scalar that is computed out, as large as the array it multiplies.
    """
    small = wide(x) * scale
    if small.size == 1:  # XLA joins products of scalars with constants to x^2 scale^2, and x^2 overflows
        small = lax.reduce_precision(small, exponent_bits=8, mantissa_bits=22)
    return jnp.sum(small * small)


def wide(x: jax.Array) -> jax.Array:
    """Return an array as real float32."""
    found: jax.Array = lax.convert_element_type(sample.magnitude(x), jnp.float32)
    return found
