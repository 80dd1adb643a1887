"""A finding: a cause with its evidence and an action, and the words that numbers are written in."""

import dataclasses
import math

from gradtx.watch.features import Features


@dataclasses.dataclass(frozen=True)
class Finding:
    """A cause that the evidence supports.

    Attributes:
        verdict: the word.
        headline: what it means, in one sentence.
        evidence: lines of number, formula and meaning.
        action: what to do, with a number in it.
        doubt: what this cannot be told apart from, and the test that would; empty where nothing.
    """

    verdict: str
    headline: str
    evidence: tuple[str, ...]
    action: str
    doubt: str = ""


def number(x: float) -> str:
    """Write a number with three digits, `unknown` for NaN."""
    return "unknown" if math.isnan(x) else f"{x:.3g}"


def over(a: float, b: float) -> float:
    """Return a / b, infinite where b is 0."""
    return a / b if b else math.inf


def percent(x: float) -> str:
    """Write a share in per cent."""
    return "unknown" if math.isnan(x) else f"{100 * x:.3g} %"


def slope_lines(f: Features) -> tuple[str, ...]:
    """Write rho and what it means."""
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
    """Write the fall of the loss over the last half."""
    return f"the loss fell by {percent(f.progress)} of its end value over the last half of the run"


def eta(f: Features, factor: float) -> str:
    """Write what a factor makes of the learning rate, where that is known."""
    return "" if math.isnan(f.learning_rate) else f" = {number(f.learning_rate * factor)}"
