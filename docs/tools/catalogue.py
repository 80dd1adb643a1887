"""A hook of mkdocs: the tables of the catalogue with rendered formulas, and with links to the reference and to arXiv.

The source stays plain, as it is read in a terminal and in an editor.
"""

from typing import Any

from cells import row
from reference import PAGES, names_on, public


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Render the rows of the catalogue; other pages stay as they are."""
    if page.file.src_uri != "catalogue.md":
        return markdown
    listed = [name for _, _, folders in PAGES.values() for name in names_on(folders)]
    # a second name, such as `multi_transform`, has no entry of its own
    first = {id(public()[name]): name for name in listed}
    names = {name.rsplit(".", 1)[1]: first[id(thing)] for name, thing in public().items() if id(thing) in first}
    return "\n".join(row(line, names) if line.startswith("| `") else line for line in markdown.split("\n"))
