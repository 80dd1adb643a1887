"""A finding: a cause with its evidence and an action; and how numbers are written in a report."""

import dataclasses
import math

from gradtx.diagnosis.read.features import Features

STRAIGHT = 8.0  # straightness of 64 steps above which they make progress in one direction
SURE = 3.0  # standard errors above which a fall of the loss is none of its noise
SHARE = 0.001  # share of the run's whole fall above which the last half still counts
FAR = 3.0  # times what the last half gained: where so much is within reach of a step, the steps are too short
NEARBY = 0.05  # of the size of the parameters: a run that has gone no farther has not left where it began
LEADS = 0.1  # share of the largest fall: what the loss falls by where the parameters grow in proportion
PLAIN = 4.0  # standard errors below 0 of a slope that says by itself where steps lead
FLAT = 1e5  # times the least change of the loss, of which float32 has 8e6: no slope over the size of the parameters
ABOVE = 8.0  # spreads of the loss above which a rise is none of its noise
ONE_BATCH = (  # what to do where nothing is learnt
    "train on 1 batch until its loss is near 0: if it does not fall, look at the loss and the learning rate; if it "
    "does, labels do not belong to inputs, or inputs are constant"
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A cause that the evidence supports.

    Attributes:
        verdict: the word.
        headline: what it means, in one sentence.
        evidence: lines of number, formula and meaning.
        action: what to do, with a number in it.
        doubt: which other cause would look the same, and the test that distinguishes them; empty if there is none.
        confidence: of a verdict on a log: high, medium or low; empty where every step was measured.
    """

    verdict: str
    headline: str
    evidence: tuple[str, ...]
    action: str
    doubt: str = ""
    confidence: str = ""


def text(x: float) -> str:
    """Return a number as text: three digits, thousands in full, `unknown` for NaN."""
    if math.isnan(x):
        return "unknown"
    return f"{x:,.0f}" if 1e3 <= abs(x) < 1e7 else f"{x:.3g}"


def times(x: float) -> str:
    """Return how many times, `more than a million` where the digits say nothing."""
    return "unknown" if math.isnan(x) else text(x) if abs(x) < 1e6 else "more than a million"


def divide_to_inf(a: float, b: float) -> float:
    """Return a / b, infinity if b is 0."""
    return a / b if b else math.inf


def percent(x: float) -> str:
    """Return a share as text in per cent."""
    return "unknown" if math.isnan(x) else f"{100 * x:.3g} %"


def fell(f: Features) -> bool:
    """Return True if the loss fell over the last half of the run, by more than its noise."""
    return f.gained > 4 * f.quantum and f.certainty > SURE


def falls(f: Features) -> bool:
    """Return True if the loss fell, or may have and its noise hides a way down that another sign shows."""
    hidden = f.certainty > 2 if f.downhill > PLAIN else f.gained > 0 and grows_down(f)
    return fell(f) or (f.one_loss is False and hidden)


def never_left(f: Features) -> bool:
    """Return True if the loss is where it began because it is flat there, and not because the steps are short.

    Where they are, the slope would take the loss far over a way as long as the parameters.
    """
    stands = abs(f.loss_start - f.loss_last) < 1e3 * f.quantum and f.g_last >= 0.1 * f.g_most
    return stands and not f.remaining > FAR and f.rho > 0 and not f.g_last * f.p_last > FLAT * f.quantum


def grows_down(f: Features) -> bool:
    """Return True if the gradient of all batches would make the parameters larger, and nothing holds them.

    At a noise floor it would make them smaller: what noise adds to |p|^2 by |u|^2 a step, -g.p takes away again.
    """
    held = f.decays is not False or f.frozen_leaves
    return not held and f.outward_sure > PLAIN and f.outward > LEADS and f.path > NEARBY


def downhill_line(f: Features) -> str:
    """Return the line about the slope of the next batch along each step."""
    return (
        f"the mean of cos(g_t, u_t-1) is {text(f.downhill)} standard errors below 0: each step goes down for the next "
        "batch as well"
    )


def outward_line(f: Features) -> str:
    """Return the line about the slope along the parameters."""
    return (
        f"the mean of -g.p is {text(f.outward_sure)} standard errors above 0: the loss falls where the parameters "
        "grow, and nothing holds them"
    )


def path_line(f: Features) -> str:
    """Return the line about how far the steps may have gone."""
    return f"the steps may have gone {text(f.path)} times as far as the parameters are large"


def patience(f: Features) -> str:
    """Return what to do on a flat stretch, and how long it lasts by itself."""
    wait = 1 / max(-f.decay, 1e-30)
    if wait < 100 * f.steps:
        return f"add momentum or noise, or wait about {text(wait)} steps; a larger learning rate shortens that"
    return "add momentum or noise: on its own it would take more than 100 times the run"


def slope_lines(f: Features) -> tuple[str, ...]:
    """Return the lines about rho and what it means; none if it is unknown."""
    if not math.isfinite(f.rho):
        return ()
    formula = f"rho = sum g_t.u_t-1 / sum g_t-1.u_t-1 = {f.rho:.4g}"
    if not (f.one_loss or f.cos1 < -0.9 or f.rho < -1.05):
        return (f"{formula}: slope at the end of a step over that at its start; noise of the batches makes it smaller",)
    meaning = (
        "climbs: each step ends higher than it began"
        if f.rho < -1.05
        else "lands at equal height on the other wall"
        if f.rho < -0.95
        else "lands beyond the minimum of the line"
        if f.rho < -0.05
        else "lands on the minimum of the line"
        if f.rho < 0.05
        else "stops short of the minimum of the line"
        if f.rho <= 1
        else "the slope steepens: negative curvature along the path"
    )
    return (
        f"{formula}: {meaning}",
        f"learning rate x curvature along the step = 1 - rho = {1 - f.rho:.3g} (line minimum at 1, edge at 2)",
    )


def both(a: float, b: float) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to tell them apart, up to 7."""
    for digits in range(3, 8):
        first, second = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if first != second:
            return (text(a), text(b)) if text(a) != text(b) else (first, second)
    return text(a), text(b)


def progress_line(f: Features) -> str:
    """Return the line about the loss over the last half of the run."""
    if math.isnan(f.gained):
        return "the course of the loss is unknown"
    before, after = both(f.loss_middle, f.loss_last)
    if before == after:
        return f"the loss stood at {after} over the last half of the run"
    verb = "fell" if f.gained > 0 else "rose"
    sure = f"by {text(abs(f.certainty))} standard errors" if abs(f.certainty) < 1e6 else "without noise"
    return f"the loss {verb} from {before} to {after} over the last half of the run, {sure}"


def rate(f: Features, factor: float) -> str:
    """Return the learning rate times a factor as text, empty if the rate is unknown."""
    return "" if math.isnan(f.learning_rate) or not f.learning_rate > 0 else f" to {text(f.learning_rate * factor)}"
