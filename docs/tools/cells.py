"""The cells of tables, rendered: formulas, and links to the reference and to arXiv."""

import re

from formulas import typeset

METHOD, UPDATE, SLOTS, SOURCE = 0, 1, 2, 4  # columns
# code that is neither a link's nor a block's
CODE = re.compile(r"(?<!'s )(?<![\[`])`(?!`)((?:gradtx\.)?(?:schedules\.)?(\w+)[^`\n]*)`(?![\]`])")
BAR = re.compile(r"(?<!\\)\|")  # between cells; `\|` is a norm


def linked(text: str, names: dict[str, str]) -> str:
    """Return a text whose code links to the reference where it begins with a public name.

    Args:
        text: Markdown; "optax's `adam`" stays as it is, since it is not ours.
        names: what to link to, by name.
    """
    return CODE.sub(lambda m: f"[`{m[1]}`][{names[m[2]]}]" if m[2] in names else m[0], text)


def row(line: str, names: dict[str, str]) -> str:
    """Return one line of a table, rendered."""
    _, *cells, _ = (cell.strip() for cell in BAR.split(line))
    cells[METHOD] = linked(cells[METHOD], names)
    for column in (UPDATE, SLOTS):
        cells[column] = typeset(cells[column], greek=True)
    cells[SOURCE] = re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", cells[SOURCE])
    return "| " + " | ".join(cells) + " |"


def difference(line: str, names: dict[str, str]) -> str:
    """Return one line of the table of differences, rendered; a line of another table as it is."""
    _, *cells, _ = (cell.strip() for cell in BAR.split(line))
    if len(cells) != 2:
        return line
    return f"| {linked(cells[0], names)} | {linked(typeset(cells[1], greek=True), names)} |"
