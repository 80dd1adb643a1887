"""Read a log file as a table of named columns: CSV in its dialects, JSON in its shapes, JSON lines.

What cannot be read is said, never guessed: a line that was cut off or is not JSON is passed over with a note, a file
without any readable line is an error.
"""

import ast
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gradtx.diagnosis.read.columns import EVALUATION, TRAINING, words_of

JSON_NAMES = (".json", ".jsonl", ".ndjson")
LISTS = "a list of records, a dict of lists or one record a line"


class Table(NamedTuple):
    """The columns of a file.

    Attributes:
        columns: pairs of name and cells in the order of the file; a name may stand twice.
        places: where each row stands, as "line 3" or "record 3".
        notes: what a reader must know about how it was read.
        decimal_comma: whether 0,5 may be a number.
    """

    columns: list[tuple[str, list[Any]]]
    places: list[str]
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False


def read_table(path: str) -> Table:
    """Return the table in a file.

    Raises:
        ValueError: there is no such file, or it is no table; the error says what to do.
    """
    text = read_text(path)
    lines = [line for line in text.splitlines() if line.strip()]
    is_json = text.lstrip()[:1] in ("{", "[") or Path(path).suffix.lower() in JSON_NAMES
    if not is_json and any(re.search(r"\{\s*['\"].*\}", line) for line in lines):  # a console with a dict on some lines
        is_json = not re.search(r"\w*loss\w*\s*(,|;|\t|$)", lines[0].lower())
    table = from_json(path, text) if is_json else from_csv(path, text)
    return pivot(table)


def read_text(path: str) -> str:
    """Return the text of a file."""
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"watch: {path} is not a file, expected a log; give the path of a .csv or .json file")
    data = file.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Windows writes the first
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(
            f"watch: {path} is not text, expected a log; give a .csv or .json file (TensorBoard saves a scalar as CSV)"
        )
    return text


def from_csv(path: str, text: str) -> Table:
    """Return the columns of a CSV text, whose first line holds the names."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.strip() and not re.match("#|sep=", line)), len(lines))
    split = separator(lines[first : first + 2])
    if first < len(lines) and is_numbers(cells_of(lines[first], split)):
        first -= 1
        if first < 0 or not lines[first].startswith("#"):
            raise ValueError(
                f"watch: {path} line {first + 2} holds numbers, expected the names of the columns; "
                "add a first line such as step,loss"
            )
        lines[first] = lines[first].lstrip("# ")  # NumPy writes the names as a comment
    names: list[str] = []
    rows: list[list[str]] = []
    places, notes, number = [], [], first
    try:
        for number, row in rows_of(lines, first, split):
            if not names:
                names = row
            elif row == names:
                notes.append(f"line {number} repeats the names of the columns: a resumed run, or two runs in one file")
            elif row:
                rows.append(row)
                places.append(f"line {number}")
    except csv.Error as error:
        raise ValueError(
            f"watch: {path} line {number + 1} is not CSV ({error}), expected a row of cells; mend or remove it"
        ) from None
    if rows and len(rows[-1]) < len(names) and not text.endswith(("\n", "\r")):
        notes.append(f"{places.pop()}, the last, was cut off and is left out")
        rows.pop()
    columns = [(name, [row[i] if i < len(row) else "" for row in rows]) for i, name in enumerate(names)]
    return Table(columns, places, tuple(notes), decimal_comma=split == ";")


def rows_of(lines: list[str], first: int, split: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each row from line `first` on."""
    if split == " ":
        yield from ((first + i + 1, line.split()) for i, line in enumerate(lines[first:]))
        return
    reader = csv.reader(io.StringIO("\n".join(lines[first:]), newline=""), delimiter=split)
    for row in reader:
        yield first + reader.line_num, row


def separator(lines: list[str]) -> str:
    """Return what separates the cells of a header and its first row: the mark that both have most of."""
    if not lines:
        return ","
    found = max(",;\t", key=lambda mark: (len(cells_of(lines[0], mark)), ",;\t".index(mark) == 0))
    words = [len(line.split()) for line in lines]
    spaced = len(cells_of(lines[0], found)) == 1 and words[0] > 1 and len(set(words)) == 1
    return " " if spaced else found


def cells_of(line: str, split: str) -> list[str]:
    """Return the cells of one line."""
    return line.split() if split == " " else next(csv.reader([line], delimiter=split), [])


