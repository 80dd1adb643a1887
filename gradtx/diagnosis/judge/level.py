"""Rules that rest on the course of the loss: it rises, it jumped, it stays where a guess is, it is flat, it spikes."""

import math

from gradtx.diagnosis.judge.finding import (
    ABOVE,
    SHARE,
    SURE,
    Finding,
    divide_to_inf,
    fell,
    percent,
    progress_line,
    rate,
    slope_lines,
    text,
    times,
)
from gradtx.diagnosis.read.features import Features

# numbers of classes and sizes of vocabularies that people use
SIZES: tuple[int, ...] = (
    100,
    128,
    256,
    365,
    512,
    1000,
    1024,
    2048,
    4096,
    8192,
    10000,
    16384,
    21841,
    21843,
    28996,
    30522,
    32000,
    32001,
)
SIZES += (32064, 32100, 32128, 32768, 49152, 50257, 50304, 50265, 50432, 64000, 65024, 65536, 100277, 100352, 102400)
SIZES += (
    128000,
    128256,
    131072,
    151643,
    151936,
    152064,
    200064,
    250002,
    250112,
    256000,
    256128,
    262144,
)  # vocabularies


def bounces(f: Features) -> bool:
    """Return True if gradients flip and the steps neither climb nor grow: a bounce, whatever its height."""
    return f.cos1 < -0.9 and f.rho > -1.01 and not f.g_growth > 0.2


def agrees(f: Features) -> bool:
    """Return True if |g|, |u| or rho say as well that the steps grow; without them nothing objects."""
    known = not math.isnan(f.g_last)
    grew = f.g_last > 1.5 * f.g_first or f.g_growth > 0.2 or f.rho < -1.01 or f.u_last > 2 * f.u_first
    return grew if known else f.rise > 2 * ABOVE


def diverging(f: Features) -> Finding | None:
    """Return a finding if the loss is above its start by more than its noise, or on its way back there."""
    above = f.rise > ABOVE and f.lost_again > 0.3
    back = f.lost_again > 0.3 and f.rising > ABOVE and f.g_growth > 0.2
    settled = f.jump > 2 * ABOVE and abs(f.drift) < 0.2  # a jump, and flat since
    if not (above or back) or fell(f) or bounces(f) or settled or not agrees(f):
        return None
    factor = divide_to_inf(1, abs(1 - f.rho)) if f.rho < -1 else 0.25
    grown = (f"|g| {text(f.g_first)} at the start, {text(f.g_last)} at the end",) if f.g_last == f.g_last else ()
    return Finding(
        "diverging",
        "the loss is rising: the step is too large.",
        (
            f"loss {text(f.loss_start)} at the start, {text(f.loss_least)} at its least, "
            f"{text(f.loss_last)} at the end",
            f"that is {times(f.rise)} spreads of a single loss above the start"
            if above
            else f"it rose by {times(f.rising)} spreads of a single loss within the window",
            *grown,
            *slope_lines(f),
        ),
        f"learning rate x {text(factor)}{rate(f, factor)}",
        "" if grown else "another task or data that became harder look the same; |g| would tell",
    )


