"""The table of row x contract: what each contract is, how a cell is run, how the table is printed."""

from collections.abc import Callable, Mapping

from tests.batteries import compiled, traced, watched
from tests.batteries.mixes import Cell, mixes_of
from tests.registry import ROWS, Row
from tests.sample import CONTRACTS as ONE_IN
from tests.sample import chosen

CONTRACTS: dict[int, tuple[str, Callable[[Row, Cell], None]]] = {
    1: ("state", traced.stable_state),
    2: ("forms", traced.one_structure),
    3: ("donate", compiled.donation),
    4: ("shapes", traced.shapes_only),
    5: ("agree", compiled.one_result),
    6: ("leaves", compiled.odd_leaves),
    7: ("widths", compiled.accumulators),
    8: ("extras", traced.extras),
    9: ("strict", traced.strict),
    10: ("watched", watched.watched),
}
CELLS = [(row, contract) for row in ROWS for contract in CONTRACTS]
WIDTH = 1 + max(len(f"{n} {title}") for n, (title, _) in CONTRACTS.items())
Results = Mapping[tuple[str, int], tuple[int, int]]  # (row, contract): mixes that hold, mixes looked at


def rows_of(results: Results, *, exhaustive: bool) -> list[Row]:
    """Return the rows that a run holds to the contracts, those among them that its command named."""
    taken = chosen("test_contract", [row.name for row in ROWS], ONE_IN) | {name for name, _ in results}
    return [row for row in ROWS if exhaustive or row.name in taken]


def run(row: Row, contract: int, *, exhaustive: bool = False) -> Cell:
    """Run one contract on one row; an error outside the mixes counts against all of them."""
    cell = Cell(row.name, contract, mixes_of(row, exhaustive=exhaustive), exhaustive)
    try:
        CONTRACTS[contract][1](row, cell)
    except Exception as error:
        with cell.all_mixes():
            raise error
    return cell


def gaps(results: Results, *, exhaustive: bool = False) -> list[tuple[str, int]]:
    """Return the cells that have no result, or not one for every mix of the run."""
    rows = rows_of(results, exhaustive=exhaustive)
    wanted = {(row.name, c): len(mixes_of(row, exhaustive=exhaustive)) for row in rows for c in CONTRACTS}
    return [cell for cell, mixes in wanted.items() if results.get(cell, (0, 0))[1] != mixes]


def table(results: Results, *, exhaustive: bool = False) -> str:
    """Return the table: per cell the number of mixes that hold, "gap" where one was not looked at."""
    missing = set(gaps(results, exhaustive=exhaustive))
    rows = rows_of(results, exhaustive=exhaustive)
    width = max(len(row.name) for row in rows)
    lines = [" " * width + "".join(f"{f'{n} {title}':>{WIDTH}}" for n, (title, _) in CONTRACTS.items())]
    for row in rows:
        cells = [(row.name, contract) for contract in CONTRACTS]
        shown = ["gap" if cell in missing else f"{results[cell][0]}/{results[cell][1]}" for cell in cells]
        lines.append(f"{row.name:<{width}}" + "".join(f"{text:>{WIDTH}}" for text in shown))
    held = sum(passed for passed, _ in results.values())
    checks = sum(len(mixes_of(row, exhaustive=exhaustive)) for row in rows) * len(CONTRACTS)
    lines.append(f"{held} of {checks} checks hold; {len(missing)} gaps")
    return "\n".join(lines)
