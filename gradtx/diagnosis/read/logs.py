"""`read_log`: loss, gradient norm, learning rate and step of any training run, by our names."""

import math
import re
from typing import Any, NamedTuple

import numpy as np

from gradtx.diagnosis.read.columns import (
    EVALUATION,
    RANKS,
    Column,
    choose_loss,
    column_of,
    listed,
    listing,
    named,
    ranked,
)
from gradtx.diagnosis.read.evidence import Array
from gradtx.diagnosis.read.formats.table import Table
from gradtx.diagnosis.read.runs import cut, one_named, taken
from gradtx.diagnosis.read.sources import table_from

BLANK = {"", "na", "n/a", "none", "null", "nil", "-"}
PHASE = ("phase", "split", "mode", "stage", "subset", "set", "type")  # columns that may say train or eval
TRAIN = {"train", "training"}
ARRAY = re.compile(r"\s*(?:tensor|Array|array|np\.float\d+)\(\s*([^\s,()\[\]]+)\s*[,)]")  # a printed array of one value


class Log(NamedTuple):
    """A log by our names.

    Attributes:
        columns: `loss`, and where the file has them `grad_norm`, `learning_rate` and `step`; NaN where a cell is blank,
            infinite where it is not finite.
        notes: what a reader must know about how it was read: the columns taken, what was left out.
    """

    columns: dict[str, Array]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return one line, without the numbers."""
        return (
            f"Log({len(self.columns['loss'])} rows of {', '.join(self.columns)}; {self.notes[0] if self.notes else ''})"
        )


def read_log(log: Any, *, loss: str | None = None, step: str | None = None, run: str | int | None = None) -> Log:
    """Read the log of any training run, to `diagnose` it.

    Reads tables (Lightning's, Keras's and Stable-Baselines3's loggers, exports of Weights & Biases, TensorBoard and
    MLflow, MLflow's own files), JSON and JSON lines (a `trainer_state.json` of Hugging Face, mmengine, detectron2,
    MaxText, metaseq), the consoles of Hugging Face, nanoGPT, MaxText, Megatron-LM, torchtune, fairseq and of programs
    that print a line with a loss, TensorBoard's event files (the extra `tensorboard`), and a folder that one of these
    wrote. A log whose end was cut off is read up to there. The training loss is taken, never that of an evaluation, the
    first note says which columns were; where several may be meant, the error lists them.

    Units: as in the log.

    Args:
        log: path of a file or a folder, `"-"` for standard input, or records: a list of dicts, a dict of lists.
        loss: name or number of the column of the loss; None finds it.
        step: name or number of the column of the step, `"rows"` to count rows; None finds it.
        run: name or number of the run where a log holds several; None where it holds one.

    Returns:
        A `Log`: `columns`, arrays under `loss`, and `grad_norm`, `learning_rate`, `step` where the log has them, and
        `notes`.

    Raises:
        TypeError: `log` is neither a path nor records.
        ValueError: it is no log, a value of the loss is no number, it has no loss, or several columns or runs may be
            meant and nothing says which.
        ImportError: it is an event file and TensorBoard is not installed.

    Cost: one pass over the log on the host.

    Examples:
        >>> import gradtx
        >>> log = gradtx.read_log([{"step": i, "train/loss": 2.0, "lr": 0.0} for i in range(50)])
        >>> gradtx.diagnose(log).verdict
        'not_moving'
    """
    path, form, table = table_from(log)
    run = None if run is None else str(run)
    table, notes, used = one_named(path, table, run)
    table, left = training_rows(table)
    notes += left
    columns = [column_of(name, i + 1, filled(cells)) for i, (name, cells) in enumerate(table.columns)]

    def values(column: Column) -> Array:
        return numbers(path, table, column)

    chosen = {"loss": choose_loss(path, columns, loss, values)}
    found = {"loss": values(chosen["loss"])}
    same_run = [column for column in columns if column.run in ("", chosen["loss"].run)]
    for name, rank in RANKS.items():
        candidates = ranked(same_run, rank)
        if name == "step" and step is not None:
            candidates = [] if step == "rows" else [named(path, columns, str(step), "step")]
        for column in candidates:
            if (count := len(table.columns[column.number - 1][1])) != len(found["loss"]):
                raise ValueError(
                    f"read_log: {path} has {count} values of {column.name}, expected "
                    f"{len(found['loss'])} as of {chosen['loss'].name}; give both a value a step"
                )
            try:
                cells = values(column)
            except ValueError as error:
                notes.append(f"{column.name} is left out: {str(error).split(', expected', maxsplit=1)[0]}")
                continue
            if name != "step" or (np.isfinite(cells).any() and np.ptp(cells[np.isfinite(cells)]) > 0):
                found[name], chosen[name] = cells, column
                break
    found, cuts = stepped(path, table, found, columns, values, None if used else run)
    notes += cuts
    if "step" in chosen and "step" not in found:
        del chosen["step"]
    first = f"{path}, {form}: {taken_columns(chosen, columns)}"
    return Log(tidy(found), (first, *table.notes, *told(chosen, columns), *notes))


def stepped(
    path: str, table: Table, found: dict[str, Array], columns: list[Column], values: Any, run: str | None
) -> tuple[dict[str, Array], list[str]]:
    """Return the rows of one run, in the order of their steps where the steps are known."""
    steps = found.get("step", np.arange(len(found["loss"]), dtype=float))
    inside = np.isfinite(steps)
    has_loss = ~np.isnan(found["loss"])
    if not inside[has_loss].all() or not has_loss.any():
        rest = {name: cells for name, cells in found.items() if name != "step"}
        return rest, ["the step is not known in every row: rows are counted instead"] if has_loss.any() else []
    epoch = next((column for column in columns if column.words == ("epoch",) and column.known), None)
    epochs = None
    if epoch is not None:
        try:
            epochs = values(epoch)
        except ValueError:
            epochs = None
    rows, counted, notes = cut(path, table.places, steps, inside & has_loss, epochs, run)
    names = [name for name in found if not (counted and name == "step")]
    return {name: found[name][rows] for name in names}, list(notes)


def taken_columns(chosen: dict[str, Column], columns: list[Column]) -> str:
    """Return which column was taken for what, and which were passed over."""
    mine = "; ".join(f"{name} = {column.name!r}" for name, column in chosen.items())
    mine += "" if "step" in chosen else "; step = rows counted"
    numbers = {column.number for column in chosen.values()}
    rest = [column.name for column in columns if column.number not in numbers and column.name.strip()]
    return mine + (f"; ignored: {listing(rest, 8)}" if rest else "")


def training_rows(table: Table) -> tuple[Table, list[str]]:
    """Return the table without the rows that a column such as `phase` or `split` says are an evaluation's."""
    for name, cells in table.columns:
        words = [str(cell).strip().lower() for cell in cells]
        if name.strip().lower() in PHASE and TRAIN & set(words) and EVALUATION & set(words):
            keep = [i for i, word in enumerate(words) if word not in EVALUATION]
            left = len(words) - len(keep)
            return taken(table, keep), [f"rows of an evaluation ({name}), left out: {left}"]
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
        if isinstance(cell, str) and (array := ARRAY.match(cell)):
            cell = array[1]
        try:
            value = float(cell)
        except (TypeError, ValueError):
            raise ValueError(
                f"read_log: {path} {table.places[i]}, column {column.name!r} is {str(cell)[:40]!r}, expected a number; "
                "mend the cell or remove its row (log loss.item(), not the tensor)"
            ) from None
        out.append(value if math.isfinite(value) else math.inf)
    return np.array(out)


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
    for i in np.flatnonzero(np.diff(steps) == 0) + 1:
        if all(np.isnan(out[name][i]) or np.isnan(out[name][i - 1]) for name in rest):
            for name in rest:
                if np.isnan(out[name][i]):
                    out[name][i] = out[name][i - 1]
                out[name][i - 1] = math.nan
    if "learning_rate" in out:
        rates = out["learning_rate"]
        last = np.maximum.accumulate(np.where(np.isnan(rates), 0, np.arange(len(rates))))
        out["learning_rate"] = rates[last]
    known = [~np.isnan(out[name]) for name in ("loss", "grad_norm") if name in out]
    keep = np.logical_or.reduce(known)
    return {name: cells[keep] for name, cells in out.items()}
