"""Clipped sums over examples, against loops in float64, at the ends of the range, and split over devices."""

import math
from typing import Any

import chex
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given

import gradtx

RNG = np.random.default_rng(4)
SHAPES = {"w": (3, 2), "b": (4,), "s": ()}
EXAMPLES = 5
GRADS = {name: RNG.normal(size=(EXAMPLES, *shape)) for name, shape in SHAPES.items()}
GRADS["b"][2] = 0.0
for name in SHAPES:
    GRADS[name][3] = 0.0  # an example without any gradient


def norm(xs: list[np.ndarray]) -> float:
    """Return the Euclidean norm of some arrays."""
    return math.sqrt(math.fsum(float(y) ** 2 for x in xs for y in np.reshape(x, -1)))


def clipped(grads: dict[str, np.ndarray], bounds: dict[str, float], together: bool) -> tuple[Any, Any]:
    """Return sum of g_i min(1, C / |g_i|), and how often |g_i| > C, the norm over all leaves or over each."""
    total = {name: np.zeros(g.shape[1:]) for name, g in grads.items()}
    count = dict.fromkeys(grads, 0)
    for i in range(EXAMPLES):
        for name, g in grads.items():
            size = norm([x[i] for x in grads.values()]) if together else norm([g[i]])
            total[name] += g[i] * (1.0 if size <= bounds[name] else bounds[name] / size)
            count[name] += size > bounds[name]
    return total, next(iter(count.values())) if together else count


@pytest.mark.parametrize("bound", [0.0, 0.5, 2.0, math.inf])
def test_global_norms_of_examples(bound: float) -> None:
    grads = jax.tree.map(jnp.asarray, GRADS)
    got = jax.jit(gradtx.per_example_global_norm_clip)(grads, bound)
    chex.assert_trees_all_close(got, clipped(GRADS, dict.fromkeys(GRADS, bound), True), rtol=1e-12, atol=1e-12)
    chex.assert_trees_all_close(got, optax.per_example_global_norm_clip(grads, bound), rtol=1e-12, atol=1e-12)
    assert got[1].dtype == jnp.int32


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("bound", [0.5, 2.0, math.inf])
def test_norms_of_each_leaf_of_examples(bound: float, uniform: bool) -> None:
    sizes = {name: math.prod(shape) for name, shape in SHAPES.items()}
    whole = sum(sizes.values())
    shares = {name: 1 / len(sizes) if uniform else size / whole for name, size in sizes.items()}
    bounds = {name: bound * math.sqrt(share) for name, share in shares.items()}
    grads = jax.tree.map(jnp.asarray, GRADS)
    got = gradtx.per_example_layer_norm_clip(grads, bound, uniform)
    chex.assert_trees_all_close(got, clipped(GRADS, bounds, False), rtol=1e-12, atol=1e-12)
    chex.assert_trees_all_close(got, optax.per_example_layer_norm_clip(grads, bound, uniform), rtol=1e-12, atol=1e-12)


@given(hnp.arrays(np.float64, (EXAMPLES, 4), elements=st.floats(-1e3, 1e3)), st.floats(0.01, 100.0))
def test_no_example_counts_for_more_than_the_bound(g: np.ndarray, bound: float) -> None:
    """Two batches that differ in one example have sums that differ by the bound at most: what privacy rests on."""
    one, _ = gradtx.per_example_global_norm_clip({"w": jnp.asarray(g)}, bound)
    two, _ = gradtx.per_example_global_norm_clip({"w": jnp.asarray(g).at[1].set(0.0)}, bound)
    assert np.linalg.norm(one["w"] - two["w"]) <= bound * (1 + 1e-9) + 1e-10


@pytest.mark.parametrize("size", [1e19, 1e-25, 1e30, 1e-30])
@pytest.mark.parametrize("shape", [(3, 2), (1,), ()])
def test_examples_have_norms_in_the_whole_range(size: float, shape: tuple[int, ...]) -> None:
    numbers = RNG.normal(size=(EXAMPLES, *shape))
    g = jnp.asarray(numbers * size, jnp.float32)
    for clip in (gradtx.per_example_global_norm_clip, gradtx.per_example_layer_norm_clip):
        total, count = jax.jit(clip)(g, 0.1 * size)
        wanted = clipped({"w": numbers}, {"w": 0.1}, True)
        np.testing.assert_allclose(total, wanted[0]["w"] * size, rtol=1e-5, atol=1e-6 * size)
        assert int(count) == wanted[1]


def test_half_precision_examples_are_summed_in_float32() -> None:
    g = jnp.full((1000, 3), 0.125, jnp.bfloat16)
    total, _ = gradtx.per_example_global_norm_clip({"w": g, "none": None}, math.inf)
    assert total["w"].dtype == jnp.bfloat16
    assert total["none"] is None
    np.testing.assert_array_equal(np.asarray(total["w"], np.float64), [125.0] * 3)


def test_complex_examples() -> None:
    g = jnp.array([[3.0 + 4.0j], [0.5j]], jnp.complex64)
    total, count = gradtx.per_example_global_norm_clip(g, 1.0)
    np.testing.assert_allclose(total, [0.6 + 1.3j], rtol=1e-6)
    assert count == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_part_of_an_example_that_is_not_finite_is_applied(bad: float) -> None:
    g = {"w": jnp.array([[1.0, bad], [1.0, 1.0]]), "b": jnp.ones(2)}
    total, _ = gradtx.per_example_global_norm_clip(g, 1.0)
    assert np.all(np.isnan(total["w"]))
    assert np.isnan(total["b"])


def test_no_gradients() -> None:
    assert gradtx.per_example_layer_norm_clip({"none": None}, 1.0) == ({"none": None}, {"none": None})
    total, count = gradtx.per_example_global_norm_clip((), 1.0)
    assert total == ()
    assert count == 0


@pytest.mark.parametrize("uniform", [None, True, False])
def test_examples_and_parameters_on_several_devices(uniform: bool | None) -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(4, 2), ("data", "model"))
    g = {"w": jnp.asarray(RNG.normal(size=(8, 6))), "b": jnp.asarray(RNG.normal(size=(8, 3)))}
    specs = {"w": jax.P("data", "model"), "b": jax.P("data")}
    sums = {"w": jax.P("model"), "b": jax.P()}

    def clip(g: Any, **axes: Any) -> Any:
        if uniform is None:
            return gradtx.per_example_global_norm_clip(g, 1.0, **axes)
        return gradtx.per_example_layer_norm_clip(g, 1.0, uniform, **axes)

    def shard(g: Any) -> Any:
        return jax.lax.psum(clip(g, axis_name="model"), "data")

    counts = jax.P() if uniform is None else {"w": jax.P(), "b": jax.P()}
    split = jax.jit(jax.shard_map(shard, mesh=mesh, in_specs=(specs,), out_specs=(sums, counts)))
    chex.assert_trees_all_close(split(g), clip(g), rtol=1e-12)
