"""`apply_updates` adds in the wider dtype and rounds once."""

from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from hypothesis import given

import gradtx


@given(
    p=hnp.arrays(np.float32, 8, elements=st.floats(-1e3, 1e3, width=32)),
    u=hnp.arrays(np.float32, 8, elements=st.floats(-10, 10, width=32)),
)
def test_apply_updates_rounds_once(p: Any, u: Any) -> None:
    """The update is not rounded to the parameter's dtype before it is added."""
    half = p.astype(ml_dtypes.bfloat16)
    new = gradtx.apply_updates({"w": jnp.asarray(half)}, {"w": jnp.asarray(u)})["w"]
    assert new.dtype == jnp.bfloat16
    exact = half.astype(np.float64) + u.astype(np.float64)
    np.testing.assert_array_equal(np.asarray(new), exact.astype(np.float32).astype(ml_dtypes.bfloat16))
    # 8 bits of significand: half a unit in the last place is 2^-9 to 2^-8 of the value
    assert (np.abs(np.asarray(new, np.float64) - exact) <= 2.0**-8 * np.abs(exact) * (1 + 1e-6)).all()


def test_apply_updates_keeps_small_steps_that_rounding_first_would_lose() -> None:
    """1 + 3 * 2^-9 lies above the middle of 1 and 1 + 2^-7; a bfloat16 update of 3 * 2^-9 + 2^-18 loses its end."""
    p, u = jnp.array([1.0], jnp.bfloat16), jnp.array([2.0**-8 + 2.0**-17], jnp.float32)
    assert gradtx.apply_updates(p, u).item() == 1.0 + 2.0**-7


def test_apply_updates_adds_in_the_wider_dtype() -> None:
    p, u = jnp.array([1.0], jnp.float32), jnp.array([2.0**-24 + 2.0**-50], jnp.float64)
    assert gradtx.apply_updates(p, u).item() == 1.0 + 2.0**-23
    assert gradtx.apply_updates({"w": p, "none": None}, {"w": p, "none": None})["w"].item() == 2.0
    assert gradtx.apply_updates({"w": p}, {"w": None})["w"] is p
