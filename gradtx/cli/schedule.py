"""`gradtx schedule "warmup_cosine(3e-4, 500, 20_000)"`: draw a schedule in the terminal or to a file."""

import argparse
import json
import shutil
from typing import Any

import numpy as np

from gradtx.cli.call import EXAMPLE, counts, read_schedule
from gradtx.cli.say import say
from gradtx.schedules.base import Schedule
from gradtx.schedules.event import HoldUntil
from gradtx.schedules.plot import plot

__all__ = ["add", "drawn", "run"]

HEIGHT = 12
FEWEST, MOST = 20, 100  # columns of a picture of text


def add(commands: Any) -> None:
    """Add the command to a parser's commands."""
    schedule = commands.add_parser(
        "schedule",
        help="draw a schedule in the terminal or to a file",
        description=f'Draw a schedule, such as "{EXAMPLE}". The expression is parsed, not evaluated: it may hold calls '
        "of gradtx's schedules, under their names or optax's, with numbers, lists and dicts.",
    )
    schedule.add_argument("expression", help=f'the schedule, in quotes: "{EXAMPLE}"')
    schedule.add_argument("--steps", type=int, help="updates to show (default: what the numbers in it suggest)")
    schedule.add_argument("--out", metavar="FILE", help="draw to a file (.png, .svg, .pdf) and not in the terminal")
    schedule.add_argument("--log", action="store_true", help="with --out: a logarithmic axis")
    schedule.add_argument("--json", action="store_true", help="print counts and values as JSON")


def drawn(values: np.ndarray[Any, Any], steps: int, width: int) -> str:
    """Return a picture of text: a mark for each column, and strokes where the next one lies higher or lower.

    Args:
        values: one for each column.
        steps: the number of updates that they span.
        width: of the picture with its labels.

    Returns:
        `HEIGHT` lines with the values at the left, and a line with the counts.
    """
    low, high = float(values.min()), float(values.max())
    span = high - low or abs(high) or 1.0
    rows = np.rint((values - low) / span * (HEIGHT - 1)).astype(int)
    grid = [[" "] * len(values) for _ in range(HEIGHT)]
    for x, row in enumerate(rows):
        before = rows[x - 1] if x else row
        for y in range(min(row, before) + 1, max(row, before)):
            grid[y][x] = "|"
        grid[row][x] = "*"
    labels = {0: low, HEIGHT - 1: high, (HEIGHT - 1) // 2: low + span * ((HEIGHT - 1) // 2) / (HEIGHT - 1)}
    lines = [
        f"{f'{labels[y]:.4g}' if y in labels else '':>{width}} |{''.join(grid[y]).rstrip()}"
        for y in reversed(range(HEIGHT))
    ]
    end = f"{steps - 1:,}"
    return "\n".join([*lines, f"{'':>{width}} +{'-' * len(values)}", f"{'':>{width}}  0{end:>{len(values) - 1}}"])


def draw_to(out: str, made: Schedule, steps: int, log: bool) -> int:
    """Draw a schedule to a file; return the exit status.

    Raises:
        ValueError: the file cannot be written; it says why.
        ImportError: matplotlib is not installed.
    """
    try:
        plot(made, steps, out, log=log)
    except OSError as error:
        raise ValueError(
            f"schedule: --out {out} cannot be written ({error.strerror}); name a file in a folder"
        ) from error
    except ValueError as error:
        raise ValueError(f"schedule: --out {out} cannot be drawn: {str(error)[:1].lower()}{str(error)[1:]}") from error
    say(f"picture: {out}")
    return 0


def run(chosen: argparse.Namespace) -> int:
    """Read the expression and draw; return the exit status."""
    try:
        made = read_schedule(chosen.expression)
        if isinstance(made, HoldUntil):
            raise ValueError(f"schedule: {made} waits for what you measure; it has no values before training")
        steps = counts(chosen.expression) if chosen.steps is None else chosen.steps
        if not 1 < steps < 2**31:
            raise ValueError(f"schedule: --steps is {steps}, expected a whole number > 1 and below 2^31")
        if chosen.out:
            return draw_to(chosen.out, made, steps, chosen.log)
    except (ValueError, TypeError, ImportError, OSError) as error:
        say(str(error))
        return 2
    label = 10
    columns = max(FEWEST, min(MOST, shutil.get_terminal_size((80, 24)).columns - label - 3))
    at = np.unique(np.linspace(0, steps - 1, columns).astype(int))
    values = np.asarray(made(at.astype(np.int32)), np.float64)
    if not np.isfinite(values).all():
        say(f"schedule: {made} is not finite at count {at[~np.isfinite(values)][0]:,}")
        return 2
    if chosen.json:
        print(json.dumps({"schedule": str(made), "steps": steps, "counts": at.tolist(), "values": values.tolist()}))
    else:
        peak = int(np.argmax(values))
        print(f"{made}\n{drawn(values, steps, label)}")
        print(f"first {values[0]:.4g}   largest {values[peak]:.4g} near {at[peak]:,}   last {values[-1]:.4g}")
    return 0
