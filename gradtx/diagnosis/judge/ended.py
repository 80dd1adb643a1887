"""The end of a run at a step that was not finite: after growth, or without any."""

from gradtx.diagnosis.judge.finding import Finding, eta, slope_lines, text
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
    if f.grown > 10:
        return Finding(
            "diverging",
            f"the run grew until it overflowed at step {bad_step:,}: the step is too large. NOT a bad batch.",
            (
                f"loss or |g| grew {text(f.grown)} times over its least value in the 64 steps before",
                f"first non-finite step: {bad_step:,}, in {where}",
                *(slope_lines(f) if f.rho > -10 else ()),
            ),
            f"restart from before step {max(bad_step - 64, 0):,} with eta / 4{eta(f, 0.25)}, "
            f"or clip |g| at {text(f.g_first)}",
        )
    return Finding(
        "non_finite",
        f"step {bad_step:,} was not finite, and nothing had grown before it: look at its data. NOT too large a rate.",
        (
            f"first non-finite step: {bad_step:,}, in {where}",
            f"loss and |g| had grown no more than {text(f.grown)} times in the 64 steps before",
        ),
        f"look at the batch of step {bad_step:,} (0/0, log 0, an overflow in half precision); skip such steps with "
        "optax.apply_if_finite",
    )
