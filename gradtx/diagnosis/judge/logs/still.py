"""Logs whose parameters do not move: a learning rate of 0, no gradient, a loss that repeats to the last digit."""

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, text
from gradtx.diagnosis.read.course import Course, runs_of


def rate_is_zero(c: Course) -> Finding | None:
    """Return a finding if the learning rate is 0, or has fallen to nothing, well before the end of the run."""
    known = np.isfinite(c.rate)
    if not known.any():
        return None
    rate, peak = c.rate[known], float(np.max(np.abs(c.rate[known])))
    tail = np.abs(rate) <= (1e-4 * peak if len(rate) >= 20 else 0.0)
    stretches = runs_of(tail)
    if not stretches or stretches[-1][1] != len(rate):
        return None
    begin = stretches[-1][0]
    if len(rate) - begin < max(3, 0.1 * len(rate)):
        return None
    since = float(c.step[known][begin])
    if begin == 0:
        head, word = "the learning rate is 0 in every row: nothing is learnt.", "never stepped, or set to 0"
    else:
        head, word = (
            f"the learning rate is 0 since step {since:,.0f}: the schedule ended there.",
            "too short for the run",
        )
    return Finding(
        "not_moving",
        head,
        (
            f"learning rate {text(float(rate[-1]))} in the last {len(rate) - begin:,} of {len(rate):,} rows, largest "
            f"{text(peak)}",
        ),
        f"look at the schedule: it is {word}; print the rate that the optimizer holds, then restart from step "
        f"{since:,.0f}",
        "a rate that is printed as 0 because it is rounded looks the same: print it with more digits",
        confidence="high",
    )


def gradient_is_zero(c: Course) -> Finding | None:
    """Return a finding if |g| is exactly 0 from some step to the end."""
    stretches = runs_of(c.g == 0)
    if not stretches or stretches[-1][1] != c.rows or c.rows - stretches[-1][0] < max(3, 0.05 * c.rows):
        return None
    since = float(c.step[stretches[-1][0]])
    return Finding(
        "vanishing_dead",
        f"|g| is exactly 0 {'in every row' if stretches[-1][0] == 0 else f'since step {since:,.0f}'}: no gradient "
        "arrives.",
        (f"|g| = 0 in the last {c.rows - stretches[-1][0]:,} of {c.rows:,} rows", f"loss {text(c.end)} at the end"),
        "look for weights that are all 0, a detach or stop_gradient between loss and parameters, dead units, or a loss "
        "that does not depend on the parameters",
        "gradients that are cleared before their norm is taken look the same: the loss would then still change",
        confidence="high",
    )


def loss_repeats(c: Course) -> Finding | None:
    """Return a finding if the loss is the same to its last digit over the last half of the run."""
    same = runs_of(np.append(np.diff(c.y) == 0, False))
    if not same or same[-1][1] != c.rows - 1 or c.rows - same[-1][0] < max(10, 0.3 * c.rows):
        return None
    since = "in every row" if same[-1][0] == 0 else f"since step {c.step[same[-1][0]]:,.0f}"
    return Finding(
        "not_moving",
        f"the loss is the same to its last digit {since}: either nothing moves, or nothing of what moves reaches it.",
        (f"loss {text(float(c.y[-1]))} in each of the last {c.rows - same[-1][0]:,} of {c.rows:,} rows",),
        "print a parameter and |g| before and after one step",
        "|g| = 0: dead units or a detached loss; |g| > 0 and the parameter stands: the rate is 0, the parameters "
        "are not in "
        "the optimizer or are frozen, or the update is lost to half precision; it moves: the loss is computed "
        "elsewhere",
        confidence="high",
    )


def loss_is_zero(c: Course) -> Finding | None:
    """Return a finding if the loss drops to exactly 0.0 from one row to the next and stays there."""
    stretches = runs_of(c.y == 0)
    if not stretches or stretches[-1][1] != c.rows or c.rows - stretches[-1][0] < 3 or stretches[-1][0] == 0:
        return None
    at = stretches[-1][0]
    before = float(np.median(c.y[max(at - 5, 0) : at]))
    if abs(before) < 0.02 * float(np.max(np.abs(c.y))):
        return None
    bad = bool(np.any(~np.isfinite(c.g[max(at - 2, 0) :]) & ~np.isnan(c.g[max(at - 2, 0) :])))
    return Finding(
        "non_finite",
        f"the loss reads exactly 0.0 since step {c.step[at]:,.0f}, from {text(before)} before: it is NaN, printed "
        "as 0.",
        (
            f"loss 0.0 in the last {c.rows - at:,} of {c.rows:,} rows, {text(before)} in the rows before",
            "|g| is not finite there" if bad else "trainers that filter NaN and infinity out of their logs print 0.0",
        ),
        "turn the filter off (Hugging Face: logging_nan_inf_filter=False) and restart from before step "
        f"{c.step[at]:,.0f}; "
        "in float16, use bfloat16 or a loss scale",
        "" if bad else "labels that are all masked from there on give 0 too: count the labels of one batch",
        confidence="high" if bad else "medium",
    )


def norm_is_not_finite(c: Course) -> Finding | None:
    """Return a finding if |g| is not finite from some step to the end while the loss is."""
    stretches = runs_of(np.isinf(c.g))
    if not stretches or stretches[-1][1] != c.rows or c.rows - stretches[-1][0] < max(3, 0.05 * c.rows):
        return None
    at = stretches[-1][0]
    since = "in every row" if at == 0 else f"since step {c.step[at]:,.0f}"
    after = "falls on, so steps are taken" if c.is_falling else "does not fall, as if every step were skipped"
    return Finding(
        "non_finite",
        f"|g| is not finite {since}, while the loss is.",
        (f"|g| NaN or infinite in the last {c.rows - at:,} of {c.rows:,} rows", f"the loss {after}"),
        "find the parameter whose gradient is not finite (print the norm of each), in float16 lower the loss "
        "scale or use "
        "bfloat16",
        "the norm may overflow alone, in half precision: take it in float32; if it is finite then, judge the run "
        "by its loss",
        confidence="medium" if c.is_falling else "high",
    )


RULES = (loss_is_zero, rate_is_zero, gradient_is_zero, norm_is_not_finite, loss_repeats)
