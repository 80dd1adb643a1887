"""The numbers that distinguish one cause from another, each with its formula."""

import dataclasses

NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Features:
    """Numbers about a run; NaN if the record does not have what they need. The window is the last measured steps.

    Attributes:
        steps: updates seen.
        rows: measured steps in the window.
        loss_first: loss of the first step.
        loss_middle: mean loss at 40 to 60 % of the run.
        loss_last: mean loss of the last tenth of the run.
        loss_least: least mean loss of any block.
        progress: (loss_middle - loss_last) / (loss_last - floor).
        certainty: that fall over its standard error.
        recent: (mean loss at 70 to 80 % of the run - loss_last) / (loss_last - floor).
        rising: median loss of the last quarter of the window over that of the first.
        peak_early: largest of the first 64 losses over loss_first.
        peak_late: largest loss in the second half of the run over the median there.
        spikes: blocks of the second half whose largest loss exceeds 3 medians.
        g_first, g_last, g_most: |g| at the start, at the end (medians of 5) and its largest.
        g_growth: log of mean |g|^2 in the last quarter of the window over that in the first.
        rho: sum of g_t.u_{t-1} / sum of g_{t-1}.u_{t-1}.
        cos1, cos2: mean cosine of gradients 1 and 2 steps apart.
        ucos: mean cosine of consecutive updates.
        straight: mean |sum of 64 u|^2 / sum |u|^2.
        gain: actual over predicted fall of the loss, sum of loss changes / sum of g.u.
        error: median |loss change - trapezoid of the slopes| / median |slopes|; small if all steps see the same loss.
        one_loss: True if all steps see the same loss (full batch), False if not, None if unknown.
        fall: mean of -g.u over the last quarter of the window, / (loss_last - floor): relative fall predicted a step.
        decay: rate a step at which -g.u falls over the window.
        remaining: fall / decay, the relative loss still to be gained if the present decay went on.
        bounce: mean(-g.u) / (2 (1 - rho)) / (loss_last - floor), the share of the loss held in a bounce.
        clipped: share of the window's steps that were clipped.
        clip_median: median clip factor.
        early_steps: median |u| of the first 5 measured steps over the usual one, of the next 59 or of the window.
        scaled: True if eta/sigma differs between parameters, False if not, None if unknown.
        rate_spread: largest eta/sigma over the geometric mean, at the end.
        rate_drop: largest eta/sigma before the highest loss of the second half over its least value after.
        learning_rate: eta at the end.
        dead: groups of 4 parameters or more whose gradient is exactly 0, or whose |g| was never above 1e-3 of the
            largest group's while |u| is below 1e-5 |p|.
        grown: loss or |g| in the last steps before the end over its typical value before.
    """

    steps: int = 0
    rows: int = 0
    loss_first: float = NAN
    loss_middle: float = NAN
    loss_last: float = NAN
    loss_least: float = NAN
    progress: float = NAN
    certainty: float = NAN
    recent: float = NAN
    rising: float = NAN
    peak_early: float = NAN
    peak_late: float = NAN
    spikes: int = 0
    g_first: float = NAN
    g_last: float = NAN
    g_most: float = NAN
    g_growth: float = NAN
    rho: float = NAN
    cos1: float = NAN
    cos2: float = NAN
    ucos: float = NAN
    straight: float = NAN
    gain: float = NAN
    error: float = NAN
    one_loss: bool | None = None
    fall: float = NAN
    decay: float = NAN
    remaining: float = NAN
    bounce: float = NAN
    clipped: float = NAN
    clip_median: float = NAN
    early_steps: float = NAN
    scaled: bool | None = None
    rate_spread: float = NAN
    rate_drop: float = NAN
    learning_rate: float = NAN
    dead: tuple[str, ...] = ()
    grown: float = NAN
