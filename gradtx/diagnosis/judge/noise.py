"""Steps that are noise of the minibatches: they hold the loss up, or are too short for that and learn nothing."""

from gradtx.diagnosis.judge.finding import NEARBY, ONE_BATCH, Finding, path_line, progress_line, rate, text
from gradtx.diagnosis.judge.pace import GREW, aimless, all_vanished, crawling, is_undone
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


def goes_on(f: Features) -> Finding | None:
    """Return `healthy` if steps lead down and outward, which those of a noise floor do not, and the loss has fallen.

    At a floor noise adds |u|^2 a step to |p|^2, which the gradients must take away again: there the mean of -g.p is
    below 0, and the next batch's slope is no way down. Either sign alone may be chance, both together are not.
    """
    onward = f.outward_sure > 0 and f.downhill > 1 and f.outward_sure + f.downhill > 2
    fallen = f.rise < 0 and f.loss_last < f.loss_start
    if noise_floor(f) is None or f.decays is True or is_undone(f) or not (onward and fallen):
        return None
    return Finding(
        "healthy",
        "noise of the batches hides the course of the loss, but the steps lead on: those of a noise floor do not.",
        (
            f"the mean of cos(g_t, u_t-1) is {text(f.downhill)} standard errors below 0, that of -g.p "
            f"{text(f.outward_sure)} above 0; at a floor neither is",
            f"loss {text(f.loss_start)} at the start, {text(f.loss_last)} at the end; one spreads by {text(f.spread)}",
            progress_line(f),
        ),
        "none needed; average the losses of more steps, or take larger batches, to see how fast it falls",
        "a noise floor that was reached a short while ago looks the same; learning rate x 0.1 for 100 steps tells",
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
