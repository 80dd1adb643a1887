"""Tables as Markdown, and amounts in a few characters."""

from collections.abc import Sequence


def amount(count: float) -> str:
    """Write bytes in a few characters."""
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e3 else f"{count:.0f}"


def grid(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table as Markdown, its columns aligned."""
    rows = [list(columns), *map(list, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    ruled = [rows[0], ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], *rows[1:]]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in ruled]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
