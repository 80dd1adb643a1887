"""Every row of the registry keeps every contract, in mixes of gradient and parameter dtype."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import gradtx
from tests.batteries import compiled, table, watched
from tests.batteries.mixes import DTYPES, MIXES, PRECISE, Cell, mixes_of
from tests.registry import CASES, ROWS, Row, stands_for
from tests.sample import CONTRACTS


@pytest.mark.share(CONTRACTS)
@pytest.mark.parametrize(
    ("row", "contract"), [pytest.param(*cell, id=f"{cell[0].name}-{cell[1]}") for cell in table.CELLS]
)
def test_contract(row: Row, contract: int, exhaustive: bool, record_property: Callable[[str, Any], None]) -> None:
    cell = table.run(row, contract, exhaustive=exhaustive)
    record_property("contract_cell", (row.name, contract, cell.passed, len(cell.checked)))
    missing = set(cell.mixes) - cell.checked
    assert not missing, f"{row.name}, contract {contract}: no check of {missing}"
    if cell.failures:
        first = next(iter(cell.failures.values()))
        first.add_note(f"{row.name}, contract {contract} fails in {len(cell.failures)} mixes: {sorted(cell.failures)}")
        raise first


LATE = [
    *[(row, 5, compiled.one_result) for row in ROWS if stands_for(row) is not row],
    *[
        (row, 10, watched.same_bits)
        for row in ROWS
        if stands_for(row) is row and (watched.adds_code(row) or not watched.is_compiled(row))
    ],
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("row", "contract", "check"), [pytest.param(*x, id=f"{x[0].name}-{x[1]}") for x in LATE])
def test_the_rest_of_a_contract(row: Row, contract: int, check: Callable[[Row, Cell], None]) -> None:
    """What a quick run leaves out of these rows."""
    cell = Cell(row.name, contract, mixes_of(row, exhaustive=False), exhaustive=contract == 5 or watched.adds_code(row))
    check(row, cell)
    assert not cell.failures


def test_every_cell_is_a_test(request: pytest.FixtureRequest) -> None:
    """Hold the table to row x contract: nothing skipped, no row twice, nothing marked."""
    marks = [
        mark for item in request.session.items for mark in item.iter_markers() if item.name.startswith("test_contract[")
    ]
    assert {mark.name for mark in marks} <= {"parametrize", "share"}
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert len(table.CELLS) == len(names) * 10
    assert len(MIXES) == 16


def test_table_shows_gaps() -> None:
    rows = table.rows_of({}, exhaustive=False)
    full = {(row.name, c): (len(mixes_of(row, exhaustive=False)),) * 2 for row in rows for c in table.CONTRACTS}
    assert table.gaps(full) == []
    assert len(table.gaps(full, exhaustive=True)) == len(table.CELLS)
    short = {cell: result for cell, result in full.items() if cell != (rows[0].name, 5)}
    assert table.gaps(short) == [(rows[0].name, 5)]
    assert table.gaps({**full, (rows[0].name, 5): (3, 3)}) == [(rows[0].name, 5)]
    other = next(row for row in ROWS if row not in rows)
    whole = (len(mixes_of(other, exhaustive=False)),) * 2
    assert table.gaps({**full, (other.name, 1): whole}) == [(other.name, c) for c in table.CONTRACTS if c != 1]
    assert "gap" in table.table(short)
    assert "gap " not in table.table(full)


def test_each_dtype_stands_on_either_side_of_every_row() -> None:
    for row in ROWS:
        mixes = mixes_of(row, exhaustive=False)
        assert PRECISE in mixes
        assert len(mixes) <= 5
        taken = set(row.params or DTYPES)
        assert [{mix.split("_")[side] for mix in mixes} for side in (0, 1)] == [set(DTYPES), taken]
        assert set(mixes_of(row, exhaustive=True)) == {mix for mix in MIXES if mix.split("_")[1] in taken}
    assert {mix for row in ROWS for mix in mixes_of(row, exhaustive=False)} == set(MIXES)


def makers() -> list[str]:
    """Return the public names whose call makes a Transform, by their annotation."""
    functions = [name for name in gradtx.__all__ if inspect.isroutine(getattr(gradtx, name))]
    return [
        name for name in functions if inspect.signature(getattr(gradtx, name)).return_annotation is gradtx.Transform
    ]


def test_every_transform_has_a_row() -> None:
    assert "adam" in makers()
    assert set(makers()) == {row.public for row in ROWS}


@pytest.mark.parametrize("row", [*ROWS, *CASES], ids=lambda row: row.name)
def test_row_says_which_name_it_covers(row: Row) -> None:
    assert row.public in gradtx.__all__
    assert isinstance(row.make(), gradtx.Transform)
