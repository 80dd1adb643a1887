"""Methods that divide by the norm of an array, where squares leave float32, at zeros, and in half precision."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx._core.arrays import norm
from gradtx._core.arrays.norm import norm_of, norm_of_leaf, scaled_norm

RNG = np.random.default_rng(5)
W = RNG.normal(size=(3, 5))
SIZES = [1e19, 1e-25, 1e30, 1e-30, 1.0]


def first(tx: gradtx.Transform, g: Any, params: Any = None) -> Any:
    """Return the first update."""
    return jax.jit(tx.update)(g, tx.init(g if params is None else params), params)[0]


@pytest.mark.share(4)
@pytest.mark.parametrize("form", [norm_of, scaled_norm])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5)])
@pytest.mark.parametrize("size", SIZES)
def test_a_norm_is_right_in_the_whole_range(form: Any, shape: tuple[int, ...], size: float) -> None:
    numbers = RNG.normal(size=shape)
    x = jnp.asarray(numbers * size, jnp.float32)
    wanted = np.linalg.norm(numbers) * size
    norm, slope = jax.jit(jax.value_and_grad(lambda x: form([x])))(x)
    np.testing.assert_allclose(norm, wanted, rtol=1e-6)
    np.testing.assert_allclose(slope, numbers * size / wanted, rtol=1e-5)
    both = jax.vmap(jax.value_and_grad(lambda x: form([x])))(jnp.stack([x, x * 0]))
    np.testing.assert_allclose(both[0], [wanted, 0.0], rtol=1e-6)
    chex.assert_tree_all_finite(both[1])


@pytest.mark.parametrize("form", [norm_of, scaled_norm])
def test_a_norm_of_leaves_of_several_dtypes(form: Any) -> None:
    leaves = [jnp.full(4, 3e-200), jnp.zeros(3, jnp.float32), jnp.zeros((0, 2), jnp.bfloat16)]
    np.testing.assert_allclose(form(leaves), 6e-200, rtol=1e-12)
    leaves = [jnp.full(4, 2.0, jnp.bfloat16), jnp.full(2, 3.0 + 4.0j, jnp.complex64)]
    assert form(leaves).dtype == jnp.float32
    np.testing.assert_allclose(form(leaves), np.sqrt(66.0), rtol=1e-6)
    assert np.isnan(form([jnp.array([1.0, np.nan])]))
    assert np.isinf(form([jnp.array([1.0, np.inf])]))


def test_the_norm_of_a_small_leaf_enters_no_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one device; what lies on several would be reduced twice."""

    def branches(size: int) -> int:
        return str(jax.make_jaxpr(lambda x: norm_of_leaf(x))(jnp.ones(size))).count("cond[")

    assert branches(10) == 1
    monkeypatch.setattr(norm, "on_one_device", lambda: True)
    assert (branches(10), branches(norm.SMALL), branches(norm.SMALL + 1)) == (0, 0, 1)


