"""Leaves one after another: where a step writes an array as large as a leaf, all leaves can then use the same memory.

XLA:CPU runs what does not depend on each other in an order of its own, mostly the same part of every leaf before the
next part of one, so that all those arrays exist at once. Here what a leaf writes is multiplied by a number that comes
out of the leaf before. The number is always 1, which XLA cannot know, and the product is exact.
"""

import contextlib
import contextvars
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

WAITING = contextvars.ContextVar("WAITING", default=True)
LEAST = 64 * 1024  # elements of a leaf for which waiting costs less than memory does


def shares_loops() -> bool:
    """Return True if XLA:CPU is told to write several arrays in one loop, as far as the environment shows."""
    return "xla_cpu_use_multi_output_fusion" in os.environ.get("XLA_FLAGS", "")


def on_one_device() -> bool:
    """Return True if no array can be split over devices: what looks at parts of one would gather it from all."""
    return jax.device_count() == 1 and bool(jax.sharding.get_abstract_mesh().empty)


def first_turn() -> Any:
    """Return the number that the first leaf is multiplied by; a constant of NumPy's costs no equation."""
    return np.ones((), np.float32)


@contextlib.contextmanager
def no_turns() -> Iterator[None]:
    """Let nothing wait in what is traced here: results of one loop are all written at once."""
    token = WAITING.set(False)
    try:
        yield
    finally:
        WAITING.reset(token)


def takes_turns(x: jax.Array) -> bool:
    """Return True if a leaf is to wait for the one before: under jit, on one device, and large enough."""
    is_real = not jnp.iscomplexobj(x)  # an infinite complex number times 1 is not a number
    return WAITING.get() and isinstance(x, jax.core.Tracer) and x.size >= LEAST and is_real and on_one_device()


def in_turn(x: jax.Array, turn: Any) -> jax.Array:
    """Return an array times the number that comes out of the leaf before; the array itself where none waits."""
    return x if turn is None else x * lax.convert_element_type(turn, x.dtype)


def behind(x: jax.Array, *arrays: jax.Array) -> jax.Array:
    """Return `x` times 1, which waits until these new slots are written: what they read can then be overwritten."""
    if not takes_turns(x):
        return x
    for array in arrays:
        x = in_turn(x, next_turn(array))
    return x


def one(x: jax.Array) -> jax.Array:
    """Return 1, which XLA does not know since it does not ask how large a magnitude is; also where x is NaN."""
    return jnp.where(jnp.abs(x) < -1.0, jnp.full_like(x, 2.0), jnp.ones_like(x))


def next_turn(u: jax.Array) -> jax.Array:
    """Return the number that the next leaf is multiplied by, which waits for `u`; elsewhere than on a CPU it is 1."""
    first = lax.stop_gradient(u[(0,) * u.ndim])
    first = lax.convert_element_type(first.real, jnp.float32)
    turn: jax.Array = lax.platform_dependent(first, cpu=one, default=jnp.ones_like)
    return turn
