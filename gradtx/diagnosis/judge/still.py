"""Rules for what does not move: no rate, no update, updates lost to rounding, no gradient, a decay that balances it."""

from gradtx.diagnosis.judge.finding import ABOVE, LEADS, PLAIN, SHARE, SURE, Finding, fell, percent, progress_line, text
from gradtx.diagnosis.judge.pace import is_undone
from gradtx.diagnosis.read.features import Features

LOST = 0.9  # share of update entries rounded away above which the parameters hardly move
NOTHING = 1e-4  # share of the largest |g| below which nothing is left
MUCH = 0.1  # share of the whole fall: where most is frozen on purpose, the rest still gains this in its last half
SHRUNK = 1e-7  # of the first steps: what is left of a rate that has decayed to 0
MANY = 6  # names that a line lists


def names_of(names: tuple[str, ...]) -> str:
    """Return names as text, the first ones where they are many."""
    return ", ".join(names[:MANY]) + (f" and {len(names) - MANY} more" if len(names) > MANY else "")


def rate_to_set(f: Features) -> str:
    """Return the words that name a rate above 0: plain descent at it moves the parameters by a thousandth a step."""
    if not f.g_last > 0:
        return "set a rate above 0"
    step = 1e-3 * f.p_last if f.p_last > 0 else 1e-2
    return f"set a rate above 0, such as {text(step / f.g_last)} for plain descent"


def not_moving(f: Features) -> Finding | None:
    """Return a finding if the parameters are not changed: by the rate, by a mask, or by rounding."""
    if f.rate_zero_since >= 0:
        since = "in every step" if f.rate_zero_since == 0 else f"since step {f.rate_zero_since:,}"
        return Finding(
            "not_moving",
            f"the learning rate is 0 {since}: nothing is learnt while it is.",
            (
                f"learning rate 0 {since}, of {f.steps:,} steps",
                *((f"|u| = {text(f.u_last)}, |g| = {text(f.g_last)}",) if f.g_last > 0 and f.u_last == 0 else ()),
                progress_line(f),
            ),
            f"call the scheduler, or {rate_to_set(f)}"
            if f.rate_zero_since == 0
            else f"lengthen the schedule beyond step {f.rate_zero_since:,}, or stop: the run is over",
        )
    rests = f.still_since > 0 and f.g_last < NOTHING * f.g_most  # at a minimum, whose last gradients are rounding
    if f.still_since >= 0 and f.g_last > 0 and not rests:
        since = "in every step" if f.still_since == 0 else f"since step {f.still_since:,}"
        return Finding(
            "not_moving",
            f"gradients arrive and no parameter is changed {since}: frozen, masked, or not given to the optimizer.",
            (f"|u| = 0 {since}, while |g| = {text(f.g_last)}", progress_line(f)),
            f"look at masks, set_to_zero and the labels of partition: all {max(len(f.frozen), 1)} "
            "groups have no update" + (", or at a schedule that has ended" if f.still_since > 0 else ""),
        )
    if 0 < f.u_last < SHRUNK * f.u_first and not f.g_last < 0.01 * f.g_most and not fell(f):
        return Finding(
            "not_moving",
            "the steps have shrunk to nothing while the gradient has not: the learning rate has decayed to 0.",
            (
                f"|u| = {text(f.u_first)} at the start, {text(f.u_last)} at the end",
                f"|g| = {text(f.g_last)} is no less than 1 % of its largest",
                progress_line(f),
            ),
            "lengthen the schedule, or set the rate anew: no other precision of the parameters makes up for such steps",
        )
    if f.lost > LOST and not f.g_last < 0.01 * f.g_most and (is_undone(f) or not (fell(f) and f.share > SHARE)):
        return Finding(
            "not_moving",
            "updates are lost to rounding: they are smaller than half a unit in the last place of the parameters.",
            (
                f"{percent(f.lost)} of the update entries leave their parameter as it was",
                f"|u| = {text(f.u_last)}; |g| = {text(f.g_last)} is no less than 1 % of its largest",
                progress_line(f),
            ),
            "keep the parameters in float32, or keep the residue (Kahan) or round stochastically; 1 line: "
            "gradtx.keep_residue",
        )
    if f.frozen_share > 0.5 and not (fell(f) and f.share > MUCH):
        held = names_of(f.frozen_leaves or f.frozen)
        return Finding(
            "not_moving",
            f"no update reaches {held}, though a gradient does: "
            f"{percent(f.frozen_share)} of the parameters are frozen.",
            (f"|u| = 0 and |g| > 0 in {held}", progress_line(f)),
            f"if that is not meant, look at masks and labels: they leave out {percent(f.frozen_share)}",
        )
    return None


