"""One file a method: its rows, its NumPy reference, further cases, its mutants.

To add a method, add a file here: the package gathers `ROWS`, `CASES` and `MUTANTS` of its files by itself. A row says
what it is, with the reason; a battery asks the row and never its name.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from tests.registry.base import Mutant, Row

SHARED = ("base", "numbers", "threefry")  # what the files of the methods use
FILES: list[ModuleType] = [
    importlib.import_module(f"{__name__}.{file.name}")
    for file in pkgutil.iter_modules(__path__)
    if file.name not in SHARED
]


def gathered(name: str) -> list[Any]:
    """Return the entries of this list in all files."""
    return [entry for file in FILES for entry in getattr(file, name, [])]


ROWS: list[Row] = gathered("ROWS")  # through every battery
CASES: list[Row] = gathered("CASES")  # further settings, held to what they declare: a reference, optax, a power, a cost
MUTANTS: list[Mutant] = gathered("MUTANTS")


def stands_for(row: Row) -> Row:
    """Return the row whose run shows what this one's would: the optimizer of its file, else the first of its name."""
    rows = next((file.ROWS for file in FILES if row in getattr(file, "ROWS", [])), [row])
    optimizer = [other for other in rows if row.kind == "rule" and other.kind == "optimizer"]
    same = [other for other in rows if row.kind in ("rule", "optimizer") and other.public == row.public]
    return [*optimizer, *same, row][0]


def of_quick_runs(rows: list[Row]) -> list[Any]:
    """Return the rows as parameters of a test; one that another stands for is left to exhaustive runs."""
    import pytest  # here, for whoever reads the registry without running tests

    marks = {row: () if stands_for(row) is row else (pytest.mark.exhaustive,) for row in rows}
    return [pytest.param(row, id=row.name, marks=mark) for row, mark in marks.items()]


__all__ = ["CASES", "FILES", "MUTANTS", "ROWS", "Mutant", "Row", "of_quick_runs", "stands_for"]
