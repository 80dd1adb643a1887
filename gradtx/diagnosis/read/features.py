"""The numbers that distinguish one cause from another, each with its formula.

None depends on where the loss has its zero, nor on its scale: `loss + 10` and `2 loss` (with half the rate) have the
same ratios. What is held against what was gained: a run that has little left has gained nearly all of it.
"""

import dataclasses

NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class Features:
    """Numbers about a run; NaN if the record does not have what they need. The window is the last measured steps.

    Attributes:
        steps: updates seen.
        rows: measured steps in the window.
        loss_first: loss of the first step.
        loss_start: mean of the first tenth of the losses, at most 64; the first one where all steps see one loss.
        loss_middle: median block mean of the loss at 40 to 60 % of the run.
        loss_last: median block mean of the last tenth of the run.
        loss_least: least mean loss of any block.
        spread: robust standard deviation of one loss about its course.
        quantum: how finely losses are known: the least difference of two that is not 0, or 8 units in the last place
            of the narrowest dtype that holds them all, if that is less.
        gained: loss_middle - loss_last.
        certainty: slope of the last 60 % of the run over its standard error, positive where the loss falls; 0 where the
            slope and `gained` disagree.
        share: `gained` over the largest fall or rise of the run, or over loss_last - floor where that is less.
        pace: `gained` over loss_start - loss_middle.
        steady: slope of the loss over the second half of the run over that over the first, less a standard error: 1
            where the loss falls along a straight line, exp(-n / 2 tau) where what is left decays in tau of n steps.
        rise: median of the last losses less that of the first, in spreads of the first 64.
        rising: median loss of the last quarter of the window less that of the first, in spreads.
        lost_again: (loss_last - loss_least) over the largest fall or rise.
        peak_early: rise of the first 64 losses (medians of 3) above the first, in spreads of their second half, or of
            neighbours in the first half where those are larger.
        burst: that rise over |loss_first - loss_last|.
        peak_late: largest loss of the second half less the median of its blocks, over what a block usually spans.
        spikes: blocks of the second half that rise more than 8 times what a block usually spans.
        jump: largest rise to a level that the loss never left again, in spreads of the blocks; `jumped_at` its step.
        drift: change of the loss since that step over the height of the jump.
        turns: correlation of consecutive changes of the loss, -1 where it goes up and down in turn.
        zeros_since: step since which the loss is exactly 0, -1 if it is not or always was.
        g_first, g_last, g_most: |g| at the start, at the end (medians of 5) and its largest.
        g_thrown: largest |g| of the first 64 measured steps over that of the first.
        u_first, u_last: |u| at the start and at the end.
        p_last: |p| at the end.
        p_growth: |p| at the end over that at the start.
        g_growth: log of mean |g|^2 in the last quarter of the window over that in the first.
        rho: sum of g_t.u_{t-1} / sum of g_{t-1}.u_{t-1}.
        cos1, cos2: mean cosine of gradients 1 and 2 steps apart.
        ucos: mean cosine of consecutive updates.
        downhill: mean of -cos(g_t, u_{t-1}) over its standard error. Batch t did not make step t-1: above 0, steps go
            down for other batches too; at a noise floor they climb as much at their end as they fell at their start.
        outward: mean of -g.p, the fall of the loss where the parameters grow in proportion, over the largest fall or
            rise of the run.
        outward_sure: mean of -g.p over its standard error.
        straight: mean |sum of 64 u|^2 / sum |u|^2.
        path: how far the parameters may have gone in n steps like those of the window, over |p|: were each 64 steps to
            lead the same way, n |u| (straight / 64)^(1/2) / |p|.
        gain: actual over predicted fall of the loss, sum of loss changes / sum of g.u.
        error: median |loss change - trapezoid of the slopes| / median |slopes|; small if all steps see the same loss.
        one_loss: True if all steps see the same loss (full batch), False if not, None if unknown.
        fall: mean of -g.u over the last quarter of the window: the fall predicted a step.
        decay: rate a step at which -g.u falls over the window.
        remaining: fall / decay over `gained`: what is left at the present decay, over what the last half gained.
        reach: fall / (2 (1 - rho)) over `gained`: what a step to the line minimum would gain, over what the last half
            gained; infinite where nothing was gained.
        bounce: mean(-g.u) / (2 (1 - rho)), the loss held in a bounce, over `quantum`.
        clipped: share of the window's steps that were clipped.
        clip_median: median clip factor.
        held: spread of log |u| over that of log |g|: 0 where steps have one length whatever the gradient.
        aligned: median of -g.u / (|g| |u|): 1 where a step goes along the gradient.
        early_steps: median |u| of the first 5 measured steps over the usual one, of the next 59 or of the window.
        scaled: True if eta/sigma differs between parameters, False if not, None if unknown.
        rate_spread: largest eta/sigma over the geometric mean, at the end.
        rate_drop: largest eta/sigma before the highest loss of the second half over its least value after.
        learning_rate: eta at the end; |u| / |g| where the chain does not say it and steps go along the gradient.
        rate_zero_since: step since which eta is 0, or below 1e-7 of its largest; -1 if it is not.
        still_since: step since which no parameter is changed, -1 if some are.
        decays: whether the chain decays the parameters, None where it does not say.
        limits: whether the chain is known to hold a clip, wherever it stands.
        lost: median share of update entries that the parameters' dtype rounds away.
        frozen: groups that get a gradient and no update.
        frozen_share: share of the parameters in them, or in the arrays that get a gradient and no update.
        dead: groups of 4 parameters or more whose gradient is exactly 0, or whose |g| was never above 1e-6 of the
            largest group's while |u| is below 1e-5 |p|.
        gone: of these, the groups whose whole gradient is exactly 0; `gone_since` the last step at which one was not.
        dead_leaves, frozen_leaves: arrays of 4 numbers or more without a gradient, and without an update.
        grown: rise of the loss in the last steps before the end over its range before, or |g| there over its least.
    """

    steps: int = 0
    rows: int = 0
    loss_first: float = NAN
    loss_start: float = NAN
    loss_middle: float = NAN
    loss_last: float = NAN
    loss_least: float = NAN
    spread: float = NAN
    quantum: float = NAN
    gained: float = NAN
    certainty: float = NAN
    share: float = NAN
    pace: float = NAN
    steady: float = NAN
    rise: float = NAN
    rising: float = NAN
    lost_again: float = NAN
    peak_early: float = NAN
    burst: float = NAN
    peak_late: float = NAN
    spikes: int = 0
    jump: float = NAN
    jumped_at: int = -1
    drift: float = NAN
    turns: float = NAN
    zeros_since: int = -1
    g_first: float = NAN
    g_last: float = NAN
    g_most: float = NAN
    g_thrown: float = NAN
    u_first: float = NAN
    u_last: float = NAN
    p_last: float = NAN
    p_growth: float = NAN
    g_growth: float = NAN
    rho: float = NAN
    cos1: float = NAN
    cos2: float = NAN
    ucos: float = NAN
    downhill: float = NAN
    outward: float = NAN
    outward_sure: float = NAN
    straight: float = NAN
    path: float = NAN
    gain: float = NAN
    error: float = NAN
    one_loss: bool | None = None
    fall: float = NAN
    decay: float = NAN
    remaining: float = NAN
    reach: float = NAN
    bounce: float = NAN
    clipped: float = NAN
    clip_median: float = NAN
    held: float = NAN
    aligned: float = NAN
    early_steps: float = NAN
    scaled: bool | None = None
    rate_spread: float = NAN
    rate_drop: float = NAN
    learning_rate: float = NAN
    rate_zero_since: int = -1
    still_since: int = -1
    decays: bool | None = None
    limits: bool = False
    lost: float = NAN
    frozen: tuple[str, ...] = ()
    frozen_share: float = 0.0
    dead: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    gone_since: int = -1
    dead_leaves: tuple[str, ...] = ()
    frozen_leaves: tuple[str, ...] = ()
    grown: float = NAN
