"""What a probe adds to the findings: it distinguishes a minimum from a saddle, and slow progress from a noise floor."""

import dataclasses
import math

from gradtx.diagnosis.judge.finding import FAR, Finding, fell, percent, progress_line, slope_lines, text, times
from gradtx.diagnosis.judge.pace import aimless
from gradtx.diagnosis.probing.probed import Probe
from gradtx.diagnosis.read.features import Features

LONGER = 10.0  # if a step this many times longer still gains, the steps are too short
LITTLE = 0.02  # share of the whole fall: a run that gains so little may stand on a saddle
GAIN = 0.1  # share of the run's whole fall that counts as a gain
MUCH = 0.5  # the same share for a run in noise, which a large batch always improves a little
BESIDE = 0.3  # share of a fall that negative curvature must offer: of that along the update, of the whole run's


def sharpen(found: list[Finding], f: Features, probe: Probe) -> list[Finding]:
    """Return the findings, the first one corrected or its doubt removed by what the probe measured.

    Only findings about stuck runs change. What the record proves (a blow-up, a bounce, a burst) is not changed by a
    probe at one point.
    """
    first = found[0] if found else None
    word = "undecided" if first is None else first.verdict
    if word in ("healthy", "crawling", "saddle_plateau", "undecided") and probe.endless:
        return [bottomless(probe), *drop(found, word)]
    if word in ("healthy", "crawling") and (other := not_so_well(word, f, probe)):
        return [other, *found]
    if first is not None and word == "crawling":
        return fits_path(found, f, probe) or [pace(first, f, probe), *found[1:]]
    gains = along(probe) > GAIN * abs(f.loss_start - f.loss_last)
    longer = probe.best_scale >= LONGER and gains
    if word in ("converged_minimum", "undecided", "saddle_plateau") and f.one_loss is not False:
        found = flat(found, word, longer, probe)
    if first is None:
        return found
    if word == "oscillating" and 0 < probe.best_scale < 1 and gains:
        line = f"a step x{text(probe.best_scale)} from here would cut the loss by {percent(probe.best_fall)}"
        return [dataclasses.replace(first, evidence=(*first.evidence, line), doubt=""), *found[1:]]
    if word == "noise_floor":
        much = along(probe) > MUCH * abs(f.loss_start - f.loss_last)
        drifts = f.straight > max(2, aimless(f)) and not f.downhill < 0
        if drifts and longer and much and not probe.is_noise and below_edge(probe, 0.1):
            return [too_short(probe), *found]
        return [dataclasses.replace(first, doubt=""), *found[1:]] if probe.is_noise else found
    return found


def not_so_well(word: str, f: Features, probe: Probe) -> Finding | None:
    """Return what a run stands before that falls, or crawls: a saddle, or steps that noise makes look long enough."""
    if approaches_saddle(probe, f):
        return slowing(probe, f)
    # curvature negative by more than its error: next to a run that gains nothing, only a way down can lie there
    stands = f.share < LITTLE and f.rho > 0.8 if word == "healthy" else not leaves_by_itself(probe, f)
    if descends(probe, f) and stands:
        return saddle(probe)
    far = f.one_loss is False and along(probe) > FAR * f.gained > 0
    return too_short(probe) if word == "healthy" and far and probe.best_scale >= LONGER else None


def fits_path(found: list[Finding], f: Features, probe: Probe) -> list[Finding]:
    """Return the findings with `healthy` first where no longer step gains half of what the last half of the run did.

    That more was in reach was an estimate: where the curvature grows along the path, or turns it, the line ends sooner.
    A rate near its edge, or a path that gains little of the whole fall, is a crawl all the same.
    """
    falls = f.one_loss is True and fell(f) and f.share > GAIN and below_edge(probe, 0.25)
    if not (falls and probe.sharpness is not None and 0 <= 2 * along(probe) < f.gained):
        return []
    line = (
        f"the best step along the update, x{text(probe.best_scale)}, would gain {text(along(probe))}; "
        f"the last half of the run gained {text(f.gained)}"
    )
    well = Finding("healthy", "the loss is still falling.", (progress_line(f), line), "none needed")
    return [well, *drop(found, "crawling", "saddle_plateau")]


def along(probe: Probe) -> float:
    """Return the fall of the loss by the best of the steps along the update that were tried, in units of the loss."""
    return probe.best_fall * (abs(probe.loss) or 1.0)


def descends(probe: Probe, f: Features) -> bool:
    """Return True for negative curvature where the gradient is a small part of its largest: no slope, but a saddle."""
    return f.one_loss is not False and probe.curvature_sign == "negative" and not f.g_last > 0.1 * f.g_most


def approaches_saddle(probe: Probe, f: Features) -> bool:
    """Return True if a straight path slows down while a direction of negative curvature leads far lower than it.

    Held against each other are falls of the loss: along that direction, over the whole run, and what is left on the
    path at its present decay. Negative curvature alone is no saddle: most networks have some all the way down, and
    leave along it sooner or later; where it is known how soon, less may lie there.
    """
    if f.one_loss is False or probe.lambda_min_fall is None or not (f.rho > 0.9 and f.decay > 0):
        return False
    down, whole, left = probe.lambda_min_fall, f.loss_start - f.loss_last, f.fall / f.decay
    if down < along(probe):  # a longer step the same way would go lower
        return False
    if probe.lambda_min_steps is None:
        return down > FAR * max(whole, left)
    return down > max(BESIDE * whole, FAR * left) and not leaves_by_itself(probe, f)


def leaves_by_itself(probe: Probe, f: Features) -> bool:
    """Return True if at this rate the run leaves along the lowest eigenvector in less time than it has had."""
    return probe.lambda_min_steps is not None and probe.lambda_min_steps < f.steps


