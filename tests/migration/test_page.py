"""docs/migrate.md says of each function what its docstring says."""

from tests.migration.differences import PAGE, pieces, table


def test_the_page_has_what_differs() -> None:
    inside = pieces(PAGE.read_text())[1]
    assert inside == table(), "write it anew: python -m tests.migration.differences"
    assert "`adadelta`" in inside
    assert inside.count("\n") > 30
