"""What a format is: how it recognises a log, and how it reads it as a table of named columns."""

import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Table(NamedTuple):
    """The columns of a log.

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


@dataclasses.dataclass
class Source:
    """A log before it is read.

    Attributes:
        name: what an error calls it, its path or `stdin`.
        data: its bytes; empty for TensorBoard's event files, which are read from `files`.
        files: TensorBoard's event files, with the part of the run that each belongs to (`train`, `validation` or none).
    """

    name: str
    data: bytes = b""
    files: tuple[tuple[Path, str], ...] = ()

    @functools.cached_property
    def text(self) -> str:
        """The log as text, without the marks of a terminal.

        Raises:
            ValueError: it is not text.
        """
        encoding = "utf-16" if self.data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # Windows writes the first
        try:
            text = self.data.decode(encoding)
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise ValueError(
                f"read_log: {self.name} is not text, expected a log; give a table, JSON, text or event files"
            )
        return re.sub(r"\x08+", "\n", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))  # colours; a bar that is redrawn

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.splitlines()

    @property
    def suffix(self) -> str:
        """The end of the file's name, in small letters."""
        return Path(self.name).suffix.lower()


class Format(NamedTuple):
    """A format of logs.

    Attributes:
        name: what the report calls it.
        looks: returns True if a log is of this format; the first format that says so reads it.
        read: returns the table in a log of this format, or raises a ValueError that says what to do.
        example: some lines as the tool writes them.
    """

    name: str
    looks: Callable[[Source], bool]
    read: Callable[[Source], Table]
    example: str = ""


def table_of(records: list[dict[str, Any]], places: list[str], notes: tuple[str, ...] = ()) -> Table:
    """Return records as a table; what a record lacks is None."""
    names = dict.fromkeys(name for record in records for name in record)
    return Table([(name, [record.get(name) for record in records]) for name in names], places, notes)
