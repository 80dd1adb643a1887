"""The cells of the catalogue's tables, rendered: formulas, and links to the reference and to arXiv."""

import re

from formulas import typeset

METHOD, UPDATE, SLOTS, SOURCE = 0, 1, 2, 4  # columns
BAR = re.compile(r"(?<!\\)\|")  # between cells; `\|` is a norm


def linked(cell: str, names: dict[str, str]) -> str:
    """Return a cell whose code links to the reference where it begins with a public name."""
    return re.sub(r"`((\w+)[^`]*)`", lambda m: f"[`{m[1]}`][{names[m[2]]}]" if m[2] in names else m[0], cell)


def row(line: str, names: dict[str, str]) -> str:
    """Return one line of a table, rendered."""
    _, *cells, _ = (cell.strip() for cell in BAR.split(line))
    cells[METHOD] = linked(cells[METHOD], names)
    for column in (UPDATE, SLOTS):
        cells[column] = typeset(cells[column], greek=True)
    cells[SOURCE] = re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", cells[SOURCE])
    return "| " + " | ".join(cells) + " |"
