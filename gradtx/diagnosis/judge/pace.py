"""Steps that go the right way and are far too short, and what noise would look like."""

import math

from gradtx.diagnosis.judge.finding import (
    FAR,
    STRAIGHT,
    Finding,
    progress_line,
    rate,
    slope_lines,
    text,
    times,
)
from gradtx.diagnosis.read.features import Features


def aimless(f: Features) -> float:
    """Return the straightness of 64 steps that noise has when it is seen through momentum."""
    r = min(max(f.ucos, -0.999), 0.999)
    return (1 + r) / (1 - r) - 2 * r * (1 - r**64) / (64 * (1 - r) ** 2)


def too_slow(f: Features) -> bool:
    """Return True if far more is within reach of a longer step than the last half of the run has gained."""
    if f.one_loss:
        return f.reach > FAR and f.rho > -0.5 and not f.straight < 1
    unchanged = abs(math.log(f.g_last / f.g_first)) < 0.3 if f.g_last > 0 and f.g_first > 0 else False
    return f.straight > 40 and unchanged and not 0 < f.remaining < FAR and not f.rho < 0.5


def crawling(f: Features) -> Finding | None:
    """Return a finding if the steps are far too short for what is left to gain."""
    if f.one_loss:
        lasting = f.decay <= 0 and f.gained > 0 and f.rho > -0.5 and not f.straight < 1
        fires = (too_slow(f) or lasting) and f.fall * f.steps > 10 * f.quantum
        evidence = (
            f"a step to the minimum of the line would gain {times(f.reach)} times what the last half of the run did"
            if f.reach > FAR and math.isfinite(f.reach)
            else "the fall predicted for a step does not decay, and the line has no minimum in sight"
        )
    else:
        fires = f.straight > max(STRAIGHT, min(2 * aimless(f), 32 + aimless(f) / 2)) or (
            f.straight > STRAIGHT and f.cos1 + f.cos2 > 0.6
        )
        evidence = f"straightness of 64 steps = {text(f.straight)} (64: straight, noise here: {text(aimless(f))})"
        if f.straight <= 1.2 * aimless(f):
            evidence = (
                f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: consecutive gradients agree"
            )
    if not fires:
        return None
    return Finding(
        "crawling",
        "every step goes the right way, and far too short a way.",
        (evidence, *slope_lines(f), progress_line(f)),
        f"raise the learning rate 3 to 10 times, first x 3{rate(f, 3)}; where that is unstable, take "
        "a sigma or momentum",
        "too small a rate and bad conditioning look the same; probe() gives eta lambda_max",
    )
