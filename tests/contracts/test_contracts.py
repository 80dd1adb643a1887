"""Every row of the registry keeps every contract, in every mix of gradient and parameter dtype."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import gradtx
from tests.contracts import table
from tests.contracts.mixes import MIXES
from tests.registry import ROWS, Row


@pytest.mark.parametrize(
    ("row", "contract"), [pytest.param(*cell, id=f"{cell[0].name}-{cell[1]}") for cell in table.CELLS]
)
def test_contract(row: Row, contract: int, record_property: Callable[[str, Any], None]) -> None:
    cell = table.run(row, contract)
    record_property("contract_cell", (row.name, contract, cell.passed, len(cell.checked)))
    assert cell.checked == MIXES.keys(), f"{row.name}, contract {contract}: no check of {MIXES.keys() - cell.checked}"
    if cell.failures:
        first = next(iter(cell.failures.values()))
        first.add_note(f"{row.name}, contract {contract} fails in {len(cell.failures)} mixes: {sorted(cell.failures)}")
        raise first


def test_every_cell_is_a_test(request: pytest.FixtureRequest) -> None:
    """Hold the table to row x contract: nothing skipped, no row twice, nothing marked."""
    marks = [
        mark for item in request.session.items for mark in item.iter_markers() if item.name.startswith("test_contract[")
    ]
    assert {mark.name for mark in marks} <= {"parametrize"}
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert len(table.CELLS) == len(names) * 10
    assert len(MIXES) == 16


def test_table_shows_gaps() -> None:
    full = {(row.name, contract): (16, 16) for row, contract in table.CELLS}
    assert table.gaps(full) == []
    short = {cell: result for cell, result in full.items() if cell != ("adam", 5)}
    assert table.gaps(short) == [("adam", 5)]
    assert table.gaps({**full, ("adam", 5): (15, 15)}) == [("adam", 5)]
    assert "gap" in table.table(short)
    assert "gap " not in table.table(full)


def makers() -> list[str]:
    """Return the public names whose call makes a Transform, by their annotation."""
    functions = [name for name in gradtx.__all__ if inspect.isroutine(getattr(gradtx, name))]
    return [
        name for name in functions if inspect.signature(getattr(gradtx, name)).return_annotation is gradtx.Transform
    ]


def test_every_transform_has_a_row() -> None:
    assert "adam" in makers()
    assert set(makers()) == {row.public for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_says_which_name_it_covers(row: Row) -> None:
    assert row.public in gradtx.__all__
    assert isinstance(row.make(), gradtx.Transform)
