"""Text for people of any other tool: every line that names a training loss and gives its number is a row.

`Train Epoch: 1 [640/60000]  Loss: 2.30`, `step 10/100 | loss 4.2 | norm 2.3 | lr 3e-4`, `Iteration 100, loss = 2.3`.
What lines before it say about the step or the epoch is carried on to it.
"""

import re
from typing import Any

from gradtx.diagnosis.read.columns import EVALUATION, TRAINING, Column, loss_rank, words_of
from gradtx.diagnosis.read.formats.table import Format, Source, Table, table_of
from gradtx.diagnosis.read.formats.text import BETWEEN, NUMBER, pairs

LOSS = re.compile(rf"loss\w*(?:/\w+)*(?: [a-z]+)?\)?{BETWEEN}(?:{NUMBER})", re.IGNORECASE)
WHOLE = r"\s*\W{0,4}?\s*(?P<value>\d{1,3}(?:,\d{3})+(?![\d,])|\d+)"  # after a name: `step: [  10/100]`, `iter 1,000`
STEP = re.compile(rf"\b(?P<name>step|steps|iter|iteration|iters|global_step|update|batch)\b{WHOLE}", re.IGNORECASE)
EPOCH = re.compile(rf"\bepoch\b{WHOLE}", re.IGNORECASE)


def looks(source: Source) -> bool:
    """Return True if lines give the number of a loss beside its name, and not only the first, which may hold names."""
    found = [i for i, line in enumerate(line for line in source.lines if line.strip()) if LOSS.search(line)]
    return found[:2] not in ([], [0])


def read(source: Source) -> Table:
    """Return a row for each line that gives a training loss."""
    records, places, evaluations = [], [], 0
    carried: dict[str, Any] = {}
    for i, line in enumerate(source.lines):
        where = {"epoch": found["value"]} if (found := EPOCH.search(line)) else {}
        where |= {found["name"].lower(): found["value"] for found in STEP.finditer(line)}
        where = {name: value.replace(",", "") for name, value in where.items()}
        carried |= where
        record = row_of(line)
        if not any(is_loss(name) for name in record):
            continue
        if is_evaluation(line, record):
            evaluations += 1
            continue
        rest = {name: value for name, value in record.items() if not re.search(r"(?i)\b(step|iter|epoch|batch)", name)}
        records.append(carried | rest)
        places.append(f"line {i + 1}")
    notes = (f"lines of an evaluation, left out: {evaluations}",) if evaluations else ()
    return table_of(records, places, notes)


def row_of(line: str) -> dict[str, Any]:
    """Return the names and numbers of a line, the first where a name stands twice."""
    record: dict[str, Any] = {}
    for name, value in pairs(line):
        if name.lower() == "eta":  # the time that is left
            continue
        record.setdefault(name, value)
    return record


def is_loss(name: str) -> bool:
    """Return True if a name is that of a loss, of training or of an evaluation."""
    return "loss" in words_of(name) or loss_rank(Column(name, 1, "", words_of(name), 1)) is not None


def is_evaluation(line: str, record: dict[str, Any]) -> bool:
    """Return True if the line speaks of an evaluation and none of its losses is of training."""
    losses = [set(words_of(name)) for name in record if is_loss(name)]
    if all(words & EVALUATION for words in losses):
        return True
    before = set(words_of(line[: LOSS.search(line).start()])) if LOSS.search(line) else set()  # type: ignore[union-attr]
    return bool(before & EVALUATION) and not before & TRAINING and not any(words & TRAINING for words in losses)


FORMAT = Format(
    "text",
    looks,
    read,
    example="""Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300000
Train Epoch: 1 [1280/60000 (2%)]\tLoss: 2.213470
Test set: Average loss: 0.0512, Accuracy: 9832/10000 (98%)""",
)
