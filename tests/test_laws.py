"""Laws that hold for every gradient: leaf independence, units, permutations, bounds, one rounding, None leaves."""

from typing import Any

import chex
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings

import gradtx
from gradtx._core.arrays.norm import SMALL, plain_norm, shrunk_norm
from tests.registry import ROWS, Row

FEW = settings(max_examples=10, derandomize=True, deadline=None, database=None)
MANY = settings(max_examples=25, derandomize=True, deadline=None, database=None)
SHAPES = {"bias": (4,), "kernel": (3, 2)}
STEPS = 2

numbers = st.one_of(st.just(0.0), st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3))
trees = st.fixed_dictionaries({name: hnp.arrays(np.float64, shape, elements=numbers) for name, shape in SHAPES.items()})
runs = st.lists(trees, min_size=STEPS, max_size=STEPS)
PARAMS = {name: np.linspace(-1.0, 2.0, np.prod(shape)).reshape(shape) for name, shape in SHAPES.items()}

MADE = {row.name: row.make() for row in ROWS}  # once, so that kernels are compiled once
# A name with _global_ says that the transform looks at all leaves together; every other one works leaf by leaf.
LEAFWISE = [row for row in ROWS if "_global_" not in MADE[row.name].text]


def updates(tx: gradtx.Transform, grads: Any, params: Any, **extra: Any) -> list[Any]:
    """Return the updates of all steps at fixed parameters."""
    state = tx.init(params)
    out = []
    for g in grads:
        u, state = tx.update(jax.tree.map(jnp.asarray, g), state, params, **extra)
        out.append(u)
    return out


@pytest.mark.parametrize("row", LEAFWISE, ids=lambda row: row.name)
@FEW
@given(grads=runs)
def test_leaves_are_independent(row: Row, grads: Any) -> None:
    tx = MADE[row.name]
    together = updates(tx, grads, PARAMS, **row.extra)
    for name in SHAPES:
        alone = updates(tx, [g[name] for g in grads], PARAMS[name], **row.extra)
        chex.assert_trees_all_equal([u[name] for u in together], alone)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@FEW
@given(grads=runs, order=st.permutations(range(6)))
def test_elements_keep_to_themselves(row: Row, grads: Any, order: list[int]) -> None:
    """A permutation of the elements of an array permutes its update."""

    def shuffle(tree: Any) -> Any:
        return {**tree, "kernel": np.asarray(tree["kernel"]).reshape(-1)[order].reshape(3, 2)}

    tx = MADE[row.name]
    plain = [shuffle(u) for u in updates(tx, grads, PARAMS, **row.extra)]
    shuffled = updates(tx, [shuffle(g) for g in grads], shuffle(PARAMS), **row.extra)
    # not exactly: a vectorised loop and its remainder may round differently
    chex.assert_trees_all_close(shuffled, plain, rtol=1e-12, atol=0)


UNITS = [
    (gradtx.identity(), 1),
    (gradtx.scale(-0.3), 1),
    (gradtx.sgd(0.1, momentum=0.9, nesterov=True), 1),
    (gradtx.trace(0.9), 1),
    (gradtx.ema(0.9), 1),
    (gradtx.ema(0.9, nesterov=True), 1),
    (gradtx.clip_by_global_norm(np.inf), 1),
    (gradtx.scale_by_radam(), 1),  # before sigma is trusted
    (gradtx.scale_by_adagrad(0.0, eps=0.0), 0),
    (gradtx.scale_by_adagrad(0.0, eps=0.0, mean=True), 0),
    (gradtx.scale_by_rms(eps=0.0), 0),
    (gradtx.scale_by_rms(eps=0.0, first_gradient=True), 0),
    (gradtx.scale_by_rms(eps=0.0, bias_correction=True), 0),
    (gradtx.scale_by_stddev(eps=0.0), 0),
    (gradtx.scale_by_adam(eps=0.0), 0),
    (gradtx.scale_by_adam(eps=0.0, nesterov=True), 0),
    (gradtx.scale_by_amsgrad(eps=0.0), 0),
    (gradtx.ratio(gradtx.trace(0.9), gradtx.scale_by_adagrad(0.0, 0.0)), 0),
]


@pytest.mark.parametrize(("tx", "power"), UNITS, ids=lambda x: getattr(x, "text", None))
@FEW
@given(grads=runs, exponent=st.integers(-40, 40))
def test_units(tx: gradtx.Transform, power: int, grads: Any, exponent: int) -> None:
    """u(c g) = c^power u(g), exactly where c is a power of two."""
    c = 2.0**exponent
    scaled = updates(tx, [jax.tree.map(lambda x: c * x, g) for g in grads], PARAMS)
    expected = [jax.tree.map(lambda x: c**power * x, u) for u in updates(tx, grads, PARAMS)]
    chex.assert_trees_all_equal(scaled, expected)


sizes = st.integers(-30, 30).map(lambda k: 10.0**k)


def norm(tree: Any) -> float:
    """Return the global norm in float64, by way of the largest element."""
    largest = max(np.abs(np.asarray(x, np.float64)).max() for x in tree.values())
    if largest == 0 or not np.isfinite(largest):
        return float(largest)
    return float(largest * np.sqrt(sum(((np.asarray(x, np.float64) / largest) ** 2).sum() for x in tree.values())))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@MANY
@given(tree=trees, size=sizes)
@example(tree={name: np.ones(shape) for name, shape in SHAPES.items()}, size=1e30)
def test_clip_bounds_the_norm_and_keeps_the_direction(dtype: str, tree: Any, size: float) -> None:
    g = {name: jnp.asarray(np.clip(x * size, -1e30, 1e30), dtype) for name, x in tree.items()}
    tx = gradtx.clip_by_global_norm(1.0)
    u, _ = tx.update(g, tx.init(g))
    before = norm(g)
    chex.assert_tree_all_finite(u)
    assert norm(u) <= 1.0 + max(1e-6, float(jnp.finfo(dtype).eps))
    factor = 1.0 if before <= 1.0 else 1.0 / before
    wanted = {name: np.asarray(x, np.float64) * factor for name, x in g.items()}
    if before <= 1.0 - 1e-6:
        chex.assert_trees_all_equal({name: np.asarray(x, np.float64) for name, x in u.items()}, wanted)
    for name in SHAPES:
        np.testing.assert_allclose(
            np.asarray(u[name], np.float64), wanted[name], rtol=max(1e-6, float(jnp.finfo(dtype).eps)), atol=1e-37
        )


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


@MANY
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


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_none_leaves_pass(row: Row) -> None:
    tx = MADE[row.name]
    grads = [{name: np.full(shape, 0.5 - t) for name, shape in SHAPES.items()} for t in range(STEPS)]
    holes = updates(tx, [{**g, "frozen": None} for g in grads], {**PARAMS, "frozen": None}, **row.extra)
    plain = updates(tx, grads, PARAMS, **row.extra)
    assert all(u["frozen"] is None for u in holes)
    chex.assert_trees_all_equal([{name: u[name] for name in SHAPES} for u in holes], plain)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_gradient_of_none_leaves_the_slots_alone(row: Row) -> None:
    tx = MADE[row.name]
    state = tx.init(PARAMS)
    u, after = tx.update({"bias": None, "kernel": np.ones((3, 2))}, state, PARAMS, **row.extra)
    assert u["bias"] is None
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        if old.shape == SHAPES["bias"]:
            np.testing.assert_array_equal(old, new)