def collapsed(f: Features) -> Finding | None:
    """Return a finding if the loss jumped to a level that it never left again."""
    if not (f.jump > ABOVE and f.lost_again > 0.2) or fell(f) or bounces(f):
        return None
    start = f.jumped_at <= max(f.steps // 20, 4)
    return Finding(
        "collapsed",
        f"the loss jumped near step {f.jumped_at:,} to a level that it never left again.",
        (
            f"the jump is {times(f.jump)} spreads high",
            f"loss {text(f.loss_first)} at the start, {text(f.loss_least)} at its least, "
            f"{text(f.loss_last)} at the end",
            progress_line(f),
        ),
        (
            f"start again with learning rate x 0.1{rate(f, 0.1)}, and a warm-up"
            if start
            else f"go back to before step {f.jumped_at:,} with learning rate x 0.25{rate(f, 0.25)}, and clip |g| there"
        ),
        "data or a loss that changed at that step look the same; look at its batch",
    )


def at_chance(f: Features) -> Finding | None:
    """Return a finding if the loss stays at ln k, what a guess among k classes costs.

    The one rule that needs the loss's zero: ln k has no meaning without it.
    """
    level, error = f.loss_last, max(abs(f.gained), f.spread / 8, 0.0)
    if not 0.6 < level < 14 or fell(f) or not (f.loss_start - level < 0.3 * level and error < 0.05 * level):
        return None
    k = round(math.exp(level))
    if k > 50:
        k = min(SIZES, key=lambda size: abs(math.log(size) - level))
    gap = math.log(k + 1) - math.log(k) if k <= 50 else 0.001
    if k < 2 or abs(math.log(k) - level) > min(0.25 * gap, max(0.003 * level, f.spread / 2)):
        return None
    return Finding(
        "at_chance",
        f"the loss stays at ln({k:,}) = {math.log(k):.4g}, what a guess among {k:,} classes costs: nothing is learnt.",
        (f"loss {level:.5g} at the end, ln({k:,}) = {math.log(k):.5g}", progress_line(f)),
        "train on 1 batch until its loss is near 0: if it does not fall, look at the loss and the learning rate; if it "
        "does, labels do not belong to inputs, or inputs are constant",
        "labels that inputs do not determine look the same",
    )


def unbounded(f: Features) -> Finding | None:
    """Return a finding if the loss falls faster and faster while the parameters grow."""
    grows = f.p_growth > 2 and f.u_last > 0.8 * f.u_first and 1.5 * f.g_first < f.g_last < 10 * f.g_first
    if not (fell(f) and f.pace > 1 and grows):
        return None
    return Finding(
        "unbounded",
        "the loss falls faster and faster while the parameters grow: it may have no least value.",
        (
            f"the last half of the run gained {text(f.pace)} times what the first half did",
            f"|p| is {text(f.p_growth)} times what it was at the start",
            progress_line(f),
        ),
        "look at the loss: a log_softmax, a norm or a bound is missing if it can fall below 0 for ever",
        "a run that is leaving a plateau looks the same for a while; |p| then stops growing",
    )


def spiking(f: Features) -> Finding | None:
    """Return a finding for a log whose loss jumps up now and then and comes back."""
    if not (f.log and f.spikes >= 3 and f.peak_late > 20) or fell(f):
        return None
    return Finding(
        "spiking",
        "the loss jumps up and comes back, again and again.",
        (
            f"{f.spikes} blocks rise more than 8 times what a block usually spans, the largest "
            f"{times(f.peak_late)} times",
        ),
        "clip |g| at its usual size; learning rate x 0.5; look at the batches of the spikes",
        "single bad batches and a scale sigma that decayed look the same; spikes that return at one distance are data",
    )


def plateau(f: Features) -> Finding | None:
    """Return a finding if the loss is flat and a log cannot say why: two candidates and what decides."""
    known = f.certainty == f.certainty or f.spread == 0
    if not (f.log and known and f.loss_last == f.loss_last):
        return None
    if f.certainty > SURE and f.share > SHARE:
        return None
    grew, shrank = f.g_last > 3 * f.g_first, f.g_last < 0.01 * f.g_first
    lines: tuple[str, ...] = (progress_line(f),)
    if f.g_last == f.g_last:
        lines += (f"|g| {text(f.g_first)} at the start, {text(f.g_last)} at the end",)
    if grew:
        why = "while |g| grew: a bounce across a valley or a rate that is too large, NOT a critical point"
        action, doubt = "learning rate x 0.1 for 100 steps", "if the loss does not fall then, |g| grows on a flat slope"
    elif shrank:
        why = f"and |g| fell to {percent(f.g_last / f.g_first)}: a minimum, a saddle, or units that are saturated"
        action, doubt = "gradtx.probe at this point", "the lowest eigenvalue tells a minimum from a saddle"
    else:
        why = "and the log does not say why: noise of the batches, or steps that are far too short"
        action = "try both for 100 steps: learning rate x 10 and x 0.1; the better one names the cause"
        doubt = "a larger batch decides as well: noise falls with it, short steps do not"
    return Finding("plateau", f"the loss is flat, {why}.", lines, action, doubt)


def zero_loss(f: Features) -> Finding | None:
    """Return a finding if the loss became exactly 0."""
    if f.zeros_since < 0 or not f.log:
        return None
    return Finding(
        "non_finite",
        f"the loss is exactly 0 since step {f.zeros_since:,}: some trainers log a NaN so. NOT a perfect fit.",
        (f"loss {text(f.loss_first)} at the start, exactly 0 since step {f.zeros_since:,}",),
        f"look at the run before step {f.zeros_since:,}: log the loss without a filter; learning rate "
        "x 0.25, or float32 "
        "instead of float16",
        "a batch without any label gives a loss of 0 as well",
    )
