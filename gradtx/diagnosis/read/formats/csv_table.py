"""Tables: names of columns in the first line, cells apart by commas, semicolons, tabs or spaces.

A line that was cut off is passed over with a note. The columns of a table without names are chosen by their numbers.
"""

import csv
import io
import re
from collections.abc import Iterator

from gradtx.diagnosis.read.formats.table import Format, Source, Table


def looks(source: Source) -> bool:
    """Return True for everything that nothing else reads: the error for it names its columns."""
    return True


def read(source: Source) -> Table:
    """Return the columns of a table, whose first line holds the names.

    Raises:
        ValueError: a line is no row.
    """
    path, text, lines = source.name, source.text, list(source.lines)
    first = next((i for i, line in enumerate(lines) if line.strip() and not re.match("#|sep=", line)), len(lines))
    split = separator(lines[first : first + 2])
    names: list[str] = []
    if first < len(lines) and is_numbers(cells := cells_of(lines[first], split)):
        if first > 0 and lines[first - 1].startswith("#"):
            first -= 1
            lines[first] = lines[first].lstrip("# ")  # NumPy writes the names as a comment
        else:
            names = [f"column {i + 1}" for i in range(len(cells))]
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
            f"read_log: {path} line {number + 1} is not CSV ({error}), expected a row of cells; mend or remove it"
        ) from None
    if rows and len(rows[-1]) < len(names) and not text.endswith(("\n", "\r")):
        notes.append(f"{places.pop()}, the last, was cut off and is left out")
        rows.pop()
    columns = [(name.strip(), [row[i] if i < len(row) else "" for row in rows]) for i, name in enumerate(names)]
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


FORMAT = Format(
    "a table",
    looks,
    read,
    example="""step,train_loss_step,lr-Adam
0,2.3012,0.001
1,2.2874,0.001""",
)
