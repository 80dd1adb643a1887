"""A finding: a cause with its evidence and an action; and how numbers are written in a report."""

import dataclasses
import math

from gradtx.diagnosis.read.features import Features

ROUNDING = 1e-6  # relative fall below which float32 shows little but its own rounding
NOTHING = 1e-9  # relative fall of the loss predicted for a step below which float32 shows none
LEFT = 0.003  # relative fall of the loss still to be gained below which nothing is left
STRAIGHT = 8.0  # straightness of 64 steps above which they make progress in one direction
MENDED = 0.1  # relative fall of the loss over the last half of a run above which it is healthy


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


def divide_to_inf(a: float, b: float) -> float:
    """Return a / b, infinity if b is 0."""
    return a / b if b else math.inf


def percent(x: float) -> str:
    """Return a share as text in per cent."""
    return "unknown" if math.isnan(x) else f"{100 * x:.3g} %"


def slope_lines(f: Features) -> tuple[str, ...]:
    """Return the lines about rho and what it means; none if it is unknown."""
    if math.isnan(f.rho):
        return ()
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
        f"rho = sum g_t.u_t-1 / sum g_t-1.u_t-1 = {f.rho:.4g}: {meaning}",
        f"eta x curvature along the step = 1 - rho = {1 - f.rho:.3g} (line minimum at 1, edge at 2)",
    )


def progress_line(f: Features) -> str:
    """Return the line about the loss over the last half of the run."""
    if math.isnan(f.progress):
        return "the loss is unknown"
    verb = "fell" if f.progress > 0 else "rose" if f.progress < 0 else "stood"
    return f"the loss {verb} from {text(f.loss_middle)} to {text(f.loss_last)} over the last half of the run"


def eta(f: Features, factor: float) -> str:
    """Return the learning rate times a factor as text, empty if the rate is unknown."""
    return "" if math.isnan(f.learning_rate) else f" to {text(f.learning_rate * factor)}"