def flat(found: list[Finding], word: str, longer: bool, probe: Probe) -> list[Finding]:
    """Return the findings at a flat point by its curvature and by what a longer step would gain."""
    beside = probe.lambda_min_fall
    if probe.curvature_sign == "negative" and not (longer and beside is not None and beside < BESIDE * along(probe)):
        return [saddle(probe), *drop(found, "saddle_plateau", "converged_minimum")]
    if longer:
        return [too_short(probe), *drop(found, "crawling", word)]
    if probe.curvature_sign == "positive":
        return [minimum(probe), *drop(found, "saddle_plateau", "converged_minimum")]
    return found


def drop(found: list[Finding], *words: str) -> list[Finding]:
    """Return the findings without those of these verdicts."""
    return [finding for finding in found if finding.verdict not in words]


def below_edge(probe: Probe, share: float) -> bool:
    """Return True if the sharpness is below a share of the edge, or if either is unknown."""
    return probe.sharpness is None or probe.edge is None or probe.sharpness < share * probe.edge


def saddle(probe: Probe) -> Finding:
    """Return the finding for a point with negative curvature."""
    return Finding(
        "saddle_plateau",
        "the gradient is small and the curvature is negative in some direction: a saddle, NOT a minimum.",
        (
            f"lowest eigenvalue {text(probe.lambda_min)} (residual {text(probe.lambda_min_residual)}), "
            f"highest {text(probe.lambda_max)}",
            f"|g| = {text(probe.gradient_norm)} on the probe's batch",
        ),
        "add noise or momentum: a step off the saddle grows by 1 + learning rate x "
        f"{text(-probe.lambda_min)} at every update",
    )


def slowing(probe: Probe, f: Features) -> Finding:
    """Return the finding for a path that ends at a saddle."""
    down, whole, left = probe.lambda_min_fall or 0.0, f.loss_start - f.loss_last, f.fall / f.decay
    gained = f"{times(down / whole)} times what the whole run gained" if whole > 0 else "the whole run gained nothing"
    return Finding(
        "saddle_plateau",
        "the path slows down towards a saddle: the curvature beside it is negative, and there it goes much lower.",
        (
            f"along the direction of the lowest eigenvalue, {text(probe.lambda_min)}, the loss falls by {text(down)}, "
            f"{gained}",
            f"still to be gained on the path if its present decay went on: {text(left)}",
            progress_line(f),
            *slope_lines(f),
        ),
        "add noise or momentum: a step off the path grows by 1 + learning rate x "
        f"{text(-probe.lambda_min)} at every update",
    )


def bottomless(probe: Probe) -> Finding:
    """Return the finding for a loss without a least value."""
    lowest = probe.losses[-1]
    return Finding(
        "unbounded",
        "the loss has no least value: it falls without end where the parameters grow.",
        (
            f"a step x{text(probe.scales[-1])} along the update takes the loss from {text(probe.loss)} to "
            f"{text(math.nan if lowest is None else lowest)}, in proportion or faster, and so on up to x1e+08",
        ),
        "look at the loss: a log_softmax, a norm or a bound is missing if it can fall below 0 for ever",
    )


def minimum(probe: Probe) -> Finding:
    """Return the finding for a point where every curvature is positive and no step along the update gains."""
    return Finding(
        "converged_minimum",
        "every curvature is positive and no step along the update gains: a minimum.",
        (
            f"lowest eigenvalue {text(probe.lambda_min)} (residual {text(probe.lambda_min_residual)})",
            f"best step along the update cuts the loss by {percent(probe.best_fall)}",
        ),
        "stop, or change the model: the optimizer has done its part",
    )


def too_short(probe: Probe) -> Finding:
    """Return the finding for steps that are far too short."""
    edge = "" if probe.sharpness is None or probe.edge is None else f" (edge: x{text(probe.edge / probe.sharpness)})"
    return Finding(
        "crawling",
        "every step is far too short: a much longer one along the same update gains much more.",
        (f"a step x{text(probe.best_scale)} along the update would cut the loss by {percent(probe.best_fall)}",),
        f"raise the learning rate up to {text(probe.best_scale)} times{edge}",
    )


def pace(first: Finding, f: Features, probe: Probe) -> Finding:
    """Return the finding of a crawl with the action for its cause: too small a rate, or an ill-conditioned surface."""
    if probe.sharpness is None or probe.edge is None or not probe.sharpness > 0:
        return first
    share = probe.sharpness / probe.edge
    line = f"sharpness {text(probe.sharpness)} of {text(probe.edge)}, where the optimizer turns unstable"
    raise_by = 0.5 / share
    if probe.best_scale > 1:  # half the edge may be far beyond the line's minimum, where the curvature is not this one
        raise_by = min(raise_by, probe.best_scale)
    slow = f.decay * f.steps * raise_by  # e-foldings of the fall in a run as long as this, at the largest rate
    if share > 0.25:
        action = (
            "a sigma (Adagrad, Adam) or momentum: the rate is near its edge already, the surface is ill-conditioned"
        )
    elif f.one_loss is False:  # the decay over the window is noise, and so may be the steps at a larger rate
        action = (
            f"raise the learning rate up to {text(raise_by)} times, by 10 at once: noise of the batches may bear less"
        )
    elif slow < 1 or f.decay <= 0:
        action = (
            f"raise the learning rate up to {text(raise_by)} times; the fall decays so slowly that "
            "this alone may not do: "
            f"take {'momentum' if f.scaled else 'a sigma (Adagrad, Adam) or momentum'} as well"
        )
    else:
        action = (
            f"raise the learning rate up to {text(raise_by)} times: the rate is too small, not the surface too hard"
        )
    return dataclasses.replace(first, evidence=(*first.evidence, line), action=action, doubt="")
