"""The rules: one function for each verdict, tried in order; each prints the numbers that it used.

A rule returns None, or a `Finding` whose evidence can be checked by hand. The first rule that fires gives the verdict,
the others that fire are reported beside it. If two causes look the same from inside the run, the finding names both and
the test that distinguishes them.
"""

import math
from collections.abc import Callable

from gradtx.diagnosis.judge.finding import (
    LEFT,
    MENDED,
    NOTHING,
    ROUNDING,
    STRAIGHT,
    Finding,
    divide_to_inf,
    eta,
    percent,
    progress_line,
    slope_lines,
    text,
)
from gradtx.diagnosis.read.features import Features


def diverging(f: Features) -> Finding | None:
    """Return a finding if the loss is rising without bound."""
    back = f.loss_last > 10 * f.loss_least and f.loss_last > 0.3 * f.loss_first
    far = f.loss_last > 3 * f.loss_first or back
    lost = f.loss_last > 1.2 * f.loss_first and not f.cos1 < -0.9  # flat now above its start, and not in a bounce
    away = f.loss_last > 100 * f.loss_first  # however slowly it grows now
    if not (far and (lost or away or (f.rising > 1.5 and f.g_growth > 0))):
        return None
    factor = divide_to_inf(1, abs(1 - f.rho)) if f.rho < -1 else 0.25
    return Finding(
        "diverging",
        "the loss is rising: the step is too large.",
        (
            f"loss {text(f.loss_first)} at the start, {text(f.loss_last)} at the end",
            f"loss of the last quarter of the window over the first: {text(f.rising)}",
            *slope_lines(f),
        ),
        f"eta x {text(factor)}{eta(f, factor)}",
    )


def always_clipped(f: Features) -> Finding | None:
    """Return a finding if nearly every step is clipped, and hard."""
    if not (f.clipped > 0.95 and f.clip_median < 0.1 and not f.progress > 0.3):
        return None
    factor = divide_to_inf(1, f.clip_median)
    return Finding(
        "always_clipped",
        "nearly every gradient is clipped hard: this is normalised descent with steps of rate x bound.",
        (
            f"clipped {percent(f.clipped)} of the window's steps, median factor {text(f.clip_median)}",
            f"|g| {text(f.g_last)} at the end, bound {text(f.g_last * f.clip_median)}",
            progress_line(f),
        ),
        f"eta x {text(factor)} (1 / median factor){eta(f, factor)}: steps go straight"
        if f.cos1 > 0
        else f"raise the bound to |g|'s usual size, {text(f.g_last)}, and eta to what bears it",
    )


def needs_warmup(f: Features) -> Finding | None:
    """Return a finding if the first steps were so long that the run has not recovered from them."""
    if not (f.scaled is not False and f.early_steps > 4 and f.peak_early > 3 and f.loss_last > 0.1 * f.loss_first):
        return None
    return Finding(
        "needs_warmup",
        "the first steps were far too long, before sigma had seen enough gradients: they threw the start away.",
        (
            f"|u| of the first 5 steps is {text(f.early_steps)} times the usual",
            f"the loss rose to {text(f.peak_early)} times its start within 64 steps",
            f"the loss is still {percent(divide_to_inf(f.loss_last, f.loss_first))} of its start",
        ),
        f"warm up over about 1/(1-b2) steps from eta / {text(f.early_steps)}, or turn bias correction on",
    )


def vanishing_dead(f: Features) -> Finding | None:
    """Return a finding if some groups get no gradient."""
    if not (f.dead and not f.progress > MENDED):
        return None
    names = ", ".join(f.dead)
    return Finding(
        "vanishing_dead",
        f"no gradient reaches {names}: eta is not the cause.",
        (f"gradient exactly 0, or never above 1e-3 of the largest group's, in: {names}", progress_line(f)),
        f"initialise {names} anew (variance 2/fan-in), change the activation, or add a norm or a skip connection",
    )


def sigma_burst(f: Features) -> Finding | None:
    """Return a finding if the loss spikes because sigma had decayed; a minibatch alone can make a spike too."""
    spiky = f.spikes >= 5 if f.one_loss else f.rate_drop > 1.1
    falling = f.progress > 0.5 and f.certainty > 2
    if not (f.scaled is not False and f.peak_late > 10 and spiky and not falling):
        return None
    return Finding(
        "sigma_burst",
        "the loss bursts where sigma has decayed: eta/sigma grew until it was unstable, then the burst raised sigma.",
        (
            f"largest loss of the second half over its median: {text(f.peak_late)}, in {f.spikes} blocks",
            f"eta/sigma differs between parameters by up to {text(f.rate_spread)} times the mean",
        ),
        "decay eta (Adagrad: 1/sqrt(t)), raise eps 100-fold, or take amsgrad, whose sigma never shrinks",
    )


