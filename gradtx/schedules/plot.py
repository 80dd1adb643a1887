"""Draw schedules."""

import os
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.arguments.ranges import Event
from gradtx._core.arrays.numerics import INT32_MAX
from gradtx._core.contract.writing import written
from gradtx.schedules.check import CYCLE, checked, named
from gradtx.schedules.count import scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 4_000  # more would not be told apart on a screen


def plot(
    schedule: Any,
    steps: int,
    path: str | os.PathLike[str] | None = None,
    *,
    log: bool = False,
    axes: "Axes | None" = None,
) -> "tuple[Figure, Axes]":
    """Draw one schedule or several against the count.

    The values at counts 0, ..., steps - 1, or at 4,000 of them, evenly spaced, where there are more.

    Units: those of the schedules against updates.

    Args:
        schedule: a schedule of the count, or a list of them; each is labelled as it prints.
        steps: how many updates to show, > 0.
        path: file to write, its ending says which kind; None writes none.
        log: whether the values are drawn on a logarithmic axis.
        axes: matplotlib axes to draw on; None makes a figure, without touching pyplot's.

    Returns:
        The figure and its axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: steps is no whole number > 0.
        TypeError: one of them is an event schedule.

    References:
        Hunter 2007 (matplotlib), https://doi.org/10.1109/MCSE.2007.55

    Examples:
        >>> import gradtx
        >>> figure, axes = gradtx.schedules.plot(gradtx.schedules.linear(1.0, 0.0, 4), 5)
        >>> axes.lines[0].get_ydata().tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    with named("plot"):
        steps = checked("steps", steps, CYCLE)
    schedules = list(schedule) if isinstance(schedule, (list, tuple)) else [schedule]
    for one in schedules:
        if isinstance(one, Event):
            fix = "say when the event comes, .if_at(count)"
            raise TypeError(f"plot: schedule is the event schedule {one!r}, expected one of the count; {fix}")
    if axes is None:
        axes = new_axes()
    counts = np.unique(np.linspace(0, steps - 1, min(steps, MOST_POINTS)).round().astype(np.int64))
    for one in schedules:
        axes.plot(counts, values_at(one, counts), label=written(one))
    axes.set(xlabel="updates made (count)", ylabel="value", yscale="log" if log else "linear")
    axes.margins(x=0.01)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize="small", frameon=False)
    figure: Any = axes.figure
    if path is not None:
        figure.savefig(path)
    return figure, axes


def values_at(schedule: Any, counts: np.ndarray) -> np.ndarray:
    """Return the values at counts: all at once, or one by one where the function needs the number behind a count."""
    given = jnp.asarray(counts, np.int32) if counts[-1] <= INT32_MAX else scalar(counts)
    try:
        return np.asarray(jax.vmap(lambda count: scalar(schedule(count)))(given))
    except TypeError:
        return np.asarray([scalar(schedule(count)) for count in given])


def new_axes() -> "Axes":
    """Return the axes of a new figure that pyplot does not know.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plot: matplotlib is not installed; pip install "gradtx[plot]"') from error
    return Figure(figsize=(8.0, 4.5), layout="constrained").subplots()
