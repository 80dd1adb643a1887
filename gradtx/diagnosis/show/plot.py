"""Draw a report: loss and gradient norm on one time axis, effective learning rates, rho and cosines."""

import os
from typing import Any

import numpy as np

from gradtx._core.contract.errors import describe, message
from gradtx.diagnosis.read.evidence import block_means

LOSS, GRADIENT, BAND = "#1f77b4", "#d62728", "#2ca02c"


def draw(report: Any, path: Any = None) -> Any:
    """Draw loss and |g| on one time axis, eta/sigma as a band, and rho and the cosine below.

    Args:
        report: a `Report`.
        path: where to write the picture; None writes nothing.

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: `path` is neither a path nor an open file.
    """
    if not (path is None or isinstance(path, (str, os.PathLike)) or hasattr(path, "write")):
        raise TypeError(
            message("report.plot", "path", f"is {describe(path)}", "a path", 'write report.plot("run.png")')
        )
    figure = figure_of(report)
    figure.suptitle(f"{report.verdict}: {report.headline}", fontsize=11, wrap=True)
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure


def figure_of(report: Any, width: float = 9.0, ink: str = "black") -> Any:
    """Return the figure without a title, so many inches wide, with text and lines of this colour.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('report.plot: needs matplotlib, expected the extra; pip install "gradtx[plot]"') from error
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: Any = dict.fromkeys(names, ink)
    if ink != "black":  # on a page whose background is not known
        style |= {"legend.framealpha": 0.0, "axes.facecolor": "none", "figure.facecolor": "none"}
    with matplotlib.rc_context(style):
        return panels_of(report, Figure, width, ink)


def panels_of(report: Any, make: Any, width: float, ink: str) -> Any:
    """Return the figure with a panel for the courses, one for eta/sigma and one for rho where they are known."""
    run, rows = report.run, report.run.rows
    banded = bool(np.isfinite(rows["rate_max"]).any())
    paired = bool(np.isfinite(rows["end"]).any())
    panels = 1 + banded + paired
    figure = make(figsize=(width, 3.4 + 2.2 * (panels - 1)), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False, gridspec_kw={"height_ratios": [1.7] + [1.0] * (panels - 1)})[:, 0]
    courses(axes[0], run, ink)
    if banded:
        bands(axes[1], run)
    if paired:
        strip(axes[-1], rows, ink)
    for axis in axes:
        axis.grid(alpha=0.25)
    axes[-1].set_xlabel("update")
    return figure


def courses(axis: Any, run: Any, ink: str) -> None:
    """Draw the loss over the whole run, with its range in each block, and |g| on a second scale."""
    history = run.history
    steps, means = block_means(run)
    used = history["losses"] > 0
    right = axis.twinx()
    if len(means):
        axis.fill_between(
            steps, history["loss_min"][used], history["loss_max"][used], color=LOSS, alpha=0.2, linewidth=0
        )
        axis.plot(steps, means, color=LOSS, label="loss (mean and range)")
    norms = np.sqrt(np.where(np.isfinite(history["gg_max"]), history["gg_max"], np.nan))
    known = np.isfinite(norms)
    right.plot(history["step"][known], norms[known], color=GRADIENT, alpha=0.85, linewidth=1.0, label="|g| (largest)")
    for side, name, values, color in ((axis, "loss", means, LOSS), (right, "|g|", norms[known], GRADIENT)):
        side.set_ylabel(name, color=color)
        side.tick_params(axis="y", colors=color)
        if len(values) and np.all(values > 0) and np.max(values) > 10 * np.min(values):
            side.set_yscale("log")
    if run.bad_step >= 0:
        axis.axvline(run.bad_step, color=ink, linestyle=":", label=f"first non-finite step, {run.bad_step:,}")
    handles = [x.get_legend_handles_labels() for x in (axis, right)]
    axis.legend(handles[0][0] + handles[1][0], handles[0][1] + handles[1][1], loc="upper right", fontsize=9)


def bands(axis: Any, run: Any) -> None:
    """Draw the smallest and largest eta/sigma of each block, and the geometric mean of the last steps."""
    low, high = run.history["rate_min"], run.history["rate_max"]
    known = np.isfinite(low) & np.isfinite(high)
    steps = run.history["step"][known]
    axis.fill_between(steps, low[known], high[known], color=BAND, alpha=0.3, linewidth=0.8, label="smallest to largest")
    axis.plot(run.rows["step"], run.rows["rate_mean"], color=BAND, label="geometric mean, last steps")
    if np.all(low[known] > 0):
        axis.set_yscale("log")
        least, most = float(np.min(low[known])), float(np.max(high[known]))
        axis.set_ylim(least / 2, most * 2)
        axis.yaxis.set_minor_formatter(lambda value, position: "")
        if most < 10 * least:  # no power of ten need lie between them
            axis.set_yticks([float(np.sqrt(least * most))], [f"{np.sqrt(least * most):.3g}"])
    axis.set_ylabel("eta / sigma")
    axis.legend(loc="best", fontsize=9)


def strip(axis: Any, rows: Any, ink: str) -> None:
    """Draw rho and the cosine of consecutive gradients over the last measured steps."""
    with np.errstate(all="ignore"):
        rho = rows["end"] / rows["start"]
    axis.plot(
        rows["step"],
        np.clip(rho, -2, 2),
        ".",
        markersize=3,
        color="#444444" if ink == "black" else ink,
        label="rho (clipped to 2)",
    )
    axis.plot(rows["step"], rows["cos1"], ".", markersize=3, color="#ff7f0e", label="cos(g_t, g_t-1)")
    for level in (-1, 0, 1):
        axis.axhline(level, color=ink, linewidth=0.6, alpha=0.5)
    axis.set_ylim(-2.1, 2.1)
    axis.set_ylabel("last steps")
    axis.legend(loc="best", fontsize=9, ncols=2)
