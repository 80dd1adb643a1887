"""Laws that hold for every gradient: leaf independence, permutations, units, None leaves."""

from typing import Any

import chex
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from tests.batteries.mixes import transform
from tests.registry import CASES, ROWS, Row, of_quick_runs
from tests.registry.base import ELEMENTS, LEAVES

SIZES = {"bias": 4, "kernel": 6}
STEPS = 2

numbers = st.one_of(st.just(0.0), st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-3))
trees = st.fixed_dictionaries({name: hnp.arrays(np.float64, size, elements=numbers) for name, size in SIZES.items()})
runs = st.lists(trees, min_size=STEPS, max_size=STEPS)


def shaped(row: Row, tree: Any) -> dict[str, np.ndarray]:
    """Return the numbers of a tree in shapes that the row takes."""
    shapes = {"bias": (4,) if row.takes((4,)) else (2, 2), "kernel": (3, 2) if row.takes((3, 2)) else (1, 3, 2)}
    return {name: np.asarray(x).reshape(shapes[name]) for name, x in tree.items()}


def params_of(row: Row) -> dict[str, np.ndarray]:
    """Return the parameters of a row."""
    return shaped(row, {name: np.linspace(-1.0, 2.0, size) for name, size in SIZES.items()})


def updates(row: Row, grads: Any, params: Any) -> list[Any]:
    """Return the updates of all steps at fixed parameters."""
    tx = transform(row)
    state = tx.init(params)
    out = []
    for g in grads:
        g = jax.tree.map(jnp.asarray, g)
        u, state = tx.update(g, state, params, **row.given(g, params))
        out.append(u)
    return out


def keeping(law: str) -> list[Row]:
    """Return the rows that keep a law."""
    return [row for row in ROWS if law in row.laws]


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(keeping(LEAVES)))
@given(grads=runs)
def test_leaves_are_independent(row: Row, exhaustive: bool, grads: Any) -> None:
    grads, params = [shaped(row, g) for g in grads], params_of(row)
    together = updates(row, grads, params)
    for name in SIZES if exhaustive else ["kernel"]:
        alone = updates(row, [g[name] for g in grads], params[name])
        chex.assert_trees_all_equal([u[name] for u in together], alone)


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(keeping(ELEMENTS)))
@given(grads=runs, order=st.permutations(range(6)))
def test_elements_keep_to_themselves(row: Row, grads: Any, order: list[int]) -> None:
    """A permutation of the elements of an array permutes its update."""

    def shuffle(tree: Any) -> Any:
        kernel = np.asarray(tree["kernel"])
        return {**tree, "kernel": kernel.reshape(-1)[order].reshape(kernel.shape)}

    grads, params = [shaped(row, g) for g in grads], params_of(row)
    plain = [shuffle(u) for u in updates(row, grads, params)]
    shuffled = updates(row, [shuffle(g) for g in grads], shuffle(params))
    # not exactly: a vectorised loop and its remainder may round differently
    chex.assert_trees_all_close(shuffled, plain, rtol=1e-12, atol=0)


SCALING = [row for row in [*ROWS, *CASES] if row.power is not None]


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(SCALING))
@given(grads=runs, exponent=st.integers(-40, 40))
def test_units(row: Row, grads: Any, exponent: int) -> None:
    """u(c g) = c^power u(g), exactly where c is a power of two."""
    c, power = 2.0**exponent, row.power or 0
    grads, params = [shaped(row, g) for g in grads], params_of(row)
    scaled = updates(row, [jax.tree.map(lambda x: c * x, g) for g in grads], params)
    expected = [jax.tree.map(lambda x: c**power * x, u) for u in updates(row, grads, params)]
    chex.assert_trees_all_equal(scaled, expected)


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(ROWS))
def test_none_leaves_pass(row: Row) -> None:
    params = params_of(row)
    grads = [{name: np.full(p.shape, 0.5 - t) for name, p in params.items()} for t in range(STEPS)]
    holes = updates(row, [{**g, "frozen": None} for g in grads], {**params, "frozen": None})
    plain = updates(row, grads, params)
    assert all(u["frozen"] is None for u in holes)
    chex.assert_trees_all_equal([{name: u[name] for name in SIZES} for u in holes], plain)


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(ROWS))
def test_a_gradient_of_none_leaves_the_slots_alone(row: Row) -> None:
    tx, params = transform(row), params_of(row)
    state = tx.init(params)
    grads = {"bias": None, "kernel": np.ones(params["kernel"].shape)}
    u, after = tx.update(grads, state, params, **row.given(grads, params))
    assert u["bias"] is None
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        if old.shape == params["bias"].shape:
            np.testing.assert_array_equal(old, new)
