"""The rules: a function for each way to a verdict, tried in order; each prints the numbers that it used.

A rule returns None, or a `Finding` whose evidence can be checked by hand. The first rule that fires gives the verdict,
the others that fire are reported beside it. If two causes look the same from inside the run, the finding names both and
the test that distinguishes them. No rule but the two of ln k, `at_chance` and `leaves_chance`, asks where the loss has
its zero.
"""

import math
from collections.abc import Callable

from gradtx.diagnosis.judge.finding import (
    FAR,
    PLAIN,
    SHARE,
    Finding,
    divide_to_inf,
    downhill_line,
    falls,
    fell,
    never_left,
    outward_line,
    path_line,
    patience,
    percent,
    progress_line,
    rate,
    slope_lines,
    text,
    times,
)
from gradtx.diagnosis.judge.level import (
    at_chance,
    collapsed,
    diverging,
    leaves_chance,
    unbounded,
)
from gradtx.diagnosis.judge.noise import goes_on, learns_nothing, noise_floor
from gradtx.diagnosis.judge.pace import GREW, all_vanished, crawling, leads_far, too_slow
from gradtx.diagnosis.judge.steps import always_clipped, needs_warmup, sigma_burst
from gradtx.diagnosis.judge.still import decay_bound, not_moving, vanishing_dead
from gradtx.diagnosis.judge.untold import (
    aimless_alone,
    grows_alone,
    leads_alone,
    opens_alone,
    thrown_alone,
    vanished_alone,
)
from gradtx.diagnosis.read.features import Features


def oscillating(f: Features) -> Finding | None:
    """Return a finding if the iterate bounces between the walls of a valley, and that holds more than the run gains."""
    blind = math.isnan(f.gain)  # no loss was passed, or too few: the gradients must say it alone
    flips = f.cos1 < -0.3 and (f.gain < 0.2 or blind)
    turned = min(f.cos1, f.ucos)  # a step of each entry's sign turns round where its gradient does so in part
    plain = turned < -0.9 and f.cos2 > 0.9 and -1.01 < f.rho < -0.9
    holds = f.bounce > 30 and (not fell(f) or f.share < SHARE or f.reach > FAR)
    if not flips or not (holds or (blind and plain)):
        return None
    factor = min(divide_to_inf(1, 1 - f.rho), 0.5) if f.rho < 1 else 0.5
    return Finding(
        "oscillating",
        "the iterate bounces across a valley: the learning rate is too large. NOT a critical point.",
        (
            f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: the gradient flips",
            *slope_lines(f),
            *(
                ()
                if blind
                else (f"actual / predicted fall of the loss = {text(f.gain)} (1: a small step, 0: a bounce)",)
            ),
            *(
                (f"the bounce holds {times(f.reach)} times what the last half of the run gained (quadratic estimate)",)
                if math.isfinite(f.reach) and f.reach > FAR
                else ()
            ),
            *(() if blind else (progress_line(f),)),
        ),
        f"learning rate x {text(factor)}{rate(f, factor)}, then a decaying schedule; repeat while "
        "cos(g_t, g_t-1) < -0.3",
        "training at the edge of stability looks the same while its loss falls; only a run with the smaller rate tells",
    )


def healthy(f: Features) -> Finding | None:
    """Return a finding if the loss is still falling, at a pace that fits what is within reach."""
    if opens_in_noise(f):
        return None
    if leads_far(f):
        return leading(f)
    if not (falls(f) and f.share > SHARE) or too_slow(f) or has_arrived(f):
        return None
    flips = f.cos1 < -0.9 and f.rho < -0.9
    return Finding(
        "healthy",
        "the loss is still falling.",
        (
            progress_line(f),
            *(() if fell(f) else (downhill_line(f) if f.downhill > PLAIN else outward_line(f),)),
            *slope_lines(f),
        ),
        f"none needed; learning rate x 0.5{rate(f, 0.5)} may be faster, since the gradient flips at every step"
        if flips
        else "none needed",
    )


