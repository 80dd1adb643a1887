"""What the registry cannot say of MADGRAD: optax computes its weights in float32 even with float64 on."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gradtx
from gradtx.methods.madgrad import cube_root

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    "settings",
    [{"learning_rate": 0.5}, {"learning_rate": 0.0}, {"learning_rate": 0.3, "momentum": 0.0, "weight_decay": 0.1}],
    ids=str,
)
def test_agrees_with_optax_to_float32(settings: dict[str, Any]) -> None:
    params = {"w": jnp.asarray(RNG.normal(size=(3, 2))), "b": jnp.asarray(RNG.normal(size=4))}
    grads = [jax.tree.map(lambda p: jnp.asarray(RNG.normal(size=p.shape)), params) for _ in range(40)]

    def run(tx: Any) -> Any:
        theta, state = params, tx.init(params)
        for g in grads:
            u, state = tx.update(g, state, theta)
            theta = gradtx.apply_updates(theta, u)
        return theta

    with jax.numpy_dtype_promotion("standard"):
        theirs = run(optax.contrib.madgrad(**settings))
    chex.assert_trees_all_close(run(gradtx.madgrad(**settings)), theirs, rtol=1e-6, atol=1e-7)


def test_the_cube_root_has_finite_derivatives_at_0() -> None:
    x = jnp.array([0.0, 8.0])
    np.testing.assert_allclose(cube_root(x), [0.0, 2.0])
    slope = jax.grad(lambda x: jnp.sum(cube_root(x)))
    np.testing.assert_allclose(slope(x), [0.0, 1 / 12])
    np.testing.assert_allclose(jax.grad(lambda x: jnp.sum(slope(x)))(x), [0.0, -1 / 144])


def test_a_huge_gradient_does_not_stop_it_for_good() -> None:
    tx, p = gradtx.madgrad(10.0, momentum=0.0), jnp.zeros((), jnp.float32)
    state = tx.init(p)
    for size in (1e25, 1.0):
        u, state = tx.update(jnp.asarray(size, jnp.float32), state, p)
    assert np.isfinite(state[1].slots["sum_of_squares"])
    assert np.isfinite(u)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_the_cube_root_has_all_digits_and_calls_no_library(dtype: Any) -> None:
    info = np.finfo(dtype)
    x = np.logspace(np.log10(float(info.tiny)) + 0.1, np.log10(float(info.max)) - 0.1, 20_001).astype(dtype)
    found = np.asarray(jax.jit(cube_root)(x), np.float64)
    np.testing.assert_allclose(found, np.cbrt(x.astype(np.float64)), rtol=4 * float(info.eps))
    usual = x > float(info.tiny) / float(info.eps)  # where what the last digit lacks is no number below the least one
    np.testing.assert_allclose(found[usual], np.cbrt(x.astype(np.float64))[usual], rtol=1.5 * float(info.eps))
    assert "cbrt" not in str(jax.make_jaxpr(cube_root)(x))  # of which XLA:CPU calls the C library for each number
