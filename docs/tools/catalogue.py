"""A hook of mkdocs: the tables of the catalogue with rendered formulas, and with links to the reference and to arXiv.

The source stays plain, as it is read in a terminal and in an editor.
"""

import re
from typing import Any

from formulas import typeset
from reference import PAGES, names_on, public

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


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Render the rows of the catalogue; other pages stay as they are."""
    if page.file.src_uri != "catalogue.md":
        return markdown
    listed = [name for _, _, folders in PAGES.values() for name in names_on(folders)]
    first = {
        id(public()[name]): name for name in listed
    }  # a second name, as `multi_transform`, has no entry of its own
    names = {name.rsplit(".", 1)[1]: first[id(thing)] for name, thing in public().items() if id(thing) in first}
    return "\n".join(row(line, names) if line.startswith("| `") else line for line in markdown.split("\n"))
