"""The benchmark's list of methods: whole, and each of them makes a step; the pages say what its numbers say."""

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
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


@pytest.fixture
def page(plan: list[tuple[Any, Any]]) -> ModuleType:
    """Return the module that writes the pages."""
    import page

    return page


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


def test_a_part_measured_again_keeps_the_rest(
    plan: list[tuple[Any, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row is written as soon as it is measured: a run that is cut off loses one."""
    import step

    def row(case: str, faster: float, flag: str = "") -> dict[str, Any]:
        return {"section": "flag", "case": case, "size": "small", "flag": flag, "faster": faster}

    def cut_off(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        yield row("adam", 3.0)
        raise KeyboardInterrupt

    file = tmp_path / "numbers.json"
    old = {"where": {**step.machine(), "date": "2020-01-01"}}
    file.write_text(json.dumps({**old, "rows": [row("sgd", 1.0), row("adam", 2.0), row("adam", 2.5, "on")]}))
    monkeypatch.setattr(step, "measure", cut_off)
    monkeypatch.setattr(sys, "argv", ["step.py", "--json", str(file), "--update"])
    with pytest.raises(KeyboardInterrupt):
        step.main()
    assert json.loads(file.read_text())["rows"] == [row("sgd", 1.0), row("adam", 3.0), row("adam", 2.5, "on")]

    file.write_text(json.dumps({"where": {**old["where"], "jax": "0.1"}, "rows": []}))
    with pytest.raises(SystemExit, match="another jax"):
        step.main()


def test_every_page_says_what_the_numbers_say(page: ModuleType) -> None:
    """`python benchmarks/page.py` writes them."""
    numbers = json.loads(page.NUMBERS.read_text())
    named = set()
    for name in page.PAGES:
        text = (page.ROOT / name).read_text()
        assert page.MARKED.search(text), name
        assert text.count("<!-- speed:") == text.count("<!-- end -->") - text.count("<!-- from the docstrings"), name
        assert page.written(text, numbers) == text, name
        # Markdown would take a line that begins with a comment for a block of HTML, and break the paragraph
        assert not re.search(r"^<!-- speed: [^>]*-->[^\n]", text, flags=re.MULTILINE), name
        named |= {place[2] for place in page.MARKED.finditer(text)}
    assert {"where", "table", "lost", "big", "many", "flag", "watch"} <= named <= page.parts(numbers).keys()


def test_other_numbers_make_other_pages(page: ModuleType) -> None:
    numbers = json.loads(page.NUMBERS.read_text())
    slow = copy.deepcopy(numbers)
    for row in slow["rows"]:
        if row["section"] == "step" and row["case"] == "adamw":
            row["faster"] = 0.5
    assert "adamw 0.50" not in page.lost(numbers["rows"])
    (line,) = [
        line for line in page.lost(slow["rows"]).splitlines() if line.startswith("- **Than optax, 500 leaves**: ")
    ]
    assert "adamw 0.50" in line
    assert page.written("<!-- speed: big --><!-- end -->", slow).startswith("<!-- speed: big -->0.50 to ")
    shown = [line for line in page.table(slow["rows"]).splitlines() if line.startswith("| adamw ")]
    assert shown[0].split("|")[2].strip() == "0.50"
    of_catalogue = {"section": "catalogue", "case": "lion", "size": "16M in 16 leaves", "faster": 0.7}
    libraries = {lib: {"temporary_bytes": 0} for lib in ("gradtx", "optax")}
    others = [row for row in numbers["rows"] if row["case"] != "lion"]
    more = [*others, {**of_catalogue, **libraries, "many": {"faster": 1.3}}]
    assert "lion 0.70" in page.lost(more)
    (shown,) = [line for line in page.table(more).splitlines() if line.startswith("| lion ")]
    assert [cell.strip() for cell in shown.split("|")[2:4]] == ["0.70", "1.30"]


def test_a_place_that_no_number_fills_is_an_error(page: ModuleType) -> None:
    numbers = json.loads(page.NUMBERS.read_text())
    with pytest.raises(KeyError, match="fastest"):
        page.written("<!-- speed: fastest --><!-- end -->", numbers)
    with pytest.raises(ValueError, match=r"numbers.json lacks rows that a page speaks of"):
        page.written("<!-- speed: watch --><!-- end -->", {**numbers, "rows": []})
