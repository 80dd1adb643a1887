"""Runs in one log: a resumed run is put together, several runs are asked about.

Where the steps go back, the run was resumed if they go back to a step after its first: the rows that it did again are
dropped. If they go back to the first step, an epoch that rises shows that steps are counted anew in each epoch;
otherwise the log holds another run.
"""

from typing import Any, NamedTuple

import numpy as np

from gradtx.diagnosis.read.columns import ChoiceError, listing
from gradtx.diagnosis.read.evidence import Array
from gradtx.diagnosis.read.formats.table import Table

NAMES = {"run", "run id", "run_id", "run name", "run_name", "runid", "experiment", "trial", "exp", "seed"}


class Cut(NamedTuple):
    """Which rows of a log belong to the run, and how their steps are to be taken.

    Attributes:
        rows: numbers of the rows.
        counted: whether rows are counted because steps begin anew in each epoch.
        notes: what was found.
    """

    rows: Any
    counted: bool
    notes: tuple[str, ...]


def one_named(path: str, table: Table, run: str | None) -> tuple[Table, list[str], bool]:
    """Return the rows of one run where a column names the run of each row, a note, and whether `run` was used.

    Raises:
        ValueError: there are several runs and `run` names none of them.
    """
    for name, cells in table.columns:
        kinds = list(dict.fromkeys(str(cell).strip() for cell in cells))
        if name.strip().lower() not in NAMES or not 1 < len(kinds) <= max(len(cells) // 2, 1):
            continue
        if run is None or run not in kinds:
            got = "expected one" if run is None else f"none of them {run!r}"
            raise ChoiceError(
                f"read_log: {path} has {len(kinds)} runs in column {name!r}, {listing(kinds)}, {got}; "
                "choose one, --run NAME (in Python run=NAME)"
            )
        keep = [i for i, cell in enumerate(cells) if str(cell).strip() == run]
        return taken(table, keep), [f"run {run!r} of {len(kinds)} ({name})"], True
    return table, [], False


def taken(table: Table, keep: list[int]) -> Table:
    """Return some rows of a table."""
    columns = [(name, [cells[i] for i in keep if i < len(cells)]) for name, cells in table.columns]
    return table._replace(columns=columns, places=[table.places[i] for i in keep])


def cut(path: str, places: list[str], steps: Array, known: Any, epochs: Array | None, run: str | None) -> Cut:
    """Return the rows of one run, by its steps.

    Args:
        path: the log, for errors.
        places: where each row stands.
        steps: the step of each row.
        known: where a row holds a loss and its step is known.
        epochs: the epoch of each row, or None.
        run: number of the run to take, or None.

    Raises:
        ValueError: there are several runs and `run` is none of their numbers.
    """
    at = np.flatnonzero(known)
    falls = np.flatnonzero(np.diff(steps[at]) < 0)
    runs: list[list[int]] = [[0]]  # of each run the places in `at` where one of its parts begins
    anew = 0
    for fall in falls:
        first = steps[at[runs[-1][0]]]
        if steps[at[fall + 1]] > first:
            runs[-1].append(int(fall) + 1)
        elif epochs is not None and epochs[at[fall + 1]] > epochs[at[fall]]:
            anew += 1
        else:
            runs.append([int(fall) + 1])
    ends = [begin[0] for begin in runs[1:]] + [len(at)]
    number = which(path, places, steps, at, [(begin[0], end) for begin, end in zip(runs, ends, strict=True)], run)
    begins, end = runs[number], ends[number]
    # rows without a loss (a rate in a row of its own) go with the row of a loss that follows them
    low = 0 if begins[0] == 0 else int(at[begins[0] - 1]) + 1
    high = len(steps) if end == len(at) else int(at[end - 1]) + 1
    keep, notes = np.arange(low, high), []
    if len(runs) > 1:
        notes.append(f"run {number + 1} of {len(runs)} in the file")
    if anew:
        notes.append(f"the steps begin anew {anew} times while the epoch rises: rows are counted instead")
        return Cut(keep, True, tuple(notes))
    for begin in begins[1:]:
        row = int(at[begin])
        again = (keep < row) & (steps[keep] >= steps[row])
        notes.append(
            f"resumed at step {steps[row]:,.0f} ({places[row]}), after step {steps[at[begin - 1]]:,.0f}: "
            f"{int(np.sum(again))} rows that were done again are left out"
        )
        keep = keep[~again]
    return Cut(keep, False, tuple(notes[:4]))


def which(path: str, places: list[str], steps: Array, at: Any, runs: list[tuple[int, int]], run: str | None) -> int:
    """Return the index of the run to take."""
    wanted = [str(i + 1) for i in range(len(runs))]
    if run is not None and run in wanted:
        return wanted.index(run)
    if run is None and len(runs) == 1:
        return 0
    shown = [
        f"run {i + 1} ({places[at[a]]} to {places[at[b - 1]]}, steps {steps[at[a]]:,.0f} to {steps[at[b - 1]]:,.0f})"
        for i, (a, b) in enumerate(runs)
    ]
    got = "expected one" if run is None else f"no run {run!r}"
    raise ChoiceError(
        f"read_log: {path} holds {len(runs)} run{'s' * (len(runs) > 1)}, {listing(shown)}, {got}; choose one, "
        "--run NUMBER (in Python run=NUMBER), or count the rows as one run, --step rows (in Python step='rows')"
    )
