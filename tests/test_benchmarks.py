"""The benchmark's list of methods: whole, and each of them makes a step."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

import gradtx
from tests.registry import ROWS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, Any]]]:
    """Yield the cases of the catalogue; the benchmark is a script, whose folder is on the path when it runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import catalogue

    yield catalogue.PLAN
    for path in BENCHMARKS.glob("*.py"):  # their names are common ones
        sys.modules.pop(path.stem, None)


def test_every_optimizer_is_measured(plan: list[tuple[Any, Any]]) -> None:
    names = [case.name for case, _ in plan]
    assert {row.public for row in ROWS if row.kind == "optimizer"} - set(names) == set()
    assert len(set(names)) == len(names)


def test_every_case_makes_a_step(plan: list[tuple[Any, Any]]) -> None:
    from cases import Size
    from timer import step_of

    for case, size in plan:
        small = Size("small", 2 * 16, 2, shape=None if size.shape is None else (4, 4))
        tx, params = case.make(gradtx), small.like()
        state = jax.eval_shape(tx.init, params)
        new, _ = jax.eval_shape(step_of(gradtx, tx, case.extra), params, state, case.of_examples(params))
        assert {key: (x.shape, x.dtype) for key, x in new.items()} == {
            key: (x.shape, x.dtype) for key, x in params.items()
        }


def test_every_wrapper_makes_a_step(plan: list[tuple[Any, Any]]) -> None:
    import wrapped
    from cases import Size
    from timer import step_of

    names = {wrapper.name.split(",")[0] for wrapper in wrapped.WRAPPERS}
    assert {"accumulate", "guard", "tunable", "masked"} <= {
        wrapper.name for wrapper in wrapped.WRAPPERS if wrapper.most
    }
    assert names <= set(dir(gradtx))
    params = Size("small", 32, 16).like()
    for wrapper in wrapped.WRAPPERS:
        tx = wrapper.make(gradtx)
        state = jax.eval_shape(tx.init, params)
        after = jax.eval_shape(step_of(gradtx, tx, wrapper.extra), params, state, params)
        assert jax.tree.structure(after) == jax.tree.structure((params, state))


def test_other_libraries_are_asked_for_methods_of_the_catalogue(plan: list[tuple[Any, Any]]) -> None:
    import others

    names = {case.name for case, _ in plan}
    for methods, _ in others.LIBRARIES.values():
        assert set(methods) <= names


def test_growth_has_every_point(plan: list[tuple[Any, Any]]) -> None:
    import growth

    leaves = [size.leaves for sweep, size in growth.sizes(quick=False) if sweep == growth.OF_LEAVES]
    totals = [size.total for sweep, size in growth.sizes(quick=False) if sweep == growth.OF_PARAMETERS]
    assert (leaves[0], leaves[-1]) == (1, 4096)
    assert (totals[0], totals[-1]) == (1e3, 1e8)
