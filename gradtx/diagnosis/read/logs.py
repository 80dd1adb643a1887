"""Read a log by our names: loss, gradient norm, learning rate and step of any training run, saved as CSV or JSON."""

import math
import re
from typing import Any, NamedTuple

import numpy as np

from gradtx.diagnosis.read.columns import EVALUATION, RANKS, Column, choose_loss, column_of, listed, ranked
from gradtx.diagnosis.read.evidence import Array
from gradtx.diagnosis.read.tables import Table, read_table

BLANK = {"", "na", "n/a", "none", "null", "nil", "-"}
PHASE = ("phase", "split", "mode", "stage", "subset", "set", "type")  # columns that may say train or eval
TRAIN = {"train", "training"}


class Log(NamedTuple):
    """A log by our names.

    Attributes:
        columns: `loss`, and where the file has them `grad_norm`, `learning_rate` and `step`; NaN where a cell is blank,
            infinite where it is not finite.
        notes: what a reader must know about how it was read: the columns taken, what was left out.
    """

    columns: dict[str, Array]
    notes: tuple[str, ...] = ()


def load(path: str, loss: str | None = None) -> Log:
    """Return the columns of a log by our names.

    Reads CSV in its dialects (Lightning's and Keras's loggers, exports of Weights & Biases and TensorBoard), JSON (a
    list of records, a dict of lists, a `trainer_state.json` of Hugging Face) and JSON lines, also where the end was cut
    off. Columns are found by their usual names, in any case; others are passed over. Of a training and an evaluation
    loss the first is taken.

    Args:
        path: the file.
        loss: name or number of the column of the loss; None finds it.

    Raises:
        ValueError: the file is no such table, or a value of the loss is no number, or it has no loss, or several
            columns may be the loss and `loss` does not say which.
    """
    table = read_table(path)
    table, notes = training_rows(table)
    columns = [column_of(name, i + 1, filled(cells)) for i, (name, cells) in enumerate(table.columns)]

    def values(column: Column) -> Array:
        return numbers(path, table, column)

    chosen = {"loss": choose_loss(path, columns, loss, values)}
    found = {"loss": values(chosen["loss"])}
    same_run = [column for column in columns if column.run in ("", chosen["loss"].run)]
    for name, rank in RANKS.items():
        for column in ranked(same_run, rank):
            if len(table.columns[column.number - 1][1]) != len(found["loss"]):
                raise ValueError(
                    f"watch: {path} has {len(table.columns[column.number - 1][1])} values of {column.name}, expected "
                    f"{len(found['loss'])} as of {chosen['loss'].name}; give both a value a step"
                )
            try:
                cells = values(column)
            except ValueError as error:
                notes.append(f"{column.name} is left out: {str(error).split(', expected', maxsplit=1)[0]}")
                continue
            if name != "step" or rises(cells[np.isfinite(found["loss"])]):
                found[name], chosen[name] = cells, column
                break
    notes += [*told(chosen, columns), *steps_told(chosen, same_run, values)]
    taken = "; ".join(f"{name} = {column.name!r}" for name, column in chosen.items() if column.name != name)
    return Log(tidy(found), (*([taken] if taken else []), *table.notes, *notes))


def training_rows(table: Table) -> tuple[Table, list[str]]:
    """Return the table without the rows that a column such as `phase` or `split` says are an evaluation's."""
    for name, cells in table.columns:
        words = [str(cell).strip().lower() for cell in cells]
        if name.strip().lower() in PHASE and TRAIN & set(words) and EVALUATION & set(words):
            keep = [i for i, word in enumerate(words) if word not in EVALUATION]
            columns = [(other, [column[i] for i in keep if i < len(column)]) for other, column in table.columns]
            left = len(words) - len(keep)
            return (
                table._replace(columns=columns, places=[table.places[i] for i in keep]),
                [f"{left} rows of an evaluation ({name}) are left out"],
            )
    return table, []


def filled(cells: list[Any]) -> int:
    """Return how many cells are not blank."""
    return sum(not is_blank(cell) for cell in cells)