def oscillating(f: Features) -> Finding | None:
    """Return a finding if the iterate bounces between the walls of a valley."""
    if not (f.cos1 < -0.3 and f.gain < 0.2 and f.bounce > 0.03 and not f.progress > 0.5):
        return None
    factor = divide_to_inf(1, 1 - f.rho)
    return Finding(
        "oscillating",
        "the iterate bounces across a valley: eta is too large. NOT a critical point.",
        (
            f"cos(g_t, g_t-1) = {text(f.cos1)}, cos(g_t, g_t-2) = {text(f.cos2)}: the gradient flips",
            *slope_lines(f),
            f"actual / predicted fall of the loss = {text(f.gain)} (1: a small step, 0: a bounce)",
            f"about {percent(min(f.bounce, 1.0))} of the loss is held in the bounce (quadratic estimate)",
            progress_line(f),
        ),
        f"eta x {text(factor)}{eta(f, factor)}, which lands on the line minimum, then a decaying schedule",
        "training at the edge of stability looks the same while its loss falls; only a run with the smaller eta tells",
    )


def healthy(f: Features) -> Finding | None:
    """Return a finding if the loss is still falling."""
    if not (f.progress > MENDED and f.certainty > 2):
        return None
    return Finding("healthy", "the loss is still falling.", (progress_line(f), *slope_lines(f)), "none needed")


def saddle_plateau(f: Features) -> Finding | None:
    """Return a finding for a flat stretch that curves down along the path, or that the run never left."""
    opens = f.rho > 0.9 and (f.rho > 1 or f.decay < 0) and f.g_growth > 0.2
    never_left = f.loss_last >= 0.99 * f.loss_first and f.fall < LEFT and f.g_last >= 0.1 * f.g_most
    never_left = never_left and not f.remaining > LEFT and f.rho > 0
    if not (f.one_loss and (opens or never_left)):
        return None
    return Finding(
        "saddle_plateau",
        "a flat stretch with a way down: the gradient is growing and the curvature along the path is negative."
        if opens
        else "a flat stretch that the run never left: the gradient is small and the loss is where it began.",
        (
            *slope_lines(f),
            f"|g|^2 grew {text(math.exp(f.g_growth))} times over the window while the loss stood",
        ),
        f"add momentum or noise, or wait about {text(1 / max(-f.decay, 1e-30))} steps; a larger eta shortens that",
    )


def crawling(f: Features) -> Finding | None:
    """Return a finding if the steps are far too short for what is left to gain."""
    if f.one_loss:
        lasting = f.decay <= 0 and f.fall > NOTHING
        fires = (f.remaining > LEFT or lasting) and f.rho > -0.5 and not f.straight < 1
        steps = (
            "the fall predicted a step does not decay" if lasting else f"over {text(divide_to_inf(1, f.decay))} steps"
        )
        evidence = f"still to be gained at the present pace: {percent(max(f.remaining, f.fall))} of the loss, {steps}"
    else:
        aimless = divide_to_inf(1 + f.ucos, 1 - f.ucos)  # straightness of noise seen through momentum
        fires = f.straight > max(STRAIGHT, 2 * aimless) or (f.straight > STRAIGHT and f.cos1 + f.cos2 > 0.6)
        evidence = f"straightness of 64 steps = {text(f.straight)} (64: straight, noise here: {text(aimless)})"
    if not fires:
        return None
    return Finding(
        "crawling",
        "every step goes the right way, and far too short a way.",
        (evidence, *slope_lines(f), progress_line(f)),
        f"raise eta 3 to 10 times, first x3{eta(f, 3)}; where that is unstable, take a sigma or momentum",
        "too small a rate and bad conditioning look the same; probe() gives eta lambda_max",
    )


def converged_minimum(f: Features) -> Finding | None:
    """Return a finding if nothing is left to gain nearby."""
    at_rest = f.fall < NOTHING and not f.g_growth > 0
    at_rest = at_rest or (f.fall < ROUNDING and f.straight < 1 and not f.bounce > 0.03)
    came = f.loss_last < 0.99 * f.loss_first or f.g_last < 0.1 * f.g_most
    if not (f.one_loss and came and (f.remaining <= LEFT or at_rest)):
        return None
    return Finding(
        "converged_minimum",
        "nothing is left to gain along the path: a minimum.",
        (
            f"still to be gained if the present decay went on: {percent(f.remaining)} of the loss",
            f"|g| is {text(f.g_last)}, {percent(divide_to_inf(f.g_last, f.g_most))} of its largest",
            *slope_lines(f),
        ),
        "stop, or change the model: the optimizer has done its part",
        "a saddle approached along its ridge looks the same; probe() gives the lowest eigenvalue",
    )


def noise_floor(f: Features) -> Finding | None:
    """Return a finding if the steps are noise of the minibatches."""
    if f.one_loss is not False or crawling(f) is not None:
        return None
    return Finding(
        "noise_floor",
        "the steps are noise of the minibatch: they no longer add up to a way.",
        (
            f"cos(g_t, g_t-1) = {text(f.cos1)}: consecutive gradients have nothing in common",
            f"straightness of 64 steps = {text(f.straight)} (64: straight, 1: random walk)",
            progress_line(f),
        ),
        f"decay eta x 0.1{eta(f, 0.1)}, average the parameters, or take larger batches",
        "slow progress hidden in noise looks the same; probe() on a large batch tells",
    )


RULES: tuple[Callable[[Features], Finding | None], ...] = (
    diverging,
    always_clipped,
    needs_warmup,
    vanishing_dead,
    sigma_burst,
    oscillating,
    healthy,
    saddle_plateau,
    crawling,
    converged_minimum,
    noise_floor,
)
