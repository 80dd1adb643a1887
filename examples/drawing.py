"""What the examples draw with: one look, a file for each picture."""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

FIGURES = Path(__file__).parent / "figures"
BLUE, RED, GREEN, ORANGE = "#1f5fa8", "#c23b22", "#2e8540", "#ff8c1a"

plt.rcParams.update(
    {
        "figure.dpi": 100,
        "savefig.dpi": 100,
        "figure.constrained_layout.use": True,
        "font.size": 12,
        "axes.titlesize": 13,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "lines.linewidth": 1.8,
    }
)


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser that every example starts from: `--out DIR`."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=FIGURES, help="folder for the pictures")
    return parser


def save(figure: Figure, out: Path, name: str, *, dpi: int = 100) -> Path:
    """Write the figure as `out`/`name`.png and close it."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.png"
    figure.savefig(path, dpi=dpi)
    plt.close(figure)
    return path


def plain_log(axis: Axis) -> None:
    """Label a log axis that spans little at 1, 2 and 5 times the powers of ten, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def loss_and_gradient(axes: Axes, loss: Any, gradient_norm: Any) -> None:
    """Draw the loss (left axis, below) and the gradient norm (right axis, above) on one time axis, log scales."""
    right = axes.twinx()
    series = ((axes, loss, BLUE, "loss"), (right, gradient_norm, RED, "gradient norm"))
    for side, values, colour, label in series:
        values = np.asarray(values)
        side.semilogy(values, color=colour, linewidth=1.2)
        side.set_ylabel(label, color=colour)
        side.tick_params(axis="y", labelcolor=colour)
        low, high = np.log10(values.min()), np.log10(values.max())
        room = 0.8 * (high - low) + 0.1
        side.set_ylim(10 ** (low - (room if side is right else 0.1)), 10 ** (high + (room if side is axes else 0.1)))
        if high - low < 2:
            plain_log(side.yaxis)
    right.grid(visible=False)
    axes.set_xlabel("update")
