"""Norms of units, and clips by them: which dimensions are a unit's, the range of their norms, what is not finite."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.transforms as theirs
import pytest

import gradtx
from gradtx._core.arrays import norm
from gradtx.limits import adaptive_clip

RNG = np.random.default_rng(3)
SHAPES = [(), (4,), (1, 4, 1), (3, 2), (2, 3, 2), (2, 2, 3, 2), (2, 1, 2, 3, 2), (1, 1, 5, 1, 1, 1)]


def first(tx: gradtx.Transform, g: Any, params: Any) -> Any:
    """Return the first update."""
    return tx.update(g, tx.init(params), params)[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_units_are_those_of_optax(shape: tuple[int, ...]) -> None:
    x, p = (jnp.asarray(RNG.normal(size=shape)) for _ in range(2))
    np.testing.assert_allclose(gradtx.unitwise_norm(x), theirs.unitwise_norm(x), rtol=1e-12)
    wanted = optax.adaptive_grad_clip(0.3).update(x, optax.EmptyState(), p)[0]
    np.testing.assert_allclose(first(gradtx.adaptive_grad_clip(0.3), x, p), wanted, rtol=1e-12)


@pytest.mark.parametrize("axis", [0, -1, 2, (0, 2), (-1, 1), (0, 1, 2)])
def test_units_along_dimensions_that_are_given(axis: Any) -> None:
    x = jnp.asarray(RNG.normal(size=(2, 3, 4)))
    wanted = np.broadcast_to(np.sqrt(np.sum(np.square(x), axis=axis, keepdims=True)), x.shape)
    np.testing.assert_allclose(gradtx.unitwise_norm(x, axis), wanted, rtol=1e-12)
    np.testing.assert_allclose(gradtx.unitwise_norm(x, axis), theirs.unitwise_norm(x, axis), rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 4), (3, 4)])
@pytest.mark.parametrize("size", [1e19, 1e-25, 1e30, 1e-30])
def test_units_have_norms_in_the_whole_range(shape: tuple[int, ...], size: float) -> None:
    numbers = RNG.normal(size=shape)
    wanted = np.asarray(gradtx.unitwise_norm(jnp.asarray(numbers))) * size
    for measure in (gradtx.unitwise_norm, jax.jit(gradtx.unitwise_norm)):
        np.testing.assert_allclose(measure(jnp.asarray(numbers * size, jnp.float32)), wanted, rtol=1e-6)
    p, g = jnp.full(shape, 1e-3, jnp.float32), jnp.asarray(numbers * size, jnp.float32)
    u = jax.jit(lambda g: first(gradtx.adaptive_grad_clip(0.5), g, p))(g)
    bound = 0.5 * np.asarray(gradtx.unitwise_norm(p))
    np.testing.assert_allclose(u, numbers * size * np.minimum(1.0, bound / wanted), rtol=1e-5)


def test_units_of_several_sizes_in_one_array() -> None:
    x = jnp.array([[3e19, 3e-25, 0.0, 1.0], [4e19, 4e-25, 0.0, 0.0]], jnp.float32)
    np.testing.assert_allclose(gradtx.unitwise_norm(x)[0], [5e19, 5e-25, 0.0, 1.0], rtol=1e-6)
    slope = jax.grad(lambda x: jnp.sum(gradtx.unitwise_norm(x)[0]))(x)
    np.testing.assert_allclose(slope, [[0.6, 0.6, 0.0, 1.0], [0.8, 0.8, 0.0, 0.0]], rtol=1e-6)


def test_half_precision_and_complex_units() -> None:
    half = jnp.full((2000, 2), 0.1, jnp.bfloat16)
    norm = gradtx.unitwise_norm(half)
    assert norm.dtype == jnp.float32
    np.testing.assert_allclose(norm[0], np.sqrt(2000) * 0.1, rtol=1e-2)
    np.testing.assert_allclose(gradtx.unitwise_norm(jnp.array([3.0 + 4.0j, 0.0], jnp.complex64)), [5.0, 5.0])
    g = jnp.array([3.0 + 4.0j, 0.0], jnp.complex64)
    np.testing.assert_allclose(gradtx.unitwise_clip(jnp.full(2, 5.0), jnp.ones(2), g), [0.6 + 0.8j, 0.0], rtol=1e-6)
    clipped = gradtx.unitwise_clip(norm, jnp.ones_like(norm), half)
    assert clipped.dtype == jnp.bfloat16


def test_a_clip_of_units_as_optax_has_it() -> None:
    g = jnp.array([3.0, 4.0, 1e-9, 0.0])
    norm, bound = jnp.array([5.0, 5.0, 1e-9, 0.0]), jnp.array([2.5, 6.0, 1e-10, 0.0])
    for eps in (1e-6, 0.1):
        got = gradtx.unitwise_clip(norm, bound, g, eps)
        np.testing.assert_allclose(got, theirs.unitwise_clip(norm, bound, g, eps), rtol=1e-12)
    np.testing.assert_array_equal(gradtx.unitwise_clip(norm, bound, g, 0.0), [1.5, 4.0, 1e-10, 0.0])


def on_one_device(monkeypatch: pytest.MonkeyPatch, small: int = norm.SMALL) -> None:
    """Let there be one device, on which leaves of up to so many numbers are small."""
    monkeypatch.setattr(norm, "on_one_device", lambda: True)
    monkeypatch.setattr(adaptive_clip, "on_one_device", lambda: True)
    monkeypatch.setattr(adaptive_clip, "SMALL", small)


@pytest.fixture(params=["on one CPU device", "elsewhere"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take plain sums of squares first, as of a large leaf on one device of a CPU, and as elsewhere not."""
    if request.param == "on one CPU device":
        on_one_device(monkeypatch, small=0)


