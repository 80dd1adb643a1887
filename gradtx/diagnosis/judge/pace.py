"""Steps that go the right way and are far too short, and what noise would look like."""

import math

from gradtx.diagnosis.judge.finding import (
    ABOVE,
    FAR,
    NEARBY,
    PLAIN,
    SHARE,
    STRAIGHT,
    SURE,
    Finding,
    downhill_line,
    falls,
    progress_line,
    rate,
    slope_lines,
    text,
    times,
)
from gradtx.diagnosis.read.features import Features

GREW = 1.5  # times the size of the parameters at the start: a run that has gone so far takes no short steps


def aimless(f: Features) -> float:
    """Return the straightness of 64 steps that noise has when it is seen through momentum."""
    r = min(max(f.ucos, -0.999), 0.999)
    return (1 + r) / (1 - r) - 2 * r * (1 - r**64) / (64 * (1 - r) ** 2)


def too_slow(f: Features) -> bool:
    """Return True if far more is within reach of a longer step than the last half of the run has gained."""
    if f.one_loss:
        return f.reach > FAR and f.rho > -0.5 and not f.straight < 1
    if f.p_growth > GREW:
        return False
    unchanged = abs(math.log(f.g_last / f.g_first)) < 0.3 if f.g_last > 0 and f.g_first > 0 else False
    goes_straight = f.straight > 40 and is_straight(f) and unchanged
    return (goes_straight and not 0 < f.remaining < FAR and not f.rho < 0.5) or falls_evenly(f)


def falls_evenly(f: Features) -> bool:
    """Return True if the loss falls along a straight line, and little in all, and no sigma alone makes it so.

    Without a sigma, the mean gradient has not changed then; with one, the parameters must not have moved either. At
    exp(-n / 2 tau) = FAR / (1 + FAR) there is FAR times as much left as the last half of the run has gained.
    """
    in_proportion = (f.scaled is False or f.aligned > 0.999) and f.held > 0.05  # a sign's steps have one length
    stands = in_proportion or f.path < NEARBY
    little = f.loss_start - f.loss_last < ABOVE * f.spread
    return stands and little and f.downhill > SURE and FAR / (1 + FAR) < f.steady < 1 + 1 / FAR


def is_straight(f: Features) -> bool:
    """Return True if steps of minibatches go one way, beyond what momentum makes of noise."""
    return f.straight > max(STRAIGHT, min(2 * aimless(f), 32 + aimless(f) / 2)) or (
        f.straight > STRAIGHT and f.cos1 + f.cos2 > 0.6
    )


def leads_down(f: Features) -> bool:
    """Return True if each step goes down for the next batch as well, and the losses of the batches do not show it.

    Either that is sure by itself, or it is likely and the steps go one way more than noise would.
    """
    likely = f.downhill > SURE and f.straight > max(STRAIGHT / 2, 2 * aimless(f))
    return f.one_loss is False and (f.downhill > PLAIN or likely) and not is_undone(f) and not falls(f)


def is_undone(f: Features) -> bool:
    """Return True if consecutive gradients agree and their steps lead nowhere: seldom ones, or a decay, undo them."""
    return f.cos1 > 0.3 and f.cos2 > 0.3 and f.straight < min(STRAIGHT, 0.2 * 64 * f.cos1)


def leads_far(f: Features) -> bool:
    """Return True if such steps have come far and go no straight way: they are short of nothing."""
    far = f.p_growth > GREW and not is_straight(f)
    moves = f.path > 3 * NEARBY and math.isfinite(f.p_growth) and f.straight < 32 and not f.jump > 4
    moves = moves and f.loss_last < f.loss_start
    arrives = f.decay * f.rows > 1 and f.g_growth < -0.5  # what they lead down to comes to an end
    return leads_down(f) and (far or moves or arrives)


def all_vanished(f: Features) -> bool:
    """Return True if the gradients of all batches have become next to nothing, and what is left to gain with them."""
    exploded = f.rho < -10 or f.g_last > f.g_first  # the largest gradient came after these, not before
    return f.one_loss is False and f.g_last < 1e-3 * f.g_most and f.share < SHARE and not exploded


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
    elif is_straight(f):
        leads = f.downhill > SURE or f.straight > 32  # or the next batch does not confirm the way: momentum made it
        fires = leads if f.one_loss is False else f.downhill > SURE and f.rho > -0.5
        evidence = (
            f"straightness of 64 steps = {text(f.straight)} (64: straight, noise here: {text(aimless(f))})"
            if f.straight > 1.2 * aimless(f)
            else f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: consecutive gradients agree"
        )
    else:  # what the losses of the batches hide, the next batch's slope along each step may show
        fires = falls_evenly(f) or (leads_down(f) and not f.p_growth > GREW)
        evidence = downhill_line(f)
    if f.one_loss is not True and math.isfinite(f.p_growth) and f.path > 2 * NEARBY:
        fires = False  # no short way: minibatches made it look so
    if not fires or all_vanished(f):
        return None
    return Finding(
        "crawling",
        "every step goes the right way, and far too short a way.",
        (evidence, *slope_lines(f), progress_line(f)),
        f"raise the learning rate 3 to 10 times, first x 3{rate(f, 3)}; where that is unstable, take "
        "a sigma or momentum",
        "too small a rate and bad conditioning look the same; probe() gives eta lambda_max",
    )
