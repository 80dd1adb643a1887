"""How cost grows: a step of adamw against the number of leaves, and against the number of parameters."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optax
from cases import CASE, Size
from grid import amount, grid
from timer import JaxStep, faster, lower_seconds, race

import gradtx

Row = dict[str, Any]
LIBS = {"gradtx": gradtx, "optax": optax}
CASE_GROWN = CASE["adamw"]
LEAVES = [1, 4, 16, 64, 256, 1024, 4096]
PARAMETERS = [10**exponent for exponent in range(3, 9)]
QUICK = 256, 10**6  # as far as --quick goes
OF_LEAVES, OF_PARAMETERS = "leaves", "parameters"
EACH, IN = 1024, 16  # parameters in each leaf of the one sweep, leaves of the other


def sizes(*, quick: bool) -> list[tuple[str, Size]]:
    """Return (which sweep, size) of every point."""
    found = [(OF_LEAVES, Size(f"{n} leaves", n * EACH, n)) for n in LEAVES if not quick or n <= QUICK[0]]
    many = [n for n in PARAMETERS if not quick or n <= QUICK[1]]
    return [*found, *((OF_PARAMETERS, Size(f"{n:.0e} parameters", n, IN)) for n in many)]


def growth_row(sweep: str, size: Size, rounds: int) -> Row:
    """Measure one point: trace + lower, compile, a step of each library in turn, and bytes."""
    lowered = lower_seconds(LIBS, CASE_GROWN, size, 1)
    steps = {name: JaxStep(lib, CASE_GROWN, size) for name, lib in LIBS.items()}
    times = race(steps, rounds, cap=4.0)
    row: Row = {"section": "growth", "case": CASE_GROWN.name, "size": size.name, "sweep": sweep}
    row |= {"leaves": size.leaves, "parameters": size.total, "faster": faster(times["gradtx"], times["optax"])}
    row["lower_faster"] = faster(lowered["gradtx"], lowered["optax"])
    row["compile_faster"] = steps["optax"].compile_seconds / steps["gradtx"].compile_seconds
    for name, step in steps.items():
        row[name] = {
            "ms": 1e3 * statistics.median(times[name]),
            "lower_s": statistics.median(lowered[name]),
            "compile_s": step.compile_seconds,
            "memory_bytes": step.memory_bytes,
            "temporary_bytes": step.temporary_bytes,
        }
    return row


def growth_rows(*, quick: bool) -> Iterator[Row]:
    """Measure every point."""
    for sweep, size in sizes(quick=quick):
        yield growth_row(sweep, size, 5 if quick else 21)


def growth_table(rows: Sequence[Row]) -> str:
    """Write the points, those of the leaves first."""
    columns = ["adamw", "leaves", "parameters", "gradtx ms", "optax ms", "times faster", "trace+lower s", "optax s"]
    columns += ["compile s", "optax s", "times faster", "memory", "optax memory"]
    lines = []
    for row in rows:
        ours, theirs = row["gradtx"], row["optax"]
        line = [f"against {row['sweep']}", str(row["leaves"]), f"{row['parameters']:,}"]
        line += [f"{ours['ms']:.3f}", f"{theirs['ms']:.3f}", f"{row['faster']:.2f}"]
        line += [f"{ours['lower_s']:.3f}", f"{theirs['lower_s']:.3f}"]
        line += [f"{ours['compile_s']:.2f}", f"{theirs['compile_s']:.2f}", f"{row['compile_faster']:.2f}"]
        lines.append([*line, amount(ours["memory_bytes"]), amount(theirs["memory_bytes"])])
    return grid(columns, lines)


PANELS = [
    ("one step, ms", "ms"),
    ("trace + lower, s", "lower_s"),
    ("compile, s", "compile_s"),
    ("memory of a step, bytes", "memory_bytes"),
]


def draw_growth(rows: Sequence[Row], path: Path) -> None:
    """Draw each cost against leaves and against parameters, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid_of = plt.subplots(2, len(PANELS), sharey="col", figsize=(11.0, 5.2), layout="constrained")
    for line, sweep in zip(grid_of, (OF_LEAVES, OF_PARAMETERS), strict=True):
        some = [row for row in rows if row["sweep"] == sweep]
        for axes, (title, key) in zip(line, PANELS, strict=True):
            for lib, color, mark in (("optax", "#c2671f", "s"), ("gradtx", "#1f6fb2", "o")):
                at = [row[sweep] for row in some]
                axes.loglog(at, [row[lib][key] for row in some], mark + "-", color=color, label=lib, ms=4, lw=1.4)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel(
                f"{sweep}, {EACH} numbers each" if sweep == OF_LEAVES else f"{sweep}, in {IN} leaves", fontsize=8
            )
            axes.tick_params(which="both", labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
    grid_of[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
