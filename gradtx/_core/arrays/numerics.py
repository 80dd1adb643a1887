"""The arithmetic that rules share: accumulators, safe quotients and roots, and powers that keep their digits.

Every function takes one array. Each division and root is safe twice: its value is finite where the
method says 0, and so is its derivative, because the argument is made safe before the choice is made.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.arrays.compat import manual_axes, sharded_as

HALF_BITS = 16
INT32_MAX = np.iinfo(np.int32).max


def scalar_dtype() -> Any:
    """Return the dtype in which the scalars of a step are computed: float64 under x64, else float32."""
    return jax.dtypes.canonicalize_dtype(np.float64)


def accumulator(dtype: DTypeLike) -> Any:
    """Return the dtype in which `dtype` is accumulated: float32 for half precision, else itself."""
    dtype = jnp.dtype(dtype)
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits <= HALF_BITS else dtype


def real(dtype: DTypeLike) -> Any:
    """Return the dtype of `abs(x)` for an x of `dtype`."""
    return jnp.finfo(dtype).dtype


def wider(a: DTypeLike, b: DTypeLike) -> Any:
    """Return the accumulator that holds both dtypes (`jnp.promote_types` obeys strict mode, numpy's does not)."""
    return jnp.dtype(np.promote_types(accumulator(a), accumulator(b)))


def wider_of(a: Any, b: Any) -> Any:
    """Return the one of two dtypes that has more bits, and float32 where they differ in other ways."""
    bits = [jnp.finfo(dtype).bits for dtype in (a, b)]
    return (a, b)[bits[0] < bits[1]] if bits[0] != bits[1] else jnp.dtype(jnp.float32)


def zeros(p: jax.Array, dtype: DTypeLike | None = None, *, magnitude: bool = False) -> jax.Array:
    """Return a slot of zeros like `p`, sharded as `p`.

    Args:
        p: the parameter.
        dtype: dtype of the slot; None takes the parameter's accumulator, float32 or wider.
        magnitude: whether the slot holds magnitudes, real also for a complex parameter.
    """
    return full(p, 0.0, dtype, magnitude=magnitude)


def full(p: jax.Array, value: Any, dtype: DTypeLike | None = None, *, magnitude: bool = False) -> jax.Array:
    """Return a slot like `p` filled with `value`, or with what a schedule gives at count 0; see `zeros`."""
    value = value(0) if callable(value) else value
    dtype = accumulator(p.dtype) if dtype is None else jnp.dtype(dtype)
    if jnp.iscomplexobj(p) and not magnitude:  # a real slot would drop the imaginary part
        dtype = jnp.dtype(np.promote_types(dtype, np.complex64) if real(dtype) != jnp.bfloat16 else np.complex64)
    slot = jnp.full_like(p, value, dtype=real(dtype) if magnitude else dtype)
    return sharded_as(p, slot) if isinstance(p, jax.core.Tracer) else slot


def own_copy(p: jax.Array, dtype: DTypeLike | None = None) -> jax.Array:
    """Return a slot that starts at `p`, sharded as `p`; see `zeros`.

    A sum is an array of its own, so that a state may be donated beside the params.
    """
    slot = zeros(p, dtype)
    return slot + lax.convert_element_type(p, slot.dtype)


def one_number(p: jax.Array, value: Any = 0.0, dtype: DTypeLike | None = None, *, by_device: bool = False) -> jax.Array:
    """Return a slot of one number for the whole of `p`, on the devices where `p` lies; see `full`.

    `by_device` says that each device of a `shard_map` holds a `p` of its own, so that the number differs too.
    """
    value = value(0) if callable(value) else value
    dtype = real(accumulator(p.dtype)) if dtype is None else jnp.dtype(dtype)
    if (
        manual_axes(p) and not by_device
    ):  # inside shard_map all shards hold the same number, although their parts of p differ
        return jnp.full((), value, dtype)
    whole = jnp.sum(p)  # lies where p lies, also under jit; its value is not used
    slot = jnp.full_like(whole, value, dtype=dtype)
    return sharded_as(whole, slot) if isinstance(p, jax.core.Tracer) else slot


def abs_sq(x: jax.Array) -> jax.Array:
    """Return the squared magnitude of `x`, real also where `x` is complex."""
    return x.real * x.real + x.imag * x.imag if jnp.iscomplexobj(x) else x * x


def opposed(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return True where x and y point apart: Re conj(x) y < 0. Signs are compared, since a product may vanish."""
    if jnp.iscomplexobj(x) or jnp.iscomplexobj(y):
        return x.real * y.real + x.imag * y.imag < 0
    return ((x > 0) & (y < 0)) | ((x < 0) & (y > 0))


def held(x: jax.Array) -> jax.Array:
    """Return a mean or sum of squares, at most a quarter of the largest number of its dtype; NaN passes on.

    A float32 gradient above 1.8e19 has a square beyond float32. Without this one such entry would leave infinity in
    its slot for good, and its parameter would never move again.
    """
    return jnp.minimum(x, float(jnp.finfo(x.dtype).max) / 4)


@jax.custom_jvp
def root(x: jax.Array) -> jax.Array:
    """Return the square root of `x`, with all derivatives 0 (not infinite) at 0."""
    return lax.sqrt(x)


@root.defjvp
def root_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Return the root and its derivative, `0.5 / root` or 0; made safe before the choice, for derivatives of it."""
    (x,), (dx,) = primals, tangents
    zero = x == 0
    safe = root(jnp.where(zero, jnp.ones_like(x), x))
    return jnp.where(zero, jnp.zeros_like(x), safe), dx * jnp.where(zero, jnp.zeros_like(x), 0.5 / safe)


@jax.custom_jvp
def divide(m: jax.Array, sigma: jax.Array) -> jax.Array:
    """Return `m / sigma`, 0 where sigma is 0 (nothing was seen there); NaN and infinity pass on."""
    safe = jnp.where(sigma == 0, jnp.inf, sigma)
    return lax.complex(m.real / safe, m.imag / safe) if jnp.iscomplexobj(m) else m / safe


@divide.defjvp
def divide_jvp(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Return the quotient and its derivative, 0 where sigma is 0; no infinity enters it, for derivatives of it."""
    (m, sigma), (dm, dsigma) = primals, tangents
    zero = sigma == 0
    safe = jnp.where(zero, jnp.ones_like(sigma), sigma)
    # in the dtype of m, for strict promotion refuses a real array times a complex one
    per = lax.convert_element_type(jnp.where(zero, jnp.zeros_like(sigma), 1.0 / safe), m.dtype)
    value = m * per
    return divide(m, sigma), (dm - value * lax.convert_element_type(dsigma, m.dtype)) * per


def divide_by_positive(m: jax.Array, sigma: jax.Array) -> jax.Array:
    """Return `m / sigma` for a sigma that cannot be 0, without the comparison and the choice of `divide`."""
    return lax.complex(m.real / sigma, m.imag / sigma) if jnp.iscomplexobj(m) else m / sigma


def is_above_0(eps: Any) -> bool:
    """Return True if this term, which is added to a root, keeps the sum above 0, also in float32.

    Ask it of no term inside the root: a quotient by a root alone, which no comparison guards, becomes a product with
    XLA's rsqrt, which takes a fifth of a step of ten parameters longer and rounds otherwise.
    """
    return isinstance(eps, (int, float)) and bool(eps >= np.finfo(np.float32).tiny)


def steps(count: jax.Array) -> jax.Array:
    """Return the paper's t, the number of this update from 1, as a scalar that cannot overflow."""
    return lax.convert_element_type(count, scalar_dtype()) + 1.0


def unbias(decay: Any, t: jax.Array) -> jax.Array:
    """Return `1 / (1 - decay**t)`, what corrects a mean that started at 0, to full precision in `scalar_dtype()`.

    Written as `(1 - coth(t log(decay) / 2)) / 2`: the plain form loses 4 digits in float32 at decay = 0.999, t = 1.
    A Python number's logarithm is taken in double precision.
    """
    if isinstance(decay, (int, float)):
        half = jnp.asarray(np.log(decay) / 2 if decay > 0 else -np.inf, scalar_dtype())
    else:
        half = jnp.log(decay) / 2
    return 0.5 - 0.5 / lax.tanh(t * half)


def increment(count: jax.Array) -> jax.Array:
    """Return `count + 1`, staying at the largest int32 instead of wrapping round."""
    return lax.min(count, jnp.asarray(INT32_MAX - 1, count.dtype)) + 1
