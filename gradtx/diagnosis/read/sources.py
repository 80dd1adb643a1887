"""Where a log comes from: a file, a folder that a tool wrote, standard input, or records in memory."""

import os
import sys
from pathlib import Path
from typing import Any

from gradtx._core.contract.errors import describe
from gradtx.diagnosis.read.columns import EVALUATION, TRAINING, ChoiceError, listing, words_of
from gradtx.diagnosis.read.formats import mlflow
from gradtx.diagnosis.read.formats.json_records import from_data
from gradtx.diagnosis.read.formats.known import FORMATS
from gradtx.diagnosis.read.formats.long_table import pivot
from gradtx.diagnosis.read.formats.table import Source, Table

EVENTS = "*tfevents*"
LOGS = ("metrics.csv", "progress.csv", "log_history.json", "history.csv", "metrics.jsonl", "metrics.json")
ENDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".log")  # of files that may be the log where no known name is


def table_from(log: Any) -> tuple[str, str, Table]:
    """Return what a log is called, the name of its format, and the table in it.

    Raises:
        TypeError: it is neither a path nor records.
        ValueError: there is no such file, it is no log, or a folder holds several.
    """
    if isinstance(log, (dict, list)):
        return "the log", "records", pivot(from_data("the log", log))
    if not isinstance(log, (str, os.PathLike, Source)):
        raise TypeError(
            f"read_log: log is {describe(log)}, expected a path or records; "
            'give "run.csv", or a list such as [{"step": 1, "loss": 2.5}]'
        )
    source = log if isinstance(log, Source) else source_of(os.fspath(log))
    known = next(kind for kind in FORMATS if kind.looks(source))
    return source.name, known.name, pivot(known.read(source))


def source_of(path: str) -> Source:
    """Return the log at a path: `-` is standard input, a folder is searched for the log that a tool wrote into it."""
    if path == "-":
        return Source("stdin", sys.stdin.buffer.read())
    file = Path(path)
    if file.is_dir():
        return in_folder(file)
    if not file.is_file():
        raise ValueError(f"read_log: {path} is not a file, expected a log; give the path of a log or of its folder")
    if "tfevents" in file.name:
        return Source(path, files=((file, ""),))
    return Source(path, file.read_bytes())


def in_folder(folder: Path) -> Source:
    """Return the log in a folder.

    Raises:
        ValueError: there is none, or there are several.
    """
    states = list(folder.rglob("trainer_state.json"))
    if states:  # each checkpoint holds the whole history until then
        return source_of(str(min(states, key=lambda file: (len(file.parts), -number_in(file.parent.name)))))
    if len(runs := mlflow.runs_in(folder)) == 1:
        return mlflow.source_of_run(runs[0])
    events = sorted(folder.rglob(EVENTS))
    logs = [file for name in LOGS for file in sorted(folder.rglob(name))]
    logs = (
        logs
        or runs
        or sorted(
            file for file in folder.rglob("*") if file.suffix.lower() in ENDS and not file.name.startswith("debug")
        )
    )
    if len(logs) == 1:
        return source_of(str(logs[0]))
    if events and not logs:
        parts = {file.parent: str(file.parent.relative_to(folder)).replace(os.sep, "/") for file in events}
        if len(parts) == 1:
            return Source(str(folder), files=tuple((file, "") for file in events))
        if all(part == "." or set(words_of(part)) <= TRAINING | EVALUATION for part in parts.values()):
            files = tuple((file, "" if parts[file.parent] == "." else parts[file.parent]) for file in events)
            return Source(str(folder), files=files)
        logs = sorted(parts)
    if not logs:
        raise ValueError(f"read_log: {folder} holds no log, expected one; give the path of the log itself")
    names = listing([str(log.relative_to(folder)) for log in logs])
    raise ChoiceError(f"read_log: {folder} holds {len(logs)} logs, {names}, expected one; give the path of one of them")


def number_in(name: str) -> int:
    """Return the number at the end of a name such as `checkpoint-500`, 0 where there is none."""
    digits = name.rsplit("-", 1)[-1]
    return int(digits) if digits.isdigit() else 0
