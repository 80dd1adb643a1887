"""The table of row x contract: what each contract is, how a cell is run, how the table is printed."""

from collections.abc import Callable, Mapping

from tests.batteries import compiled, traced, watched
from tests.batteries.mixes import Cell, mixes_of
from tests.registry import ROWS, Row

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
    wanted = {(row.name, contract): len(mixes_of(row, exhaustive=exhaustive)) for row, contract in CELLS}
    return [cell for cell, mixes in wanted.items() if results.get(cell, (0, 0))[1] != mixes]


def table(results: Results, *, exhaustive: bool = False) -> str:
    """Return the table: per cell the number of mixes that hold, "gap" where one was not looked at."""
    missing = set(gaps(results, exhaustive=exhaustive))
    width = max(len(row.name) for row in ROWS)
    lines = [" " * width + "".join(f"{f'{n} {title}':>{WIDTH}}" for n, (title, _) in CONTRACTS.items())]
    for row in ROWS:
        cells = [(row.name, contract) for contract in CONTRACTS]
        shown = ["gap" if cell in missing else f"{results[cell][0]}/{results[cell][1]}" for cell in cells]
        lines.append(f"{row.name:<{width}}" + "".join(f"{text:>{WIDTH}}" for text in shown))
    held = sum(passed for passed, _ in results.values())
    checks = sum(len(mixes_of(row, exhaustive=exhaustive)) for row, _ in CELLS)
    lines.append(f"{held} of {checks} checks hold; {len(missing)} gaps")
    return "\n".join(lines)