def vanishing_dead(f: Features) -> Finding | None:
    """Return a finding if some groups get no gradient; where it is all exactly 0, also while the loss falls."""
    names = f.dead if not (fell(f) and f.share > 10 * SHARE) else f.gone
    if not names:
        return None
    stopped = f.gone and f.gone_since >= 0 and set(names) <= set(f.gone)
    how = f"since step {f.gone_since + 1:,}" if stopped else "exactly 0, or never above 1e-3 of the largest group's"
    return Finding(
        "vanishing_dead",
        f"no gradient reaches {names_of(names)}: the learning rate is not the cause.",
        (f"no gradient in {names_of(names)}: {how}", progress_line(f)),
        f"look for a stop_gradient, a loss that no longer depends on {names[0]}, or units that are "
        "saturated at 0 or 1; "
        f"else initialise {names[0]} anew (variance 2/fan-in), or add a norm or a skip connection",
        "a group that is cut off on purpose looks the same" if fell(f) else "",
    )


def decay_bound(f: Features) -> Finding | None:
    """Return a finding if gradients agree and the parameters stay: something pulls them back as strongly."""
    falls = fell(f) and f.share > SHARE and not f.lost_again > 0.5
    cancelled = f.decays is True and f.u_last < 0.1 * f.u_first  # a sum of two that is near 0 is lost to rounding
    alive = f.g_last > 0.05 * f.g_first and f.u_last > 0 and (cancelled or not f.lost > 0.5)
    agree = f.cos1 > 0.3 and f.cos2 > 0.3
    undone = is_undone(f) and not falls
    shrunk = alive and f.p_growth < 0.5 and f.lost_again > 0.5 and f.rise > 3  # towards 0, and the loss rose again
    held = f.cos1 > 0.5 and f.cos2 > 0.5 and f.straight < 0.5 * 64 * f.cos1 and f.p_growth < 0.7 and f.pace < 0.25
    # the gradients of all batches would make the parameters larger, and steps no longer lead down
    away = f.outward_sure > PLAIN and f.outward > LEADS and f.downhill < SURE
    ends = not falls or (f.pace < 0.1 and f.outward > 0.5)  # the fall has come to its end, and more lies that way
    # every batch would make them larger by far, and they do not grow: what holds them need not be told
    held_in = f.p_growth < 1 and f.outward > 1 and f.outward_sure > 5 * PLAIN
    pushed = (f.decays is True or f.p_growth < 0.8 or held_in) and away and ends
    # to a tenth: by a decay, or against a gradient that would make them larger while the loss falls less and less
    against = f.outward_sure > SURE and f.pace < 0.5
    shrunk = shrunk or (f.p_growth < 0.1 and ((f.decays is True and not falls) or against))
    # steps along gradients that would make parameters larger do not halve them
    shrunk = shrunk or (f.p_growth < 0.5 and f.outward_sure > 2 * PLAIN and f.outward > 1)
    at_once = f.jump > ABOVE / 2 and not f.decays  # what was small within a step was not pulled
    if f.decays is False or at_once or not (shrunk or (alive and (undone or held or pushed))):
        return None
    return Finding(
        "decay_bound",
        "weight decay balances the gradient: it pulls the parameters back as fast as the gradient moves them."
        if not shrunk
        else "weight decay has pulled the parameters towards 0"
        + (", and the loss rose with it." if f.rise > 3 else "."),
        (
            *(
                (
                    f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: consecutive gradients agree",
                    f"straightness of 64 steps = {text(f.straight)}, where gradients that agree so "
                    "well would give about "
                    f"{text(64 * f.cos1)}: the steps are undone",
                )
                if agree
                else ()
            ),
            *(
                (
                    f"the mean of -g.p is {text(f.outward_sure)} standard errors above 0: the gradient would make the "
                    "parameters larger",
                )
                if pushed
                else ()
            ),
            f"|p| is {text(f.p_growth)} times what it was, |g| {text(f.g_last / f.g_first)} times",
            progress_line(f),
        ),
        "weight decay x 0.1, and none on biases and norms",
        "a projection, a norm of the weights or a penalty in another optimizer pulls back as well",
    )
