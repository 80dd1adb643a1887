"""Verdicts on fewer than 20 steps, where the numbers are that plain."""

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, rate, text
from gradtx.diagnosis.judge.still import not_moving, vanishing_dead
from gradtx.diagnosis.read.evidence import Evidence
from gradtx.diagnosis.read.features import Features

LEAST = 4  # steps below which nothing is plain
GROWTH = 3.0  # of |g|, and of the rise of the loss over that of the first half, that is no noise


def plain(f: Features, run: Evidence) -> list[Finding]:
    """Return what is plain after a few steps: no step was taken, the run grows at every step, or it bounces."""
    if run.steps < LEAST:
        return []
    known = run.losses[np.isfinite(run.losses)]
    still = not_moving(f) if f.still_since == 0 or f.rate_zero_since == 0 else None
    dead = vanishing_dead(f) if f.gone else None
    found = [grows(f, known), still, dead, flips(f)]
    return [finding for finding in found if finding is not None]


def grows(f: Features, losses: np.ndarray) -> Finding | None:
    """Return a finding if the loss rises from nearly every step to the next, ever faster, and |g| with it."""
    if len(losses) < LEAST or not f.g_growth > 0:
        return None
    half = len(losses) // 2
    rises = np.diff(losses)
    faster = float(losses[-1] - losses[half]) > GROWTH * max(float(np.ptp(losses[: half + 1])), 0.0)
    if not (np.mean(rises > 0) > 0.7 and rises[-1] > 0 and faster):
        return None
    return Finding(
        "diverging",
        "the loss grows from step to step, faster and faster: the step is too large.",
        (
            f"loss {text(float(losses[0]))} at the start, {text(float(losses[half]))} halfway, "
            f"{text(float(losses[-1]))} "
            f"after {len(losses)} steps",
            *((f"|g| grew from {text(f.g_first)} to {text(f.g_last)}",) if f.g_last > f.g_first else ()),
        ),
        f"learning rate x 0.25{rate(f, 0.25)}, from the start",
    )


def flips(f: Features) -> Finding | None:
    """Return a finding if the gradient turns round at every step and is hardly smaller after it."""
    if not (f.rows >= 6 and f.cos1 < -0.9 and f.cos2 > 0.9 and -1.01 < f.rho < -0.9):
        return None
    return Finding(
        "oscillating",
        "the iterate bounces across a valley: the learning rate is too large. NOT a critical point.",
        (
            f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: the gradient flips",
            f"rho = {f.rho:.4g}: lands at equal height on the other wall",
        ),
        f"learning rate x 0.5{rate(f, 0.5)}",
    )
