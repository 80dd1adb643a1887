"""JSON in its shapes: a list of records, a dict of lists, a record a line, dicts that Python printed among other text.

What is no record is passed over with a note, a log without any record is an error.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from gradtx.diagnosis.read.formats.table import Format, Source, Table, table_of

NAMES = (".json", ".jsonl", ".ndjson")
LISTS = "a list of records, a dict of lists or one record a line"
# a printed array of one value, tensor(2.3, device="cuda:0")
ARRAY = re.compile(r"\b(?:tensor|Array|array|np\.float\d+)\(\s*([-+\w.]+)[^()]*(?:\([^()]*\))?[^()]*\)")
DICT = re.compile(r"\{\s*['\"].*\}")


def looks(source: Source) -> bool:
    """Return True for JSON, and for text with a dict on some lines that is not a CSV table."""
    start = source.text.lstrip()
    if source.suffix in NAMES or start.startswith("{") or re.match(r"\[\s*[\[{\]\"]", start):
        return True
    first = next((line for line in source.lines if line.strip()), "")
    return any(DICT.search(line) for line in source.lines) and not re.search(r"\w*loss\w*\s*(,|;|\t|$)", first.lower())


def read(source: Source) -> Table:
    """Return the records of a log.

    Raises:
        ValueError: it holds none.
    """
    notes: list[str] = []
    try:
        data, places = json.loads(source.text), None
    except json.JSONDecodeError as error:
        stream = source.text.lstrip()[:1] in ("{", "[") and not re.match(r"\[\d", source.text.lstrip())
        found = list(stream_of(source.text.rstrip()) if stream else embedded(source.lines))
        data = [record for _, record in found if isinstance(record, dict)]
        places = [f"line {line}" for line, record in found if isinstance(record, dict)]
        broken = [i for i, (_, record) in enumerate(found) if not isinstance(record, dict)]
        if not data or (source.suffix in NAMES and len(broken) > len(data)):
            raise ValueError(
                f"read_log: {source.name} is not JSON (line {error.lineno}: {error.msg}), expected {LISTS}; "
                'log lines such as {"step": 1, "loss": 2.5}'
            ) from None
        notes += left_out(sorted({found[i][0] for i in broken}), at_end=broken[:1] >= [len(data)])
    return from_data(source.name, data, places, tuple(notes))


def from_data(name: str, data: Any, places: list[str] | None = None, notes: tuple[str, ...] = ()) -> Table:
    """Return the table in a value: a list of records, a dict of lists, or a dict that holds one of these.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(data, dict):
        data = inner(data)
    if isinstance(data, dict):
        return Table(list(data.items()), [f"value {i + 1}" for i in range(max(map(len, data.values()), default=0))])
    triples = isinstance(data, list) and data and all(isinstance(row, list) and len(row) == 3 for row in data)
    if triples:  # TensorBoard's JSON of a scalar
        data = [dict(zip(("wall time", "step", "value"), row, strict=True)) for row in data]
    if not (isinstance(data, list) and all(isinstance(row, dict) for row in data)):
        raise ValueError(
            f"read_log: {name} holds a {type(data).__name__}, expected {LISTS}; write it in one of these forms"
        )
    flat = [dict(flatten(row)) for row in data]
    return table_of(flat, places or [f"record {i + 1}" for i in range(len(flat))], notes)


def inner(data: dict[str, Any]) -> Any:
    """Return the table inside a dict: a list of records, a dict of lists at any depth, or the dict as one record."""
    lists_of_records = [
        value
        for value in data.values()
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
    ]
    if lists_of_records:  # `log_history` of a trainer_state.json
        return data["log_history"] if "log_history" in data else max(lists_of_records, key=len)
    flat = dict(flatten(data))
    lists = {name: value for name, value in flat.items() if isinstance(value, list)}
    if lists or not data:
        return lists
    if all(isinstance(value, dict) for value in data.values()):  # pandas: column to row to cell
        return {name: list(value.values()) for name, value in data.items()}
    return [data]


def stream_of(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the line and the value of each JSON value in a text; None for a line that holds none.

    The values may stand one a line, in a list that was cut off, or printed by Python inside other text.
    """
    decoder, history = json.JSONDecoder(), text.find('"log_history"')
    at = text.find("[", history) if history >= 0 else 0
    line, counted = 1, 0
    while (begin := re.compile(r"[^\s,\[\]]").search(text, at)) is not None:
        at = begin.start()
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            value, at = printed(text[at:end]), end
        yield line, value


def embedded(lines: list[str]) -> Iterator[tuple[int, Any]]:
    """Yield the number and the dict of each line that holds one, and None for lines that hold nothing but text."""
    for i, line in enumerate(lines):
        if line.strip():
            yield i + 1, printed(line)


def printed(line: str) -> Any:
    """Return the dict that JSON or Python printed on a line, None where there is none."""
    found = DICT.search(line)
    if found is None:
        return None
    try:
        return json.loads(found[0])
    except json.JSONDecodeError:
        pass
    quoted = re.sub(r"(?<=[:\s])(-?(?:nan|inf))(?=\s*[,}])", r"'\1'", found[0])
    quoted = ARRAY.sub(r"'\1'", quoted)
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


FORMAT = Format(
    "JSON",
    looks,
    read,
    example="""{'loss': 2.3012, 'grad_norm': 1.21, 'learning_rate': 4.9e-05, 'epoch': 0.01}
{'loss': 2.2874, 'grad_norm': 1.18, 'learning_rate': 4.8e-05, 'epoch': 0.02}""",
)
