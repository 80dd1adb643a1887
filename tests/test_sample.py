"""Which cases a quick run takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sample import chosen, left_out

CASES = [f"method {i}" for i in range(100)]


def test_a_share_is_one_in_so_many_and_stays() -> None:
    taken = chosen("a law", CASES, 4)
    assert len(taken) == 25
    assert taken == chosen("a law", CASES[::-1], 4)
    assert len(taken - chosen("a law", [*CASES, "another"], 4)) <= 1
    assert len(taken & chosen("another law", CASES, 4)) < 15
    assert chosen("a law", ["one"], 8) == {"one"}


def item(test: str, case: str, *marks: Any) -> Any:
    """Return what pytest collects of a case."""
    found = {mark.name: mark for mark in marks}
    spec = SimpleNamespace(params={"name": case}, id=case)
    node = f"tests/test_it.py::{test}[{case}]"
    return SimpleNamespace(
        nodeid=node, path=Path("test_it.py"), originalname=test, callspec=spec, get_closest_marker=found.get
    )


def test_a_quick_run_takes_shares_and_what_is_named() -> None:
    whole = [item("test_all", case) for case in CASES]
    late = [item("test_late", case, pytest.mark.exhaustive.mark) for case in CASES]
    some = [item("test_some", case, pytest.mark.share(5).mark) for case in CASES]
    pair = [item(test, case, pytest.mark.share(5, "pair").mark) for test in ("test_a", "test_b") for case in CASES]
    every = [*whole, *late, *some, *pair]
    kept = [x for x in every if x not in left_out(every, [])]
    assert [x for x in kept if x.originalname == "test_all"] == whole
    assert {test: sum(x.originalname == test for x in kept) for test in ("test_late", "test_some", "test_a")} == {
        "test_late": 0,
        "test_some": 20,
        "test_a": 20,
    }
    assert {x.callspec.id for x in kept if x.originalname == "test_a"} == {
        x.callspec.id for x in kept if x.originalname == "test_b"
    }
    assert left_out(some, ["tests/test_it.py::test_some"]) == []
    assert late[3] not in left_out(late, [late[3].nodeid])
    assert len(left_out(late, ["tests/test_it.py::test_late"])) == len(late)
