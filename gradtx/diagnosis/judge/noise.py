"""Steps that are noise of the minibatches: they hold the loss up, or are too short for that and learn nothing."""

from gradtx.diagnosis.judge.finding import NEARBY, ONE_BATCH, Finding, path_line, progress_line, rate, text
from gradtx.diagnosis.judge.pace import GREW, aimless, all_vanished, crawling
from gradtx.diagnosis.read.features import Features


def noise_floor(f: Features) -> Finding | None:
    """Return a finding if the steps are noise of the minibatches."""
    if f.one_loss is not False or crawling(f) is not None or all_vanished(f):
        return None
    common = f.cos1 > 0.3
    return Finding(
        "noise_floor",
        "the steps are noise of the minibatch: they no longer add up to a way.",
        (
            f"cos(g_t, g_t-1) = {text(f.cos1)}: "
            + (
                "consecutive gradients agree, but their steps are undone"
                if common
                else "consecutive gradients have little in common"
            ),
            f"straightness of 64 steps = {text(f.straight)} (64: straight, noise here: {text(aimless(f))})",
            progress_line(f),
        ),
        f"learning rate x 0.1{rate(f, 0.1)}, average the parameters, or take larger batches",
        "slow progress hidden in noise looks the same; learning rate x 10 for 100 steps tells, or "
        "probe() on a large batch",
    )


def learns_nothing(f: Features) -> Finding | None:
    """Return `at_chance` if steps are noise that is too short to hold the loss up, and the loss is where it began.

    A noise floor is held by steps that wander: over a run they go as far as the parameters are large.
    """
    short = NEARBY < f.path < 0.5 and f.p_growth < GREW and f.outward_sure < 0
    stays = abs(f.loss_start - f.loss_last) < 2 * f.spread
    first = noise_floor(f)
    if first is None or not (short and stays):
        return None
    return Finding(
        "at_chance",
        "the steps are noise of the minibatch, too short to hold the loss up, and the loss is where it began: nothing "
        "is learnt.",
        (
            path_line(f),
            f"loss {text(f.loss_start)} at the start, {text(f.loss_last)} at the end; one spreads by {text(f.spread)}",
            *first.evidence[:2],
        ),
        ONE_BATCH,
        "labels that inputs do not determine look the same, and so does slow progress hidden in noise: learning rate x "
        "10 for 100 steps tells",
    )
