"""SM3 beyond its rows: complex numbers, explicit shardings, and slots that are tuples of arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.rules import Rule, leafwise

RNG = np.random.default_rng(0)


def test_a_complex_array_has_real_vectors_of_its_magnitudes() -> None:
    g = RNG.standard_normal((3, 2)) + 1j * RNG.standard_normal((3, 2))
    tx = gradtx.scale_by_sm3(b1=None, eps=0.0)
    u, state = tx.update(jnp.asarray(g), tx.init(jnp.asarray(g)))
    np.testing.assert_allclose(u, g / abs(g), rtol=1e-12)
    rows, columns = state.slots["nu"]
    np.testing.assert_allclose(rows, np.max(abs(g) ** 2, 1), rtol=1e-12)
    np.testing.assert_allclose(columns, np.max(abs(g) ** 2, 0), rtol=1e-12)


def test_one_huge_gradient_does_not_stop_a_row_for_good() -> None:
    tx = gradtx.scale_by_sm3(b1=None)
    g = jnp.ones((2, 2), jnp.float32)
    state = tx.init(g)
    for _ in range(3):
        u, state = tx.update(g.at[0, 0].set(1e30), state)
    assert np.all(np.isfinite(jax.tree.leaves(state.slots)[0]))
    assert np.all(np.asarray(u) > 0)


def test_vectors_keep_an_explicit_sharding() -> None:
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        params = jax.device_put(jnp.ones((8, 6)), jax.NamedSharding(mesh, jax.P("x", "y")))
        tx = gradtx.sm3(0.1)
        updates, (state, _) = jax.jit(tx.update)(params, tx.init(params))
        assert [v.sharding.spec for v in state.slots["nu"]] == [jax.P("x"), jax.P("y")]
        assert updates.sharding.spec == jax.P("x", "y")


def test_state_of_another_array_is_an_error_that_names_the_path() -> None:
    tx = gradtx.scale_by_sm3()
    state = tx.init({"w": jnp.ones((3, 2))})
    other = {**state.slots, "nu": {"w": (jnp.zeros(3), jnp.zeros(5))}}
    with pytest.raises(ValueError, match=r"scale_by_sm3: grads\['w'\] .* state.slots\['nu'\]\['w'\]"):
        tx.update({"w": jnp.ones((3, 2))}, state._replace(slots=other))


def test_a_rule_that_returns_a_tuple_of_another_length_is_an_error() -> None:
    rule = Rule("pairs", lambda g, slots, p, k: (g, {"two": slots["two"][:1]}), lambda p: {"two": (p, p)}, ("two",))
    tx = leafwise(rule)
    with pytest.raises(ValueError, match=r"pairs: slot 'two' returned shape \(\(2,\),\), expected \(\(2,\), \(2,\)\)"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