def is_blank(cell: Any) -> bool:
    """Return True if a cell holds nothing."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in BLANK)


def numbers(path: str, table: Table, column: Column) -> Array:
    """Return a column as floats: NaN for a blank cell, infinity for one that says NaN or infinity.

    Raises:
        ValueError: a cell is no number; the error names its place.
    """
    out = []
    for i, cell in enumerate(table.columns[column.number - 1][1]):
        if is_blank(cell):
            out.append(math.nan)
            continue
        if (
            table.decimal_comma
            and isinstance(cell, str)
            and re.fullmatch(r"\s*[-+]?\d*,\d+(e[-+]?\d+)?\s*", cell.lower())
        ):
            cell = cell.replace(",", ".")
        try:
            value = float(cell)
        except (TypeError, ValueError):
            raise ValueError(
                f"watch: {path} {table.places[i]}, column {column.name!r} is {str(cell)[:40]!r}, expected a number; "
                "mend the cell or remove its row (log loss.item(), not the tensor)"
            ) from None
        out.append(value if math.isfinite(value) else math.inf)
    return np.array(out)


def rises(steps: Array) -> bool:
    """Return True if the steps of the rows that hold a loss are known and never fall."""
    return bool(len(steps) and np.isfinite(steps).all() and np.all(np.diff(steps) >= 0) and steps[-1] > steps[0])


def told(chosen: dict[str, Column], columns: list[Column]) -> list[str]:
    """Return the note about other columns that hold a loss."""
    loss = chosen["loss"]
    others = [column for column in columns if "loss" in column.words and column.known and column != loss]
    evaluation = [column for column in others if column.is_evaluation]
    training = [column for column in others if not column.is_evaluation]
    notes = []
    if evaluation and not loss.is_evaluation:
        notes.append(f"{loss.name!r} is the training loss; of an evaluation, not read: {listed(evaluation)}")
    if training or (evaluation and loss.is_evaluation):
        rest = training + (evaluation if loss.is_evaluation else [])
        notes.append(f"other columns of a loss: {listed(rest)}; --loss NAME takes one of them")
    return notes


def steps_told(chosen: dict[str, Column], columns: list[Column], values: Any) -> list[str]:
    """Return the note about a column of steps that was there but could not be used."""
    there = ranked(columns, RANKS["step"])
    if "step" in chosen or not there:
        return []
    try:
        steps = values(there[0])
    except ValueError:
        return []
    falls = np.flatnonzero(np.diff(steps) < 0)
    if len(falls):
        i = int(falls[0])
        return [
            f"{there[0].name} goes back from {steps[i]:,.0f} to {steps[i + 1]:,.0f} (a resumed run, or two runs in one "
            "file): rows are counted instead"
        ]
    return [f"{there[0].name} is not known in every row: rows are counted instead"]


def tidy(found: dict[str, Array]) -> dict[str, Array]:
    """Return the columns with one row a step, where the steps are known.

    Loggers write what belongs to one step in several rows: Lightning's learning rate stands in a row of its own. Rows
    of one step are put together; rows with neither loss nor |g| (an evaluation's) are dropped, after the learning rate
    in them was carried on to the rows below.
    """
    if "step" not in found:
        return found
    out = {name: cells.copy() for name, cells in found.items()}
    steps, rest = out["step"], [name for name in out if name != "step"]
    for i in range(1, len(steps)):
        if steps[i] == steps[i - 1] and all(np.isnan(out[name][i]) or np.isnan(out[name][i - 1]) for name in rest):
            for name in rest:
                if np.isnan(out[name][i]):
                    out[name][i] = out[name][i - 1]
                out[name][i - 1] = math.nan
        if "learning_rate" in out and np.isnan(out["learning_rate"][i]):
            out["learning_rate"][i] = out["learning_rate"][i - 1]
    known = [~np.isnan(out[name]) for name in ("loss", "grad_norm") if name in out]
    keep = np.logical_or.reduce(known)
    return {name: cells[keep] for name, cells in out.items()}