def leading(f: Features) -> Finding:
    """Return the finding for steps that lead down and have come far, while the loss does not say so."""
    return Finding(
        "healthy",
        "the steps lead down and have come far, though the loss of the batches does not show it.",
        (
            downhill_line(f),
            f"|p| is {text(f.p_growth)} times what it was at the start" if f.p_growth > GREW else path_line(f),
            progress_line(f),
        ),
        "none needed; look at a measure of its own, such as the reward of a policy",
        "where the value of the loss is meant to fall, a loss or data that changed look the same",
    )


def opens_in_noise(f: Features) -> bool:
    """Return True if steps of minibatches lead down and their gradients grow, while the loss does not show it yet."""
    steeper = f.g_growth > 0.5 and f.decay < 0 and f.g_last > 1.2 * f.g_first
    return f.one_loss is False and not fell(f) and f.downhill > PLAIN and steeper


def saddle_plateau(f: Features) -> Finding | None:
    """Return a finding for a flat stretch that curves down along the path, or that the run never left."""
    opens = f.rho > 0.9 and (f.rho > 1 or f.decay < 0) and f.g_growth > 0.2
    if f.g_last < 0.01 * f.g_most and f.straight > 32:  # so little grows slowly; rounding would lead nowhere
        opens = opens or (f.rho > 1 and f.decay < 0 and f.g_growth > 0.02)
    noisy = opens_in_noise(f)
    if not (noisy or (f.one_loss and (opens or never_left(f)))):
        return None
    return Finding(
        "saddle_plateau",
        "a flat stretch with a way down: steps lead down and the gradient grows, and the loss does not show it yet."
        if noisy
        else "a flat stretch with a way down: the gradient is growing and the curvature along the path is negative."
        if opens
        else "a flat stretch that the run never left: the gradient is small and the loss is where it began.",
        (
            *((downhill_line(f),) if noisy else slope_lines(f)),
            f"|g|^2 is {text(math.exp(f.g_growth))} times what it was at the start of the window",
        ),
        patience(f),
    )


def has_arrived(f: Features) -> bool:
    """Return True if next to nothing of the whole fall is left, at the present decay and to the minimum of the line."""
    left = f.share * max(f.remaining, f.reach)
    return f.one_loss is True and 0 < left < SHARE / 10 and f.remaining > 0 and f.g_last < SHARE * f.g_most


def converged_minimum(f: Features) -> Finding | None:
    """Return a finding if nothing is left to gain nearby."""
    at_rest = f.fall * f.rows <= 4 * f.quantum and not f.g_growth > 0
    at_rest = at_rest or (f.straight < 1 and not f.bounce > 30)
    little = (f.share < SHARE and (f.reach < FAR or 0 < f.remaining < 1)) or has_arrived(f)
    came = f.loss_start - f.loss_last > 100 * f.quantum or f.g_last < 0.1 * f.g_most
    flips = f.cos1 < -0.3 and f.rho < -0.9 and f.g_last > 0.01 * f.g_most  # steps of one length turn about a minimum
    if not (came and ((f.one_loss and (little or at_rest) and not flips) or all_vanished(f))):
        return None
    left = f.remaining * f.gained
    return Finding(
        "converged_minimum",
        "nothing is left to gain along the path: a minimum.",
        (
            progress_line(f),
            *(
                (f"still to be gained if the present decay went on: {text(left)}",)
                if left >= 0 and math.isfinite(left)
                else ()
            ),
            f"|g| is {text(f.g_last)}, {percent(divide_to_inf(f.g_last, f.g_most))} of its largest",
            *slope_lines(f),
        ),
        "stop, or change the model: the optimizer has done its part",
        "a saddle approached along its ridge looks the same; probe() gives the lowest eigenvalue",
    )


RULES: tuple[Callable[[Features], Finding | None], ...] = (
    not_moving,
    diverging,
    grows_alone,
    always_clipped,
    sigma_burst,
    needs_warmup,
    thrown_alone,
    decay_bound,
    collapsed,
    vanishing_dead,
    oscillating,
    leaves_chance,
    unbounded,
    at_chance,
    healthy,
    opens_alone,
    vanished_alone,
    leads_alone,
    saddle_plateau,
    crawling,
    converged_minimum,
    goes_on,
    learns_nothing,
    noise_floor,
    aimless_alone,
)
