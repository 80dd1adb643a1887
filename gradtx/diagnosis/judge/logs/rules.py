"""The order of the rules for logs: the first that fires is the verdict, the others are named beside it."""

from collections.abc import Callable, Sequence

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, text
from gradtx.diagnosis.judge.logs import still
from gradtx.diagnosis.judge.logs.flat import bounces, chance, gradient_rises, healthy, plateau, spikes
from gradtx.diagnosis.judge.logs.risen import ended, risen
from gradtx.diagnosis.read.course import Course, course_of
from gradtx.diagnosis.read.evidence import FEWEST, Evidence


def judge_log(run: Evidence) -> list[Finding]:
    """Return the findings on a log, the verdict first; never none."""
    columns = run.log
    loss = columns["loss"]
    c = course_of(columns)
    finite = np.flatnonzero(np.isfinite(loss))
    if run.bad_step >= 0 or (c is None and len(loss)):
        return [ended(c, float(max(run.bad_step, 0)))]
    if c is None or c.rows < 3:
        return [few(len(finite))]
    found = [finding for rule in still.RULES if (finding := rule(c)) is not None]
    if c.rows < FEWEST:
        grown = explodes(c)
        return found or ([grown] if grown is not None else [few(c.rows)])
    up = risen(c)
    if up is not None:
        return [*found, up, *fired(c, (spikes,))]
    going = healthy(c)
    if going is not None:
        return [*found, going, *fired(c, (spikes,))]
    at_floor = floor(c, run.floor)
    if at_floor is not None:
        return [*found, at_floor]
    rest = fired(c, (spikes, bounces, gradient_rises, chance))
    return [*found, *rest] or [plateau(c)]


def fired(c: Course, rules: Sequence[Callable[[Course], Finding | None]]) -> list[Finding]:
    """Return the findings of the rules that fire."""
    return [finding for rule in rules if (finding := rule(c)) is not None]


def few(rows: int) -> Finding:
    """Return the finding for a log that is too short."""
    line = f"{rows} losses were read, fewer than {FEWEST} are too few for a verdict."
    return Finding("undecided", line, (), f"log every step, at least {FEWEST}", confidence="low")


def explodes(c: Course) -> Finding | None:
    """Return a finding if a short log rises plainly: in each of its last rows, each rise the larger."""
    steps = np.diff(c.y)
    last = steps[-3:]
    if not (
        len(steps) >= 4 and np.all(last > 0) and last[-1] > 2 * last[0] and last[-1] > 3 * np.median(np.abs(steps))
    ):
        return None
    return Finding(
        "diverging",
        f"the loss explodes within {c.rows} rows.",
        (
            f"loss {text(float(c.y[0]))} at the start, {text(float(c.y[-1]))} at the end, each rise larger than the "
            "last",
        ),
        "the learning rate x 0.1, or clip |g|",
        confidence="high",
    )


def floor(c: Course, least: float | None) -> Finding | None:
    """Return a finding if the loss has come down to the floor that the user named."""
    if not least or not c.start - least > 100 * abs(c.end - least):
        return None
    return Finding(
        "converged_minimum",
        f"the loss has come down to its floor, {text(least)}.",
        (f"loss {text(c.start)} at the start, {text(c.end)} at the end",),
        "stop: nothing is left to gain",
        confidence="high",
    )
