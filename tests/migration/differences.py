"""The table of docs/migrate.md: what docstrings say of optax under "Differs from".

python -m tests.migration.differences      # writes it into the page
"""

import inspect
import re
from pathlib import Path

import gradtx

PAGE = Path(__file__).parents[2] / "docs" / "migrate.md"
START, END = "<!-- from the docstrings: python -m tests.migration.differences -->\n", "<!-- end -->\n"


def differences() -> dict[str, list[str]]:
    """Return what differs from optax, with the names of the functions of which it is said."""
    found: dict[str, list[str]] = {}
    for name in sorted(set(gradtx.__all__) - set(gradtx.optax_names.__all__)):
        doc = inspect.getdoc(getattr(gradtx, name)) or ""
        said = re.search(r"^Differs from: (.*?)(?=\n\n|\n[A-Z][\w ]+:)", doc, flags=re.MULTILINE | re.DOTALL)
        text = " ".join(said[1].split()) if said else ""
        if "optax" in text:
            found.setdefault(text, []).append(name)
    return found


def table() -> str:
    """Return the table in Markdown."""
    rows = [
        f"| {', '.join(f'`{name}`' for name in names)} | {text.replace('|', chr(92) + '|')} |\n"
        for text, names in sorted(differences().items(), key=lambda pair: pair[1])
    ]
    return "".join(["| name | differs from |\n", "|---|---|\n", *rows])


def pieces(page: str) -> tuple[str, str, str]:
    """Return what stands before the table, the table, and what stands after it."""
    before, rest = page.split(START)
    inside, after = rest.split(END)
    return before, inside, after


if __name__ == "__main__":
    before, _, after = pieces(PAGE.read_text())
    PAGE.write_text(before + START + table() + END + after)