def test_small_leaves_are_summed_as_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one device: a sum for each costs more than a copy of all."""
    monkeypatch.setattr(norm, "on_one_device", lambda: True)
    few = [jnp.full(3, 1e25, jnp.float32), jnp.full((2, 2), -1e25, jnp.float32)]  # whose squares leave float32's range
    many = [jnp.ones(1000, jnp.float32)] * 100
    for leaves in (few, many):
        text = str(jax.make_jaxpr(lambda *leaves: norm_of(list(leaves)))(*leaves))
        assert text.count("concatenate[") == 1
        assert text.count("reduce_sum[") == 1 + 1  # of what the branch holds too
        assert text.count("cond[") == 1
    np.testing.assert_allclose(norm_of(few), 7**0.5 * 1e25, rtol=1e-6)
    np.testing.assert_allclose(norm_of(many), 1e5**0.5, rtol=1e-6)


def test_a_small_leaf_is_bounded_without_a_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm, "on_one_device", lambda: True)
    g = {"w": jnp.full((40, 50), 3e25)}  # whose squares leave float32's range
    tx = gradtx.clip_by_block_rms(1.0)
    text = str(jax.make_jaxpr(tx.update)(g, tx.init(g)))
    assert "cond" not in text
    chex.assert_trees_all_close(tx.update(g, tx.init(g))[0], {"w": jnp.ones((40, 50))}, rtol=1e-6)
    assert "cond" in str(jax.make_jaxpr(tx.update)({"w": jnp.ones((300, 300))}, tx.init(g)))


@pytest.mark.parametrize("size", SIZES)
def test_a_trusted_update_has_the_size_of_its_parameter(size: float) -> None:
    p, g = jnp.asarray(W, jnp.float32), jnp.asarray(W[::-1] * size, jnp.float32)
    u = first(gradtx.scale_by_trust_ratio(), g, p)
    np.testing.assert_allclose(u, W[::-1], rtol=1e-5)
    # with a parameter of the other end of the range their quotient would be infinite, or 0
    far = jnp.float32(1 / size)
    np.testing.assert_allclose(first(gradtx.scale_by_trust_ratio(), g, p * far), W[::-1] / size, rtol=1e-5)


def test_where_a_norm_is_zero_the_update_stays_as_it_is() -> None:
    g, zero = jnp.array([3.0, 4.0]), jnp.zeros(2)
    tx = gradtx.scale_by_trust_ratio(trust_coefficient=0.1)
    np.testing.assert_array_equal(first(tx, g, zero), g)
    np.testing.assert_array_equal(first(tx, zero, g), zero)
    np.testing.assert_allclose(first(gradtx.scale_by_trust_ratio(min_norm=1e-3), g, zero), g * 1e-3 / 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_part_of_an_array_that_is_not_finite_is_applied(bad: float) -> None:
    g, p = {"w": jnp.array([1.0, bad]), "v": jnp.ones(2)}, {"w": jnp.ones(2), "v": jnp.ones(2)}
    u = first(gradtx.scale_by_trust_ratio(), g, p)
    assert np.all(np.isnan(u["w"]))
    np.testing.assert_allclose(u["v"], p["v"])


def test_complex_arrays_are_scaled_by_real_norms() -> None:
    p, g = jnp.array([3.0 + 4.0j, 0.0], jnp.complex64), jnp.array([0.6j, 0.8], jnp.complex64)
    u = first(gradtx.scale_by_trust_ratio(), g, p)
    assert u.dtype == jnp.complex64
    np.testing.assert_allclose(u, np.array([3.0j, 4.0]), rtol=1e-6)


@pytest.mark.parametrize("schedule", [False, True])
def test_a_small_rate_keeps_its_digits(schedule: bool) -> None:
    """Fromage shrinks by 1 - 1 / sqrt(1 + eta^2), which a difference in float32 gets wrong, to 0 at 1e-4."""
    p = jnp.array([3.0, 4.0], jnp.float32)
    with jax.enable_x64(False):
        tx = gradtx.fromage((lambda count: 1e-4) if schedule else 1e-4, min_norm=0.0)
        u = tx.update(jnp.array([4.0, -3.0], jnp.float32) * 1e-20, tx.init(p), p)[0]
    # the step is at right angles to p
    shrunk = -np.dot(np.asarray(u, np.float64), [3.0, 4.0]) / 25
    np.testing.assert_allclose(shrunk, 5e-9, rtol=1e-2)


@pytest.mark.parametrize("size", SIZES)
def test_novograd_is_invariant_to_the_size_of_gradients(size: float) -> None:
    tx, p = gradtx.scale_by_novograd(eps=0.0), jnp.asarray(W, jnp.float32)
    runs = []
    for unit in (1.0, size):
        state, updates = tx.init(p), []
        for factor in (1.0, -2.0, 0.25):
            u, state = tx.update(jnp.asarray(W * factor * unit, jnp.float32), state, p)
            updates.append(u)
        runs.append(updates)
    chex.assert_trees_all_close(*runs, rtol=1e-5)
    assert state.norm.dtype == jnp.float32


def test_novograd_forgets_an_infinite_gradient_norm() -> None:
    tx, p = gradtx.scale_by_novograd(b1=0.0), jnp.ones(4, jnp.float32)
    _, state = tx.update(jnp.full(4, 3e38, jnp.float32), tx.init(p), p)
    for _ in range(150):
        u, state = tx.update(p, state, p)
    np.testing.assert_allclose(u, np.full(4, 0.5), rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_part_of_a_tree_that_is_not_finite_is_applied(bad: float) -> None:
    u = first(gradtx.normalize_by_update_norm(), {"w": jnp.array([1.0, bad]), "v": jnp.ones(2)})
    assert all(np.all(np.isnan(x)) for x in u.values())


@pytest.mark.parametrize("size", SIZES)
def test_a_normalized_tree_has_norm_one(size: float) -> None:
    g = {"w": jnp.asarray(W * size, jnp.float32), "v": jnp.asarray(W[0] * size, jnp.float32)}
    u = first(gradtx.normalize_by_update_norm(eps=0.0), g)
    np.testing.assert_allclose(gradtx.global_norm(u), 1.0, rtol=1e-6)
    zero = jax.tree.map(jnp.zeros_like, g)
    chex.assert_trees_all_equal(first(gradtx.normalize_by_update_norm(eps=0.0), zero), zero)


@pytest.mark.parametrize("size", SIZES)
def test_distance_over_gradients_is_invariant_to_the_size_of_gradients(size: float) -> None:
    tx, p = gradtx.scale_by_distance_over_gradients(eps=0.0), jnp.asarray(W, jnp.float32)
    runs = []
    for unit in (1.0, size):
        state, updates, theta = tx.init(p), [], p
        for factor in (1.0, -2.0, 0.25):
            u, state = tx.update(jnp.asarray(W * factor * unit, jnp.float32), state, theta)
            theta = gradtx.apply_updates(theta, u)
            updates.append(u)
        runs.append(updates)
    chex.assert_trees_all_close(*runs, rtol=1e-4)
