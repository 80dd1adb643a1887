"""bfloat16 parameters as the upper half of float32 numbers: its 16 bits are float32's first 16."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.contract.errors import LeafTypeError, describe

HALF = np.int32(0x8000)  # half of the last of the bits that bfloat16 keeps
UPPER = np.uint32(0xFFFF0000)


def check_dtype(p: jax.Array) -> None:
    """Raise unless a parameter is of a dtype whose rounding is known, or of one wide enough to learn as it is.

    Raises:
        LeafTypeError: it is float16.
    """
    if p.dtype == jnp.float16:
        fix = "keep the params in bfloat16, whose 16 bits are the upper ones of float32"
        raise LeafTypeError(0, f"is {describe(p)}", "bfloat16, float32 or wider", fix)


def is_narrow(p: jax.Array) -> bool:
    """Return True for bfloat16, which stands still where an update is below half of its last bit."""
    check_dtype(p)
    return bool(p.dtype == jnp.bfloat16)


def float32(x: jax.Array) -> jax.Array:
    """Return an array in float32."""
    return lax.convert_element_type(x, jnp.float32)


def bits_of(p: jax.Array) -> jax.Array:
    """Return the bits of bfloat16 numbers as those of float32, in int32."""
    return lax.shift_left(lax.convert_element_type(lax.bitcast_convert_type(p, jnp.int16), jnp.int32), np.int32(16))


def of_upper(bits: jax.Array) -> jax.Array:
    """Return the float32 number that the upper 16 of these 32 bits are."""
    return lax.bitcast_convert_type(lax.bitcast_convert_type(bits, jnp.uint32) & UPPER, jnp.float32)


def or_not_finite(rounded: jax.Array, x: jax.Array) -> jax.Array:
    """Return what a number was rounded to by its bits, itself where it is infinite or NaN, whose bits may wrap."""
    return jnp.where(jnp.isfinite(x), rounded, x)


def to_nearest(x: jax.Array) -> jax.Array:
    """Return float32 numbers rounded to bfloat16, a tie away from zero, still in float32.

    The bits that are cut off are then within 16 signed ones of what is kept. A tie that is rounded to even may leave
    2^15, one too many.
    """
    return or_not_finite(of_upper(lax.bitcast_convert_type(x, jnp.int32) + HALF), x)
