"""The clip of the global norm: its bound, its direction, its range, and what is not finite."""

from typing import Any

import chex
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given

import gradtx
from gradtx._core.arrays.norm import SMALL, plain_norm, shrunk_norm
from tests.batteries.mixes import rounding

SHAPES = {"bias": (4,), "kernel": (3, 2)}
numbers = st.one_of(st.just(0.0), st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3))
trees = st.fixed_dictionaries({name: hnp.arrays(np.float64, shape, elements=numbers) for name, shape in SHAPES.items()})
sizes = st.integers(-30, 30).map(lambda k: 10.0**k)


def norm(tree: Any) -> float:
    """Return the global norm in float64, by way of the largest element."""
    largest = max(np.abs(np.asarray(x, np.float64)).max() for x in tree.values())
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    return float(largest * np.sqrt(sum(((np.asarray(x, np.float64) / largest) ** 2).sum() for x in tree.values())))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@given(tree=trees, size=sizes)
@example(tree={name: np.ones(shape) for name, shape in SHAPES.items()}, size=1e30)
def test_clip_bounds_the_norm_and_keeps_the_direction(dtype: str, tree: Any, size: float) -> None:
    g = {name: jnp.asarray(np.clip(x * size, -1e30, 1e30), dtype) for name, x in tree.items()}
    tx = gradtx.clip_by_global_norm(1.0)
    u, _ = tx.update(g, tx.init(g))
    before = norm(g)
    rtol = max(1e-6, rounding(dtype))
    chex.assert_tree_all_finite(u)
    assert norm(u) <= 1.0 + rtol
    factor = 1.0 if before <= 1.0 else 1.0 / before
    wanted = {name: np.asarray(x, np.float64) * factor for name, x in g.items()}
    if before <= 1.0 - 1e-6:
        chex.assert_trees_all_equal({name: np.asarray(x, np.float64) for name, x in u.items()}, wanted)
    for name in SHAPES:
        np.testing.assert_allclose(np.asarray(u[name], np.float64), wanted[name], rtol=rtol, atol=1e-37)


def test_clip_gives_zero_for_zero() -> None:
    g = {name: jnp.zeros(shape) for name, shape in SHAPES.items()}
    tx = gradtx.clip_by_global_norm(1.0)
    chex.assert_trees_all_equal(tx.update(g, tx.init(g))[0], g)


@pytest.mark.parametrize("form", [plain_norm, shrunk_norm])
def test_clip_takes_every_leaf(form: Any) -> None:
    """Leaves that a CPU's sum treats in its own way: large, small, half precision, complex."""
    sizes = {"float32": SMALL + 1, "bfloat16": 2 * SMALL, "complex64": 5, "float16": 3}
    leaves = [jnp.full(size, 2.0, dtype) for dtype, size in sizes.items()]
    g = dict(enumerate(leaves))
    assert form(leaves, jnp.float32(1.0)) == pytest.approx(2.0 * sum(sizes.values()) ** 0.5, rel=1e-5)
    tx = gradtx.clip_by_global_norm(1.0)
    wide = {key: x.astype(jnp.float32) for key, x in g.items() if key != 2}  # so that the update is not rounded to half
    updates, _ = tx.update(g, tx.init(g), {**wide, 2: g[2]})
    assert gradtx.global_norm(updates) == pytest.approx(1.0, rel=1e-5)


def test_a_bound_that_is_not_positive_makes_every_update_nan() -> None:
    g = {"w": jnp.array([3.0, 4.0])}
    for bound in (-1.0, 0.0):
        tx = gradtx.clip_by_global_norm(lambda count, bound=bound: jnp.asarray(bound))
        assert jnp.isnan(tx.update(g, tx.init(g))[0]["w"]).all()


@pytest.mark.parametrize("form", [plain_norm, shrunk_norm])
@pytest.mark.parametrize("size", [SMALL + 1000, 2 * SMALL, 7])
@pytest.mark.parametrize(("unit", "bound"), [(1.0, 1.0), (1e25, 1.0), (1e-25, 1e-25), (1e15, 1e20), (1e-15, 1e-10)])
def test_clip_is_right_beyond_the_range_of_squares(form: Any, size: int, unit: float, bound: float) -> None:
    """What XLA:CPU runs and what other platforms run, in float32, where g^2 would overflow or vanish."""
    numbers = np.random.default_rng(size).standard_normal(size)
    leaves = [jnp.asarray(numbers * unit, jnp.float32), jnp.full((3, 2), unit, jnp.float32)]
    got = jax.jit(form)(leaves, jnp.float32(bound))
    assert got == pytest.approx(np.sqrt(np.sum(numbers**2) + 6) * unit / bound, rel=1e-5)
    slope = jax.grad(lambda leaves: form(leaves, jnp.float32(bound)))(leaves)
    wanted = numbers / np.sqrt(np.sum(numbers**2) + 6) / bound
    np.testing.assert_allclose(slope[0], wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_applies_no_part_of_a_step_that_is_not_finite(bad: float) -> None:
    g = {"bias": jnp.array([1.0, bad]), "kernel": jnp.ones((2, 2))}
    tx = gradtx.clip_by_global_norm(1.0)
    u, _ = tx.update(g, tx.init(g))
    assert all(jnp.isnan(x).all() for x in u.values())


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_clip_of_one_large_number(shape: tuple[int, ...]) -> None:
    """With several devices XLA squares the number first where a leaf holds one alone."""
    g, tx = jnp.full(shape, 3e19, jnp.float32), gradtx.clip_by_global_norm(1.0)
    for update in (tx.update, jax.jit(tx.update)):
        np.testing.assert_allclose(update(g, tx.init(g))[0], np.ones(shape), rtol=1e-6)
