"""Bounds on single numbers, and a user's functions, at what no row holds: NaN, infinity, complex numbers, no params."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

MESH = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("x",))
BAD = {"w": jnp.array([jnp.nan, jnp.inf, -jnp.inf, 2.0]), "v": jnp.array([jnp.inf, 3.0]), "b": jnp.array(4.0)}


def first(tx: gradtx.Transform, g: Any, params: Any = None) -> Any:
    """Return the first update."""
    return tx.update(g, tx.init(g if params is None else params), params)[0]


def test_nans_become_zero() -> None:
    tx = gradtx.zero_nans()
    updates, state = tx.update(BAD, tx.init(BAD))
    np.testing.assert_array_equal(updates["w"], [0.0, np.inf, -np.inf, 2.0])
    assert {name: bool(found) for name, found in state.found_nan.items()} == {"w": True, "v": False, "b": False}
    theirs = optax.zero_nans()
    assert jax.tree.all(jax.tree.map(jnp.array_equal, updates, theirs.update(BAD, theirs.init(BAD))[0]))
    _, state = tx.update(jax.tree.map(jnp.ones_like, BAD), state)
    assert not any(map(bool, state.found_nan.values()))


def test_infinities_become_zero_where_asked() -> None:
    tx = gradtx.zero_nans(infinities=True)
    updates, state = tx.update(BAD, tx.init(BAD))
    np.testing.assert_array_equal(updates["w"], [0.0, 0.0, 0.0, 2.0])
    np.testing.assert_array_equal(updates["v"], [0.0, 3.0])
    assert {name: bool(found) for name, found in state.found_nan.items()} == {"w": True, "v": True, "b": False}
    chained = gradtx.chain(tx, gradtx.adam(0.1))
    assert np.all(np.isfinite(first(chained, BAD)["w"]))


def test_a_nan_of_one_shard_is_reported_on_all() -> None:
    tx, spec = gradtx.zero_nans(axis_name="x"), jax.P("x")

    def step(g: jax.Array) -> Any:
        u, state = tx.update(g, tx.init(g))
        return u, state.found_nan

    u, found = jax.shard_map(step, mesh=MESH, in_specs=spec, out_specs=(spec, jax.P()))(jnp.array([jnp.nan, 1.0]))
    assert bool(found)
    np.testing.assert_array_equal(u, [0.0, 1.0])


def test_clip_bounds_infinities_and_passes_nans() -> None:
    np.testing.assert_array_equal(first(gradtx.clip(1.5), BAD["w"]), [np.nan, 1.5, -1.5, 1.5])


def test_a_clipped_complex_number_keeps_its_phase() -> None:
    g = jnp.array([3.0 + 4.0j, 0.3 - 0.4j, 0.0, 3e30 - 4e30j], jnp.complex64)
    wanted = np.array([0.6 + 0.8j, 0.3 - 0.4j, 0.0, 0.6 - 0.8j])
    np.testing.assert_allclose(first(gradtx.clip(1.0), g), wanted, rtol=1e-6)
    slope = jax.grad(lambda x: jnp.abs(first(gradtx.clip(1.0), x * g)).sum())(1.0 + 0j)
    assert np.isfinite(slope)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_no_parameter_falls_below_zero(dtype: str) -> None:
    """Also where the update is rounded to half precision before it is added."""
    numbers = np.random.default_rng(0).uniform(0, 1, (2, 1000))
    p = jnp.asarray(numbers[0], dtype)
    tx = gradtx.chain(gradtx.scale_by_learning_rate(1.0), gradtx.keep_params_nonnegative())
    g = jnp.asarray(numbers[1], dtype)
    new = gradtx.apply_updates(p, first(tx, g, p))
    assert np.all(np.asarray(new, np.float64) >= 0)
    assert np.any(np.asarray(new, np.float64) == 0)
    assert np.all(np.asarray(gradtx.apply_updates(-p, first(tx, g, -p)), np.float64) == 0)  # a negative one goes to 0


def test_no_update_whatever_the_gradient() -> None:
    assert not any(np.any(u) for u in jax.tree.leaves(first(gradtx.set_to_zero(), BAD)))


def test_a_frozen_part_of_a_partition_stays() -> None:
    tx = optax.partition({"on": gradtx.sgd(0.1), "off": gradtx.set_to_zero()}, {"w": "on", "b": "off"})
    params = {"w": jnp.ones(2), "b": jnp.ones(())}
    u = tx.update(params, tx.init(params), params)[0]
    np.testing.assert_allclose(u["w"], [-0.1, -0.1])
    assert u["b"] == 0


def test_a_function_of_arrays_is_given_the_params_if_there_are_some() -> None:
    tx = gradtx.stateless_with_tree_map(lambda g, p: g if p is None else g * p)
    g, p = jnp.array([2.0, 3.0]), jnp.array([5.0, 7.0])
    np.testing.assert_array_equal(first(tx, g), [2.0, 3.0])
    np.testing.assert_array_equal(first(tx, g, p), [10.0, 21.0])
    whole = gradtx.stateless(lambda g, p: g if p is None else g * p)
    np.testing.assert_array_equal(first(whole, g), [2.0, 3.0])
    np.testing.assert_array_equal(first(whole, g, p), [10.0, 21.0])


def test_a_function_that_changed_is_called_anew() -> None:
    factor = [1.0]
    for tx in (
        gradtx.stateless_with_tree_map(lambda g, p: g * factor[0]),
        gradtx.stateless(lambda g, p: g * factor[0]),
    ):
        factor[0] = 1.0
        assert first(tx, jnp.array(3.0)) == 3.0
        factor[0] = 2.0
        assert first(tx, jnp.array(3.0)) == 6.0


def test_functions_run_inside_a_chain_with_none_leaves() -> None:
    halve = gradtx.stateless(lambda g, p: jax.tree.map(lambda x: 0.5 * x, g))
    tx = gradtx.chain(gradtx.trace(0.9), halve, gradtx.stateless_with_tree_map(lambda g, p: g + p))
    params = {"w": jnp.ones(2, jnp.bfloat16), "none": None}
    u = first(tx, {"w": jnp.full(2, 3.0), "none": None}, params)
    assert u["none"] is None
    np.testing.assert_array_equal(u["w"], [2.5, 2.5])
