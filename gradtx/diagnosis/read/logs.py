"""Diagnose a log: loss, gradient norm and learning rate of any training run, saved as CSV or JSON."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from gradtx.diagnosis.read.evidence import Array, Evidence
from gradtx.diagnosis.record.record import BLOCKS, COLUMNS, EARLY, HISTORY, RING

NAMES = {
    "step": ("step", "iteration", "iter", "global_step", "_step", "update"),
    "loss": ("loss", "train_loss", "train/loss", "training_loss", "value"),
    "grad_norm": ("grad_norm", "gradient_norm", "train/grad_norm", "gnorm", "|g|"),
    "learning_rate": ("learning_rate", "lr", "train/learning_rate", "eta"),
}


def load(path: str) -> dict[str, Array]:
    """Return the columns of a log by our names.

    A CSV file has a header line; a JSON file holds a list of records, a dict of lists, or one record a line. Columns
    are found by their usual names, in any case; others are passed over.

    Raises:
        ValueError: the file is no such table, or has no loss, or a value is no number.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"watch: {path} is not a file, expected a log; give the path of a .csv or .json file")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"watch: {path} is not text, expected a log; give a .csv or .json file") from None
    table = from_csv(text) if file.suffix.lower() in (".csv", ".tsv", ".txt") else from_json(path, text)
    lower = {key.strip().lower(): column for key, column in table.items()}
    found: dict[str, Array] = {}
    for name, spellings in NAMES.items():
        key = next((s for s in spellings if s in lower), None)
        if key is not None:
            found[name] = numbers(path, key, lower[key])
    if "loss" not in found:
        have = ", ".join(table) or "none"
        raise ValueError(
            f"watch: {path} has the columns {have}, expected one named loss (and grad_norm, learning_rate, step); "
            "rename the column of the loss"
        )
    length = len(found["loss"])
    uneven = [name for name, column in found.items() if len(column) != length]
    if uneven:
        raise ValueError(
            f"watch: {path} has {len(found[uneven[0]])} values of {uneven[0]}, expected {length} as of loss"
        )
    return found


def from_csv(text: str) -> dict[str, list[Any]]:
    """Return the columns of a CSV text."""
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    rows = list(csv.DictReader(text.splitlines(), dialect=dialect))
    return {key: [row[key] for row in rows] for key in (rows[0] if rows else {}) if key is not None}


def from_json(path: str, text: str) -> dict[str, list[Any]]:
    """Return the columns of a JSON text."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise ValueError(f"watch: {path} is not JSON ({error.msg}), expected a list of records") from None
    if isinstance(data, dict) and all(isinstance(column, list) for column in data.values()):
        return data
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        keys = dict.fromkeys(key for row in data for key in row)
        return {key: [row.get(key) for row in data] for key in keys}
    raise ValueError(f"watch: {path} holds a {type(data).__name__}, expected a list of records or a dict of lists")


def numbers(path: str, name: str, column: list[Any]) -> Array:
    """Return a column as floats; an empty cell is NaN, a cell that says NaN or infinity is infinite."""
    out = []
    for i, cell in enumerate(column):
        try:
            value = math.nan if cell in (None, "") else float(cell)
        except (TypeError, ValueError):
            raise ValueError(
                f"watch: {path} row {i + 1} of {name} is {cell!r}, expected a number; remove the row or mend the cell"
            ) from None
        out.append(math.inf if cell not in (None, "") and not math.isfinite(value) else value)
    return np.array(out)


def from_columns(columns: dict[str, Array], floor: float = 0.0) -> Evidence:
    """Return the evidence of a log: losses, |g| and the rate; nothing that takes two gradients at once."""
    loss = columns["loss"]
    g = columns.get("grad_norm", np.full(len(loss), np.nan))
    bad = np.isinf(loss) | np.isinf(g)
    n = int(np.argmax(bad)) if bad.any() else len(loss)
    counted = np.arange(len(loss), dtype=float)
    own = columns.get("step", counted)
    at = own if np.isfinite(own).all() and np.all(np.diff(own) > 0) else counted
    bad_step = int(at[n]) if bad.any() else -1
    loss, g, at = loss[:n], g[:n], at[:n]
    rows = {name: np.full(n, np.nan) for name in COLUMNS}
    rows |= {"step": at, "loss": loss, "gg": g**2}
    rows["learning_rate"] = columns.get("learning_rate", rows["learning_rate"])[:n]
    length = max(1, 2 ** math.ceil(math.log2(max(n, 1) / BLOCKS)))
    starts = np.arange(0, n, length)
    blocks = {name: np.full(len(starts), np.nan) for name in HISTORY}
    for i, start in enumerate(starts):
        part, norms = loss[start : start + length], rows["gg"][start : start + length]
        part, norms = part[np.isfinite(part)], norms[np.isfinite(norms)]
        blocks["losses"][i], blocks["loss_sum"][i] = len(part), np.sum(part)
        blocks["loss_max"][i] = np.max(part, initial=-np.inf)
        blocks["loss_min"][i] = np.min(part, initial=np.inf)
        blocks["gg_max"][i] = np.max(norms, initial=-np.inf)
    return Evidence(
        steps=int(at[-1]) + 1 if n else 0,
        rows={name: column[-RING:] for name, column in rows.items()},
        early={name: column[:EARLY] for name, column in rows.items()},
        losses=loss[-RING:],
        early_losses=loss[:EARLY],
        history={**blocks, "step": at[starts]},
        groups={},
        group_peak={},
        sizes={},
        bad_step=bad_step,
        bad={},
        meta=None,
        floor=floor,
    )