def is_numbers(cells: list[str]) -> bool:
    """Return True if every cell is a number."""
    return bool(cells) and all(re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", cell.lower()) for cell in cells)


def from_json(path: str, text: str) -> Table:
    """Return the columns of a JSON text, or of JSON lines."""
    notes: list[str] = []
    try:
        data, places = json.loads(text), None
    except json.JSONDecodeError as error:
        found = list(records(text))
        data = [record for _, record in found if isinstance(record, dict)]
        places = [f"line {line}" for line, record in found if isinstance(record, dict)]
        broken = [i for i, (_, record) in enumerate(found) if not isinstance(record, dict)]
        strict = Path(path).suffix.lower() in JSON_NAMES
        if not data or (strict and len(broken) > len(data)):
            raise ValueError(
                f"watch: {path} is not JSON (line {error.lineno}: {error.msg}), expected {LISTS}; "
                'text for people is not read: log lines such as {"step": 1, "loss": 2.5}'
            ) from None
        notes += left_out(sorted({found[i][0] for i in broken}), at_end=broken[:1] >= [len(data)])
    if isinstance(data, dict):
        data = inner(data)
    if isinstance(data, dict):
        return Table(list(data.items()), [f"value {i + 1}" for i in range(max(map(len, data.values()), default=0))])
    triples = isinstance(data, list) and data and all(isinstance(row, list) and len(row) == 3 for row in data)
    if triples:  # TensorBoard's JSON of a scalar
        data = [dict(zip(("wall time", "step", "value"), row, strict=True)) for row in data]
    if not (isinstance(data, list) and all(isinstance(row, dict) for row in data)):
        raise ValueError(
            f"watch: {path} holds a {type(data).__name__}, expected {LISTS}; write it in one of these forms"
        )
    flat = [dict(flatten(row)) for row in data]
    keys = dict.fromkeys(key for row in flat for key in row)
    columns = [(key, [row.get(key) for row in flat]) for key in keys]
    return Table(columns, places or [f"record {i + 1}" for i in range(len(flat))], tuple(notes))


def inner(data: dict[str, Any]) -> Any:
    """Return the table inside a dict: a list of records, a dict of lists at any depth, or the dict as one record."""
    for value in data.values():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            return value  # `log_history` of a trainer_state.json
    flat = dict(flatten(data))
    lists = {name: value for name, value in flat.items() if isinstance(value, list)}
    if lists or not data:
        return lists
    if all(isinstance(value, dict) for value in data.values()):  # pandas: column to row to cell
        return {name: list(value.values()) for name, value in data.items()}
    return [data]


def records(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of each JSON value in a text; None for a line that holds none.

    The values may stand one a line, in a list that was cut off, or printed by Python inside other text.
    """
    decoder, history = json.JSONDecoder(), text.find('"log_history"')
    at = text.find("[", history) if history >= 0 else 0
    while (begin := re.compile(r"[^\s,\[\]]").search(text, at)) is not None:
        at = begin.start()
        line = text.count("\n", 0, at) + 1
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            value, at = printed(text[at:end]), end
        yield line, value


def printed(line: str) -> Any:
    """Return the dict that Python printed on a line, None where there is none."""
    found = re.search(r"\{.*\}", line)
    if found is None:
        return None
    quoted = re.sub(r"(?<=[:\s])(-?(?:nan|inf))(?=\s*[,}])", r"'\1'", found[0])
    try:
        return ast.literal_eval(quoted)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def left_out(broken: list[int], at_end: bool) -> list[str]:
    """Return the note about the lines that hold no record; `at_end` where every record stands before them."""
    if not broken:
        return []
    if at_end:
        return [f"the end of the file was cut off: line {broken[0]} is no whole record and is left out"]
    shown = ", ".join(map(str, broken[:5])) + (", ..." if len(broken) > 5 else "")
    return [f"what is no record was left out, on {len(broken)} lines: {shown}"]


def flatten(record: dict[str, Any], folder: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a record with the path of each, `train/loss`."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{folder}{name}/")
        else:
            yield f"{folder}{name}", value


def pivot(table: Table) -> Table:
    """Return a table of tag, step and value (TensorBoard's and MLflow's export) with a column for each tag."""
    cells = {name.strip().lower(): column for name, column in table.columns}
    tag = next((name for name in ("tag", "metric", "key") if name in cells), None)
    if tag is None or "value" not in cells:
        return table
    runs = [str(run) for run in cells.get("run", [""] * len(cells[tag]))]
    parts = all(set(words_of(run)) <= TRAINING | EVALUATION for run in runs)  # of one run, as Keras writes them
    between = "/" if parts else " - "
    several = len(set(runs)) > 1
    names = [f"{run}{between}{name}" if several else str(name) for run, name in zip(runs, cells[tag], strict=True)]
    steps = cells.get("step", [""] * len(names))
    rows: dict[Any, dict[str, Any]] = {}
    for i, (name, step) in enumerate(zip(names, steps, strict=True)):
        rows.setdefault(i if step in ("", None) else ("step", str(step)), {"step": step})[name] = cells["value"][i]
    ordered = list(rows.values())
    columns = [(name, [row.get(name) for row in ordered]) for name in dict.fromkeys(["step", *names])]
    return Table(columns, [f"step {row['step']}" for row in ordered], table.notes, table.decimal_comma)