LEAVES = {"a": (3, 5), "b": (3, 5), "c": (7,), "d": (7,), "e": (), "none": (0, 3), "half": (3, 5), "imaginary": (7,)}


@pytest.mark.parametrize("axis", [None, 0])
@pytest.mark.parametrize("size", [1.0, 1e25, 1e-25])
def test_small_leaves_of_one_device_are_clipped_alike(
    size: float, axis: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are measured together, each unit by itself all the same."""
    dtypes = {"half": jnp.bfloat16, "imaginary": jnp.complex64}
    shapes = {key: shape for key, shape in LEAVES.items() if shape or axis is None}
    grads, params = (
        {key: jnp.asarray(scale * RNG.normal(size=shape), dtypes.get(key, jnp.float32)) for key, shape in own}
        for scale, own in ((size, shapes.items()), (1.0, shapes.items()))
    )
    grads["b"] *= 1e-6  # beside large units of its shape
    alone = first(gradtx.adaptive_grad_clip(0.1, axis=axis), grads, params)
    on_one_device(monkeypatch)
    together = first(gradtx.adaptive_grad_clip(0.1, axis=axis), grads, params)
    chex.assert_trees_all_close(together, alone, rtol=1e-6)
    chex.assert_trees_all_equal_dtypes(together, alone)
    for key in ("a", "c"):
        bound = 0.1 * gradtx.unitwise_norm(params[key], axis) * (1 + 1e-5)
        assert jnp.all(gradtx.unitwise_norm(together[key], axis) <= bound)


def test_leaves_of_one_shape_are_measured_in_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A norm for each of many small leaves would cost more than the step."""
    on_one_device(monkeypatch)
    tx, params = gradtx.adaptive_grad_clip(0.1), {f"w{i}": jnp.ones(40) for i in range(30)}
    text = jax.jit(tx.update).lower(params, tx.init(params), params).as_text()
    assert 1 <= text.count("stablehlo.sqrt") <= 2
    assert not text.count("stablehlo.case")


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("clipping", "eps", "unit", "weight"),
    [
        (0.1, 1e-3, 1.0, 1.0),
        (0.1, 0.0, 1.0, 1.0),
        (0.1, 0.0, 1e-25, 1e-25),
        (0.1, 0.0, 1.0, 1e-25),
        (1e-25, 0.0, 1.0, 1.0),
        (0.1, 1e-3, 1e25, 1e25),
    ],
)
def test_units_are_clipped_in_the_whole_range(clipping: float, eps: float, unit: float, weight: float) -> None:
    sizes = np.array([[1.0, 1e-24, 0.0, 1e9, 1e-12]])
    g, p = RNG.normal(size=(3, 5)) * sizes * unit, RNG.normal(size=(3, 5)) * weight
    tx = gradtx.adaptive_grad_clip(clipping, eps=eps)
    u = first(tx, jnp.asarray(g, jnp.float32), jnp.asarray(p, jnp.float32))
    large = first(tx, jnp.asarray(g[:, 3:4], jnp.float32), jnp.asarray(p[:, 3:4], jnp.float32))
    np.testing.assert_allclose(large[:, 0], u[:, 3], rtol=1e-6)
    bounds = clipping * np.maximum(np.linalg.norm(p, axis=0), eps)
    norms = np.linalg.norm(g, axis=0)
    wanted = g * np.minimum(1.0, bounds / np.where(norms > 0, norms, 1.0))
    np.testing.assert_allclose(u, wanted, rtol=1e-5, atol=1e-37)


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_part_of_a_unit_that_is_not_finite_is_applied(bad: float) -> None:
    g, p = jnp.array([[1.0, 1.0], [bad, 1.0]]), jnp.ones((2, 2))
    u = first(gradtx.adaptive_grad_clip(0.5), g, p)
    assert np.all(np.isnan(u[:, 0]))
    np.testing.assert_allclose(u[:, 1], [0.5, 0.5])


def test_a_small_unit_is_clipped_to_its_bound_too() -> None:
    """Optax divides by 1e-6 at least, which makes it shorter."""
    g, p = jnp.full(4, 1e-8), jnp.zeros(4)
    u = first(gradtx.adaptive_grad_clip(1e-6, eps=1e-3), g, p)
    np.testing.assert_allclose(np.linalg.norm(u), 1e-9, rtol=1e-6)
