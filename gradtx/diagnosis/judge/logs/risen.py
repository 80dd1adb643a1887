"""Logs whose loss is higher than it was: it rises, it jumped and stayed, or it is not finite."""

import math

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, text
from gradtx.diagnosis.read.course import Course, middle, running, spread, trend
from gradtx.diagnosis.read.evidence import FEWEST


def rate_text(c: Course, factor: float) -> str:
    """Return the last known learning rate times a factor as text, empty if it is not known."""
    rate = c.rate[np.isfinite(c.rate)]
    return f" to {text(float(rate[-1]) * factor)}" if len(rate) and rate[-1] else ""


def ended(c: Course | None, step: float) -> Finding:
    """Return the finding for a loss that is not finite from a step to the end: after growth, or without any."""
    if c is None:
        return Finding(
            "non_finite",
            "no loss is finite, from the first row on.",
            (),
            "compute one batch by hand: a mask of -inf, log 0, 0/0, or inputs that are not finite",
            confidence="high",
        )
    last = c.y[-8:] if c.rows >= 16 else c.y[-max(c.rows // 2, 1) :]
    before = c.y[: c.rows - len(last)][-56:]
    rise = float(np.max(last) - np.median(before)) if len(before) else 0.0
    usual = max(spread(before), spread(np.diff(before))) if len(before) else 0.0
    norms = c.g[-len(last) :][np.isfinite(c.g[-len(last) :])]
    g_rise = float(np.max(norms)) / middle(c.g[: c.rows - len(last)][-56:]) if len(norms) else math.nan
    by_loss = len(before) > 0 and rise > 10 * usual and rise > 0.3 * float(np.ptp(c.y))
    slow = risen(c) if c.rows >= FEWEST and not by_loss else None
    if slow is not None:
        return Finding(
            "diverging",
            f"the loss had risen before it overflowed at step {step:,.0f}: the step is too large. NOT a bad batch.",
            slow.evidence,
            slow.action,
            slow.doubt,
            confidence=slow.confidence,
        )
    if by_loss or g_rise > 10:
        return Finding(
            "diverging",
            f"the run grew until it overflowed at step {step:,.0f}: the step is too large. NOT a bad batch.",
            (
                f"loss {text(float(np.median(before)))} before, {text(float(np.max(last)))} in the last rows"
                if len(before)
                else f"loss {text(float(c.y[-1]))} in the last row",
                *([f"|g| {text(g_rise)} times its usual"] if g_rise == g_rise else []),
            ),
            f"restart from before it with the learning rate x 0.25{rate_text(c, 0.25)}, or clip |g|",
            confidence="high" if by_loss else "medium",
        )
    return Finding(
        "non_finite",
        f"the loss is not finite since step {step:,.0f}, and nothing had grown before it. NOT too large a rate.",
        (f"loss {text(c.end)} in the rows before, spread {text(c.noise)}",),
        f"look at the batch of step {step:,.0f} (log 0, 0/0, an overflow in half precision), and skip such steps",
        "a jump within one step leaves no trace in a log of every few steps: log every step before it, with |g|",
        confidence="medium",
    )


def risen(c: Course) -> Finding | None:
    """Return a finding if the loss ends well above its least: risen, jumped, or jumped at the start."""
    rise, whole = c.end - c.least, c.most - c.least
    steps = np.diff(c.blocks)
    usual = 1.05 * float(np.median(np.abs(steps - np.median(steps))))  # of a block, were all of them at one level
    usual = max(usual, 1.25 * c.noise / math.sqrt(max(c.rows / len(c.blocks), 1)))
    usual = max(usual, c.wave)
    least = 3 * c.noise if c.least == c.start else c.noise  # the start is a few rows alone
    since = c.blocks[int(np.argmin(c.blocks)) :] if c.least < c.start else c.blocks
    back = np.maximum.accumulate(since) - since  # what goes up and comes back is noise, also where rows hang together
    usual = max(usual, float(np.sqrt(np.mean(back**2))) if c.least < c.start else usual)
    if not (rise > 0.3 * whole and rise > 5 * usual and rise > least) or c.is_falling:
        return None
    smooth = running(c.y, 5)
    low = np.flatnonzero(smooth <= c.least + 0.2 * rise)
    begin = int(low[-1]) if len(low) else 0
    high = np.flatnonzero(smooth[begin:] >= c.least + 0.8 * rise)
    length = int(high[0]) if len(high) else c.rows - begin
    after = smooth[begin + length :]
    change, surety, _ = trend(np.array([np.median(x) for x in np.array_split(after, 20) if len(x)]))
    climbing = surety > 3.5 and change > 0.3 * rise
    sudden = length <= max(5, 0.05 * c.rows) and len(after) >= max(8, 0.1 * c.rows) and not climbing
    where, norm = float(c.step[begin]), norm_line(c, begin, begin + length)
    levels = f"loss {text(c.least)} at its least, {text(c.end)} at the end, spread of a row {text(c.noise)}"
    if sudden and begin <= 0.1 * c.rows and c.start <= c.least + 0.5 * rise:
        return Finding(
            "needs_warmup",
            f"the loss jumped at the start, by step {c.step[begin + length]:,.0f}, and has stayed above where it "
            "began.",
            (levels, *norm),
            f"warm the learning rate up over the first {max(100, 10 * length):,} steps, or start at x 0.1"
            f"{rate_text(c, 0.1)}",
            "a run that diverges with any rate has another fault (initialisation, a loss that is not scaled): "
            "100 steps at a tenth of the rate tell, the loss must not jump",
            confidence="medium",
        )
    if sudden:
        return Finding(
            "collapsed",
            f"the loss jumped from {text(c.least)} to {text(c.end)} after step {where:,.0f} and has stayed there.",
            (levels, f"the jump took {max(length, 1)} of {c.rows:,} rows, {len(after):,} rows ago", *norm),
            f"go back to a checkpoint before step {where:,.0f}; from there a smaller rate (x 0.3{rate_text(c, 0.3)}) "
            "or a "
            "clip of |g|",
            "the data or the loss may have changed there (a new file, another loss weight, a resume): compute the old "
            "checkpoint's loss on a batch of now; if it is as high, it is the data",
            confidence="high" if norm and "NOT" not in norm[0] else "medium",
        )
    if rise < 10 * usual:
        return None
    agrees = c.norm(0.9, 1.0) > 1.5 * c.norm(0.0, 0.5)
    return Finding(
        "diverging",
        "the loss is rising.",
        (levels, f"it rises since about step {where:,.0f}", *norm),
        f"the learning rate x 0.25{rate_text(c, 0.25)}, from a checkpoint before step {where:,.0f}",
        ""
        if agrees
        else "a loss whose weights or data change on purpose (annealing, a curriculum) rises too: one fixed "
        "batch tells",
        confidence="high" if agrees else "medium",
    )


def norm_line(c: Course, begin: int, end: int) -> tuple[str, ...]:
    """Return the line about |g| around the rows of a rise, nothing where it is not known."""
    before = middle(c.g[max(begin - 50, 0) : max(begin, 1)])
    around = c.g[max(begin - 2, 0) : end + 3]
    around = around[np.isfinite(around)]
    if not (before > 0 and len(around)):
        return ()
    most = float(np.max(around)) / before
    return (
        f"|g| there is {text(most)} times that of the rows before" + ("" if most > 3 else ": NOT a large gradient"),
    )
