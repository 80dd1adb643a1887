"""The registry itself: a file a method, gathered whole, leaning neither on jax nor on what it judges."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutants.table import MUTANTS
from tests.registry import CASES, FILES, ROWS
from tests.registry.base import ELEMENTS, LEAVES, SHAPES

FOLDER = Path(__file__).parents[1] / "registry"
PACKAGE = Path(__file__).parents[2] / "gradtx"
MAY_IMPORT = {"collections", "dataclasses", "functools", "math", "ml_dtypes", "numpy", "types", "typing"}
KINDS = {"rule", "optimizer", "combinator", "wrapper"}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_reference_cannot_lean_on_what_it_judges(path: Path) -> None:
    """Nothing at the head of a file but NumPy and the registry; only the package itself imports its files."""
    if path.stem == "__init__":
        return
    for node in ast.parse(path.read_text()).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        foreign = [n for n in names if n.split(".")[0] not in MAY_IMPORT and not n.startswith("tests.registry.")]
        assert not foreign, f"{path.name} imports {foreign}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__.split(".")[-1])
def test_all_of_a_file_is_gathered(file: ModuleType) -> None:
    assert file.ROWS
    assert all(row in ROWS for row in file.ROWS)
    assert all(row in CASES for row in getattr(file, "CASES", []))
    assert all(mutant in MUTANTS for mutant in getattr(file, "MUTANTS", []))


def test_names_are_unique() -> None:
    for names in ([row.name for row in [*ROWS, *CASES]], [mutant.name for mutant in MUTANTS]):
        assert sorted(set(names)) == sorted(names)


def test_rows_use_the_words_of_the_registry() -> None:
    for row in [*ROWS, *CASES]:
        assert row.kind in KINDS
        assert set(row.laws) <= {ELEMENTS, LEAVES}
        assert row.shapes
        assert set(row.shapes) <= SHAPES.keys()


def test_every_row_has_a_reference_and_every_case_something_to_hold() -> None:
    assert [row.name for row in ROWS if row.reference is None] == []
    for case in CASES:
        assert case.reference or case.optax or case.speed or case.power is not None, case.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_names_tests_that_exist(mutant) -> None:
    assert (PACKAGE / mutant.file).read_text().count(mutant.old) == 1
    for test in mutant.tests:
        file, name = test.split("::")
        assert f"def {name.split('[')[0]}(" in (Path(__file__).parents[1] / file).read_text(), test
