"""Rprop beyond its rows: complex numbers, gradients that are not finite, products too small for float32."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

GRADS = [[1.0, -2.0], [3.0, 1.0], [0.5, 0.0], [-1.0, 4.0], [-1.0, 4.0]]


def run(grads: Any, **settings: Any) -> list[Any]:
    tx = gradtx.scale_by_rprop(0.1, **settings)
    state, out = tx.init(jnp.asarray(grads[0])), []
    for g in grads:
        u, state = tx.update(jnp.asarray(g), state)
        out.append(np.asarray(u))
    return out


@pytest.mark.parametrize("delayed", [True, False])
def test_a_complex_number_is_two_real_ones(delayed: bool) -> None:
    alone = run(GRADS, delayed=delayed)
    whole = run([[complex(a, b)] for a, b in GRADS], delayed=delayed)
    np.testing.assert_array_equal([[u[0].real, u[0].imag] for u in whole], alone)


def test_a_gradient_that_is_no_number_is_not_passed_over() -> None:
    late, at_once = (run([[1.0], [np.nan], [1.0]], delayed=delayed) for delayed in (True, False))
    assert np.isnan(late[2])
    assert np.isnan(at_once[1])


def test_signs_are_compared_where_their_product_vanishes() -> None:
    small = [[np.float32(1e-30)], [np.float32(1e-30)], [np.float32(-1e-30)]]
    np.testing.assert_allclose(np.ravel(run(small, delayed=False)), [0.1, 0.12, 0.0], rtol=1e-6)
