"""Cautious updates beyond their row: other leaves, other libraries, and what a wrapper lets through."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

PARAMS = {"w": jnp.array([1.0, -2.0, 3.0, 0.5]), "b": jnp.array(0.1)}


def two_steps(tx: Any, jit: bool = True) -> list[Any]:
    state, out = tx.init(PARAMS), []
    update = jax.jit(tx.update) if jit else tx.update
    for sign in (1.0, -0.1):
        grads = {"w": jnp.array([1.0, 2.0, 3.0, 4.0]) * jnp.array([1.0, 1.0, 1.0, sign]), "b": jnp.array(sign)}
        u, state = update(grads, state, PARAMS)
        out.append(u)
    return out


@pytest.mark.parametrize("jit", [True, False])
def test_round_another_librarys_optimizer(jit: bool) -> None:
    ours, theirs = (two_steps(gradtx.cautious(library.sgd(0.1, 0.9)), jit) for library in (gradtx, optax))
    chex.assert_trees_all_close(ours, theirs, rtol=1e-6)


def test_the_state_is_that_of_the_inner_one() -> None:
    tx, inner = gradtx.cautious(gradtx.adamw(0.1)), gradtx.adamw(0.1)
    chex.assert_trees_all_equal(tx.init(PARAMS), inner.init(PARAMS))
    assert gradtx.hyperparams(tx, tx.init(PARAMS)) == gradtx.hyperparams(inner, inner.init(PARAMS))
    assert str(tx) == f"cautious({inner})"
    assert jax.tree.map(lambda f: f, tx).name == "cautious"


def test_what_has_no_gradient_passes() -> None:
    tx = gradtx.cautious(gradtx.sgd(0.1))
    params = {"w": jnp.ones(2), "none": None, "index": jnp.ones(2, jnp.int32)}
    grads = jax.grad(lambda p: jnp.sum(p["w"] ** 2), allow_int=True)(params)
    u, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(u["w"], [-0.2 * 2 / 3] * 2, rtol=1e-6)
    assert u["none"] is None
    assert u["index"].dtype == jax.dtypes.float0


def test_products_that_vanish_are_told_apart() -> None:
    tiny = jnp.array([1e-30, -1e-30], jnp.float32)
    tx = gradtx.cautious(gradtx.scale(-1e-2))
    u, _ = tx.update(tiny, tx.init(tiny), tiny)
    np.testing.assert_allclose(u / -tiny, [1e-2 * 2 / 3] * 2, rtol=1e-4)
    decay = gradtx.add_cautious_weight_decay(0.5)
    p = jnp.array([1e-20, 1e-20], jnp.float32)
    np.testing.assert_allclose(decay.update(tiny, decay.init(p), p)[0], [0.5e-20, 0.0], rtol=1e-5, atol=2e-30)


def test_of_complex_numbers_the_real_part_of_their_product_counts() -> None:
    g = jnp.array([1.0 + 1.0j, 1.0 - 1.0j], jnp.complex64)
    rule = gradtx.Rule("turn", lambda g, slots, p, k: (g * jnp.asarray(-1 + 0.5j, g.dtype), slots))
    inner = gradtx.leafwise(rule)
    tx = gradtx.cautious(inner)
    u, _ = tx.update(g, tx.init(g), g)
    np.testing.assert_allclose(u, g * (-1 + 0.5j) * 2 / 3, rtol=1e-6)


def test_half_precision_counts_all_elements() -> None:
    g = jnp.ones(100_000, jnp.float16)
    tx = gradtx.cautious(gradtx.scale(-1.0))
    u, _ = tx.update(g, tx.init(g), g)
    np.testing.assert_allclose(u, -np.ones(100_000), rtol=1e-3)
    assert u.dtype == jnp.float16
