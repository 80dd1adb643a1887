"""Lines of text: names with numbers, `loss: 2.31 | lr 1e-4`, as programs print them for people."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gradtx.diagnosis.read.formats.table import Format, Source, Table, table_of

NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)\b"
WORD = r"[A-Za-z|][\w/.|@%-]*"
BETWEEN = r"(?:\s*[:=]\s*|\s+)(?:\[\s*|\(\s*|(?:tensor|Array|array)\()?"  # a name and its number
# a name of up to four words, then `:`, `=` or a space, then a number, perhaps in brackets or in a printed array
PAIR = re.compile(
    rf"(?P<name>{WORD}(?: {WORD}){{0,3}}?){BETWEEN}(?P<value>{NUMBER})",
    re.IGNORECASE,
)
LEVELS = re.compile(r"\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the numbers of a line."""
    for found in PAIR.finditer(LEVELS.sub("|", text)):
        yield found["name"].strip("|-. "), found["value"].replace(",", "")


def text_format(name: str, line: str, example: str, names: Mapping[str, str] | None = None) -> Format:
    """Return the format of a tool that prints a line per step.

    Args:
        name: what the report calls it.
        line: regular expression of a line that holds the training loss; its group `pairs` is the part with names and
            numbers, its group `step`, if there is one, the number of the step.
        example: some lines as the tool writes them.
        names: the tool's names to ours, where they say another thing elsewhere.
    """
    pattern = re.compile(line)

    def looks(source: Source) -> bool:
        return any(pattern.search(line) for line in source.lines)

    def read(source: Source) -> Table:
        records, places = [], []
        for i, text in enumerate(source.lines):
            found = pattern.search(text)
            if found is None:
                continue
            record: dict[str, Any] = {"step": found["step"]} if "step" in pattern.groupindex else {}
            for key, value in pairs(found["pairs"]):
                record.setdefault((names or {}).get(key, key), value)
            records.append(record)
            places.append(f"line {i + 1}")
        return table_of(records, places)

    return Format(name, looks, read, example)
