"""Rules for a run whose losses nobody recorded: what its gradients and its steps say by themselves."""

import math

from gradtx.diagnosis.judge.finding import (
    NEARBY,
    PLAIN,
    SURE,
    Finding,
    divide_to_inf,
    downhill_line,
    outward_line,
    path_line,
    patience,
    percent,
    rate,
    slope_lines,
    text,
    times,
)
from gradtx.diagnosis.judge.pace import aimless, is_undone
from gradtx.diagnosis.judge.still import NOTHING
from gradtx.diagnosis.read.features import Features

ORDERS = math.log(100.0)  # growth of |g|^2 within the window that no noise makes
TELL = "pass the loss to update as value=, or call gradtx.record_loss(state, loss): it would settle this"


def is_untold(f: Features) -> bool:
    """Return True if no loss is known, and gradients are."""
    return math.isnan(f.loss_first) and f.g_first > 0


def grows_alone(f: Features) -> Finding | None:
    """Return `diverging` if |g| grows by orders of magnitude and steps are undone, or if steps lead up throughout."""
    undone = f.g_last > 100 * f.g_first and f.g_growth > ORDERS and min(f.cos1, f.rho) < 0
    climbs = f.downhill < -PLAIN and f.cos1 > 0.5 and f.g_growth > 0.2
    if not (is_untold(f) and (undone or climbs)):
        return None
    grown = f"|g| {text(f.g_first)} at the start, {text(f.g_last)} at the end"
    if undone:
        return Finding(
            "diverging",
            "the gradients grow by orders of magnitude and steps are undone by the next: the step is too large.",
            (grown, f"cos(g_t, g_t-1) = {text(f.cos1)}", *slope_lines(f)),
            f"learning rate x 0.25{rate(f, 0.25)}, from the start",
        )
    return Finding(
        "diverging",
        "the steps go up the slope that gradients find, and the gradients grow: look at the sign of the update.",
        (
            f"the mean of cos(g_t, u_t-1) is {text(-f.downhill)} standard errors above 0: each step goes up for the "
            "next batch",
            grown,
        ),
        "look for a loss or a rate with the wrong sign: updates are added to the parameters",
    )


def thrown_alone(f: Features) -> Finding | None:
    """Return `needs_warmup` if the first steps were far longer than all that followed, and |g| leapt behind them."""
    threw = f.early_steps > 4 and f.g_thrown > 10 and f.p_growth > 2 and f.cos1 < 0.3
    threw = threw or (f.early_steps > 10 and f.g_thrown > 100)
    threw = threw or (f.scaled is True and f.early_steps > 100 and f.p_growth > 2)  # a sigma of a single gradient
    if not (is_untold(f) and f.scaled is not False and threw):
        return None
    return Finding(
        "needs_warmup",
        "the first steps were far too long, before sigma had seen enough gradients: they threw the start away.",
        (
            f"|u| of the first 5 steps is {text(f.early_steps)} times the usual",
            f"|g| rose to {times(f.g_thrown)} times that of the first step within 64 steps",
            *((f"|p| is {text(f.p_growth)} times what it was at the start",) if math.isfinite(f.p_growth) else ()),
        ),
        f"warm up over about 1/(1-b2) steps from learning rate / {text(f.early_steps)}, or turn bias correction on",
        f"a run that learnt much in its first steps looks the same; {TELL}",
    )


def opens_alone(f: Features) -> Finding | None:
    """Return `saddle_plateau` if steps lead down and |g| grows as they do: a flat start."""
    grew = f.g_last > 0.5 * f.g_most and f.g_last > 2 * f.g_first  # a batch may have had a larger one
    largest = grew or f.cos1 > 0.99
    if not (is_untold(f) and f.g_growth > 1 and largest and f.downhill > PLAIN and f.rho > 0):
        return None
    return Finding(
        "saddle_plateau",
        "a flat stretch with a way down: steps lead down, and the gradient grows.",
        (
            f"|g| {text(f.g_first)} at the start, {text(f.g_last)} at the end",
            downhill_line(f),
            *slope_lines(f),
        ),
        patience(f),
        f"a loss that has no least value looks the same; {TELL}",
    )


def leads_alone(f: Features) -> Finding | None:
    """Return `healthy` if steps lead down and come far, or come to an end of what they lead down to."""
    hidden = f.decays is False and f.outward_sure > PLAIN and f.path > NEARBY  # as `grows_down`, without its share
    leads = f.downhill > PLAIN or hidden
    thrown = f.p_growth > 2 and f.outward_sure < -SURE  # the gradient would undo what made the parameters large
    arrives = f.decay * f.rows > 0.5 and f.g_growth < -0.3 and not (f.straight > 32 and f.path < 0.01)
    far = f.path > 0.1 and math.isfinite(f.p_growth)  # of parameters that start at 0 any way is far
    unclear = thrown or is_undone(f) or f.lost > 0.5 or f.g_last < 0.01 * f.g_most  # near a minimum, or a saddle
    if not (is_untold(f) and leads and not unclear and (arrives or far)):
        return None
    return Finding(
        "healthy",
        "the steps lead down, as far as gradients alone can say.",
        (
            downhill_line(f) if f.downhill > PLAIN else outward_line(f),
            f"|g|^2 is {text(math.exp(f.g_growth))} times what it was at the start of the window"
            if arrives
            else path_line(f),
            *slope_lines(f),
        ),
        "none needed",
        f"too small a rate may look the same; {TELL}",
    )


def vanished_alone(f: Features) -> Finding | None:
    """Return `converged_minimum` if the gradient has become next to nothing and does not grow again."""
    goes_on = f.straight > 32 and f.rho > 0.99  # along a slope that does not end, however little of the first is left
    rests = f.g_last < NOTHING * min(f.g_most, 10 * f.g_first) and not f.g_growth > 0.1 and not goes_on
    if not (is_untold(f) and rests):
        return None
    return Finding(
        "converged_minimum",
        "the gradient has vanished: a minimum, or a saddle.",
        (f"|g| is {text(f.g_last)}, {percent(divide_to_inf(f.g_last, f.g_most))} of its largest", *slope_lines(f)),
        "stop, or change the model: the optimizer has done its part",
        "a saddle approached along its ridge looks the same; probe() gives the lowest eigenvalue",
    )


def aimless_alone(f: Features) -> Finding | None:
    """Return `noise_floor` if consecutive gradients have nothing in common and the steps lead nowhere."""
    common = max(abs(f.cos1), abs(f.cos2))
    if not (is_untold(f) and f.rows >= 64 and common < 0.1 and abs(f.downhill) < SURE and f.straight < 2 * aimless(f)):
        return None
    return Finding(
        "noise_floor",
        "the steps are noise of the minibatch: they no longer add up to a way.",
        (
            f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: consecutive gradients have little in "
            "common",
            f"straightness of 64 steps = {text(f.straight)} (64: straight, noise here: {text(aimless(f))})",
        ),
        f"learning rate x 0.1{rate(f, 0.1)}, average the parameters, or take larger batches",
        f"labels that inputs do not determine look the same; {TELL}",
    )
