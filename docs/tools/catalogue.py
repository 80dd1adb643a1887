"""A hook of mkdocs: tables of names with links to the reference and to arXiv, and with rendered formulas.

The source stays plain, as it is read in a terminal and in an editor.
"""

import re
from typing import Any

from cells import difference, linked, row
from reference import targets

ROWS = {"catalogue.md": row, "index.md": linked, "migrate.md": difference}  # page: how to render a row of its tables
ITEM = re.compile(r"\d\. ")  # of a numbered list, such as what to choose


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Render the rows of the pages above that begin with a name, and all rows of the first page; link their lists."""
    render = ROWS.get(page.file.src_uri)
    if render is None:
        return markdown
    names = targets()
    begin = "| " if render is linked else "| `"
    lines = [linked(line, names) if ITEM.match(line) else line for line in markdown.split("\n")]
    return "\n".join(render(line, names) if line.startswith(begin) else line for line in lines)
