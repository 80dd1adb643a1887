"""The end of a run at a step that was not finite: after growth, or without any."""

from gradtx.diagnosis.judge.finding import Finding, rate, slope_lines, text, times
from gradtx.diagnosis.read.features import Features


def blew_up(f: Features, bad_step: int, bad: dict[str, int]) -> Finding | None:
    """Return `diverging` if the run grew until it was not finite, `non_finite` if it met a NaN without growth.

    Return None if every step was finite.
    """
    if bad_step < 0:
        return None
    where = (
        ", ".join(f"{name} ({count:,} entries)" for name, count in bad.items()) or "the loss or the update, no gradient"
    )
    if f.grown > 10 or is_climbing(f):
        return Finding(
            "diverging",
            f"the run grew until it overflowed at step {bad_step:,}: the step is too large. NOT a bad batch.",
            (
                f"in the last 16 steps the loss rose {times(f.grown)} times its range before, or |g| "
                "as much above its least"
                if f.grown > 10
                else f"|g| {text(f.g_first)} at the start, {text(f.g_last)} in the last steps",
                f"first non-finite step: {bad_step:,}, in {where}",
                *(slope_lines(f) if f.rho > -10 else ()),
            ),
            f"restart from before step {max(bad_step - 64, 0):,} with learning rate x 0.25{rate(f, 0.25)}, "
            f"or clip |g| at {text(f.g_first)}",
        )
    return Finding(
        "non_finite",
        f"step {bad_step:,} was not finite, and nothing had grown before it: look at its data. NOT too large a rate.",
        (
            f"first non-finite step: {bad_step:,}, in {where}",
            *(
                (f"loss and |g| had grown no more than {text(f.grown)} times in the 64 steps before",)
                if bad_step > 1
                else ()
            ),
        ),
        f"look at the batch of step {bad_step:,} (0/0, log 0, an overflow in half precision); skip such steps with "
        "gradtx.guard"
        if bad_step > 1
        else f"step {bad_step:,} has no steps before it: look at the loss and the start (a mask that "
        "leaves nothing, log 0)",
    )


def is_climbing(f: Features) -> bool:
    """Return True if a run that is not finite at its end rose to it slowly: the loss surely, or a step beyond 2 / L."""
    beyond = f.rho < -1 and f.g_last > 10 * f.g_first
    return f.g_growth > 0 and (beyond or (f.lost_again > 0.5 and f.rising > 8))
