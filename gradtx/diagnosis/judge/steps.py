"""Rules for the size of steps: clipped throughout, too long at the start, too long where sigma had decayed."""

import math

from gradtx.diagnosis.judge.finding import (
    SHARE,
    Finding,
    divide_to_inf,
    fell,
    percent,
    progress_line,
    rate,
    text,
    times,
)
from gradtx.diagnosis.judge.pace import is_straight
from gradtx.diagnosis.read.features import Features


def always_clipped(f: Features) -> Finding | None:
    """Return a finding if nearly every step is clipped, and hard, while the loss does not come to its rest."""
    hard = f.clipped > 0.95 and f.clip_median < 0.1
    # a clip of the norm leaves the gradient's direction, one of each entry does not; a sign has steps of one length too
    one_length = (f.held < 0.02 and f.aligned > 0.999) or (f.limits and f.held < 0.1)
    unread = math.isnan(f.clipped) and f.scaled is not True and one_length
    ends = fell(f) and 0 < f.remaining < 2 and not is_straight(f)  # straight steps would go on beyond what is left
    if not (hard or unread) or ends:
        return None
    factor = divide_to_inf(1, f.clip_median) if hard else 10.0
    seen = (
        f"clipped {percent(f.clipped)} of the window's steps, median factor {text(f.clip_median)}"
        if hard
        else f"|u| is {text(f.u_last)} at every step while |g| changes: log |u| varies "
        f"{percent(f.held)} as much as log |g|"
    )
    bound = (f"|g| {text(f.g_last)} at the end, bound {text(f.g_last * f.clip_median)}",) if hard else ()
    return Finding(
        "always_clipped",
        "nearly every gradient is clipped hard: this is normalised descent with steps of rate x bound.",
        (seen, *bound, progress_line(f)),
        f"learning rate x {text(factor)}{rate(f, factor)}: steps go straight"
        if f.cos1 > 0
        else f"raise the bound to |g|'s usual size, {text(f.g_last)}, and the learning rate to what bears it",
    )


def needs_warmup(f: Features) -> Finding | None:
    """Return a finding if the first steps were so long that the run has not recovered from them."""
    threw = f.early_steps > 4 and f.burst > 2 and (f.peak_early > 8 or f.g_thrown > 10)
    threw = threw or (f.early_steps > 10 and f.burst > 1 and f.peak_early > 8 and f.g_thrown > 10)
    if not (f.scaled is not False and threw):
        return None
    return Finding(
        "needs_warmup",
        "the first steps were far too long, before sigma had seen enough gradients: they threw the start away.",
        (
            f"|u| of the first 5 steps is {text(f.early_steps)} times the usual",
            f"the loss rose within 64 steps by {times(f.burst)} times what lies between its start and its end",
            f"loss {text(f.loss_first)} at the start, {text(f.loss_last)} at the end",
        ),
        f"warm up over about 1/(1-b2) steps from learning rate / {text(f.early_steps)}, or turn bias correction on",
    )


def sigma_burst(f: Features) -> Finding | None:
    """Return a finding if the loss spikes because sigma had decayed; a minibatch alone can make a spike too."""
    spiky = f.spikes >= 5 if f.one_loss else f.rate_drop > 1.1 and f.spikes >= 1
    if not (f.scaled is not False and f.peak_late > 20 and spiky) or (fell(f) and f.share > SHARE):
        return None
    return Finding(
        "sigma_burst",
        "the loss bursts where sigma has decayed: eta/sigma grew until it was unstable, then the burst raised sigma.",
        (
            f"the loss of the second half rises {times(f.peak_late)} times what a block usually spans, "
            f"in {f.spikes} blocks",
            f"eta/sigma differs between parameters by up to {text(f.rate_spread)} times the mean",
        ),
        f"learning rate x 0.1{rate(f, 0.1)} by a decay (Adagrad: 1/sqrt(t)), raise eps 100-fold, or "
        "take amsgrad, whose "
        "sigma never shrinks",
    )
