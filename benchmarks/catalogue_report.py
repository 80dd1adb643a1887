"""Show the catalogue: a table with a row for each method, and a bar chart of those that optax has too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grid import amount, grid

Row = dict[str, Any]
COLUMNS = ["method", "size", "gradtx ms", "optax ms", "times faster", "floor", "optax floor", "bytes", "optax bytes"]
COLUMNS += ["temp", "optax temp", "trace+lower s", "times faster"]


def catalogue_table(rows: Sequence[Row]) -> str:
    """Write the rows of the catalogue; a method that optax lacks has empty cells."""
    lines = []
    for row in rows:
        ours, theirs = row["gradtx"], row.get("optax")
        line = [row["case"], row["size"], f"{ours['ms']:.2f}", f"{theirs['ms']:.2f}" if theirs else ""]
        line += [f"{row['faster']:.2f}" if theirs else ""]
        for key, write in (
            ("share_of_floor", "{:.2f}".format),
            ("bytes_over_floor", "{:.2f}".format),
            ("temporary_bytes", amount),
        ):
            line += [write(ours[key]), write(theirs[key]) if theirs else ""]
        lines.append([*line, f"{ours['lower_s']:.3f}", f"{row['lower_faster']:.1f}" if theirs else ""])
    return grid(COLUMNS, lines)


def elsewhere_table(rows: Sequence[Row]) -> str:
    """Write how many times faster a method is over many leaves and in a scan, and than other libraries."""
    names = list(dict.fromkeys(name for row in rows for name in row.get("peers", {})))
    columns = ["times faster than", "optax, 500 leaves", "optax, in a scan", *names]
    lines = []
    for row in rows:
        line = [row["case"], *(f"{row[key]['faster']:.2f}" if key in row else "" for key in ("many", "scan"))]
        peers = row.get("peers", {})
        lines.append([*line, *(f"{peers[name]['faster']:.2f}" if name in peers else "" for name in names)])
    return grid(columns, lines)


def draw_catalogue(rows: Sequence[Row], path: Path) -> None:
    """Draw how many times faster than optax the step of each method is, the fastest first."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    some = sorted((row for row in rows if "faster" in row), key=lambda row: row["faster"])
    times, names = [row["faster"] for row in some], [row["case"] for row in some]
    figure, axes = plt.subplots(figsize=(7.0, 0.9 + 0.19 * len(some)), layout="constrained")
    axes.barh(range(len(some)), times, 0.7, color=["#1f6fb2" if t >= 0.95 else "#c2671f" for t in times])
    for y, row in enumerate(some):
        ours, theirs = (amount(row[lib]["temporary_bytes"]) for lib in ("gradtx", "optax"))
        axes.text(
            max(row["faster"], 1.0) + 0.05, y, f"{row['faster']:.2f}   ({ours}, {theirs})", va="center", fontsize=7
        )
    axes.axvline(1.0, color="0.3", lw=1)
    axes.set_xlim(0, 1.35 * max(times))
    axes.set_ylim(-0.8, len(some) - 0.2)
    axes.set_yticks(range(len(some)), names, fontsize=8)
    axes.tick_params(left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    text = "time of optax's step / time of gradtx's step\nin brackets: temporary bytes of gradtx, of optax"
    axes.set_xlabel(text, fontsize=9)
    figure.savefig(path, dpi=150)
