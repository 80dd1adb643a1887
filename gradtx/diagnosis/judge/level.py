"""Rules that rest on the course of the loss: it rises, it jumped, it stays where a guess is, it is flat, it spikes."""

import math

from gradtx.diagnosis.judge.finding import (
    ABOVE,
    ONE_BATCH,
    PLAIN,
    SURE,
    Finding,
    divide_to_inf,
    downhill_line,
    fell,
    never_left,
    patience,
    progress_line,
    rate,
    slope_lines,
    text,
    times,
)
from gradtx.diagnosis.judge.guess import SIZES
from gradtx.diagnosis.judge.pace import crawling
from gradtx.diagnosis.read.features import Features

DEEP = 1e4  # spreads of the first losses, or times what a run began with: no plateau lies so high


def bounces(f: Features) -> bool:
    """Return True if gradients flip and the steps neither climb nor grow: a bounce, whatever its height."""
    return f.cos1 < -0.9 and f.rho > -1.01 and not f.g_growth > 0.2


def turns_back(f: Features) -> bool:
    """Return True if steps of one loss go to and fro and gain nothing of what their slopes promise."""
    return f.one_loss is True and f.cos1 < -0.3 and f.cos2 > 0.3 and f.gain < 0.1 and f.bounce > 30


def agrees(f: Features) -> bool:
    """Return True if |g|, |u| or rho say as well that the steps grow; without them nothing objects."""
    known = not math.isnan(f.g_last)
    grew = f.g_last > 1.5 * f.g_first or f.g_growth > 0.2 or f.rho < -1.01 or f.u_last > 2 * f.u_first
    return grew if known else f.rise > 2 * ABOVE


def diverging(f: Features) -> Finding | None:
    """Return a finding if the loss is above its start by more than its noise, on its way back there, or explodes."""
    if f.grown > 1000 and f.rho < -10 and f.g_most > 10 * f.g_first:
        return exploding(f)
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


def exploding(f: Features) -> Finding:
    """Return the finding for a run whose last few steps have grown beyond all before, and are finite still."""
    return Finding(
        "diverging",
        "the run explodes in its last steps: the step is too large.",
        (
            f"in the last 16 steps the loss rose {times(f.grown)} times its range before, or |g| "
            "as much above its least",
            f"|g| {text(f.g_first)} at the start, {text(f.g_most)} at its largest",
            *slope_lines(f),
        ),
        f"restart from before step {max(f.steps - 64, 0):,} with learning rate x 0.25{rate(f, 0.25)}, "
        f"or clip |g| at {text(f.g_first)}",
    )


def collapsed(f: Features) -> Finding | None:
    """Return a finding if the loss jumped to a level that it never left again."""
    mends = fell(f) and not f.rise > ABOVE  # what stands above its start falls in vain: the start is nearer
    plain = f.jump > ABOVE and f.lost_again > 0.2
    large = f.jump > ABOVE / 2 and f.lost_again > 0.4 and f.p_growth > 2 and not fell(f)
    # groups whose gradient ended in mid-run, behind gradients that exploded, and all that was learnt is lost
    died = f.gone_since > f.steps // 20 and f.g_most > 10 * f.g_first and f.lost_again > 0.5 and f.jumped_at >= 0
    if not (died or ((plain or large) and not mends)) or bounces(f) or turns_back(f):
        return None
    start = f.jumped_at <= max(f.steps // 20, 4)
    return Finding(
        "collapsed",
        f"the loss jumped near step {f.jumped_at:,} "
        + ("and is still far above where the run began." if fell(f) else "to a level that it never left again."),
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


def classes(level: float) -> int:
    """Return the number of classes of which a guess costs about this loss."""
    k = round(math.exp(level))
    return k if k <= 50 else min(SIZES, key=lambda size: abs(math.log(size) - level))


def leaves_chance(f: Features) -> Finding | None:
    """Return a finding if minibatches all cost what a guess does, as at the start, while |g| grows: a flat start."""
    level = f.loss_last
    if not (f.one_loss is False and 0.6 < level < 14 and abs(f.loss_start - level) < 0.003 * level):
        return None
    k = classes(level)
    close = k >= 2 and abs(level - math.log(k)) < min(0.003 * level, 0.1 * (math.log(k + 1) - math.log(k)))
    if not (close and f.downhill > PLAIN and f.g_growth > 0.5 and f.g_last > 1.5 * f.g_first):
        return None
    return Finding(
        "saddle_plateau",
        "a flat start with a way down: the loss is still what a guess costs, and the gradient grows.",
        (
            f"loss {level:.5g} at the end, {f.loss_start:.5g} at the start, ln({k:,}) = {math.log(k):.5g}",
            f"|g| {text(f.g_first)} at the start, {text(f.g_last)} at the end",
            downhill_line(f),
        ),
        patience(f),
    )


def at_chance(f: Features) -> Finding | None:
    """Return a finding if the loss stays at ln k, what a guess among k classes costs, or has come down to it and slows.

    What is learnt near ln k is learnt by parameters that grow; where the gradient makes them smaller, the loss falls
    because outputs that were wrong become none.

    It needs the loss's zero, as `leaves_chance` does: ln k has no meaning without it.
    """
    level, error = f.loss_last, max(abs(f.gained), f.spread / 8, 0.0)
    fading = fell(f) and f.pace < 0.5 and f.one_loss is False and f.outward_sure < -SURE and f.downhill < PLAIN
    stays = f.loss_start - level < 0.5 * level and not fell(f)  # a start may have been worse than a guess
    if not (0.6 < level < 14 and error < 0.05 * level and (stays or fading)):
        return None
    k = classes(level)
    gap = math.log(k + 1) - math.log(k) if k <= 50 else 0.01
    above = level - math.log(k)  # noise of the steps lifts a loss, nothing but chance takes it below
    lifted = math.inf if fading else max(0.003 * level, f.spread, 0.0 if math.isnan(f.fall) else f.fall)
    fits = -min(0.05 * gap, 0.003 * level) < above < min(0.2 * gap, lifted)
    # a guess costs every sample the same: outputs that spread the loss of n samples by s lift it by about n s^2 / 2
    fits = fits and 2 * f.spread**2 < max(above, 0.003 * level)
    # steps that agree learn something, and a loss that stands where it began has tried nothing
    if k < 2 or not fits or crawling(f) is not None or (f.one_loss and never_left(f)):
        return None
    return Finding(
        "at_chance",
        f"the loss {'has come down to' if fading else 'stays at'} ln({k:,}) = {math.log(k):.4g}, what a guess among "
        f"{k:,} classes costs: nothing is learnt.",
        (
            f"loss {level:.5g} at the end, ln({k:,}) = {math.log(k):.5g}",
            progress_line(f),
            *(
                (
                    f"the mean of -g.p is {text(-f.outward_sure)} standard errors below 0: the loss falls because the "
                    "parameters become smaller",
                )
                if fading
                else ()
            ),
        ),
        ONE_BATCH,
        "labels that inputs do not determine look the same",
    )


def unbounded(f: Features) -> Finding | None:
    """Return a finding if the loss falls faster and faster while the parameters grow."""
    longer = f.p_growth > 2 and f.u_last > 0.8 * f.u_first and f.g_last > 1.5 * f.g_first
    # a run that leaves a plateau gets steeper too: by less, or from parameters that were next to nothing
    deep = f.one_loss is False and f.rise < -DEEP
    grows = longer and (f.g_last < 10 * f.g_first or deep or min(f.p_growth, f.g_last / f.g_first) > DEEP)
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
