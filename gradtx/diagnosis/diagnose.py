"""`diagnose`: from the record in a state, and the result of a probe if there is one, to a verdict with its evidence."""

import dataclasses
import math
from typing import Any

import numpy as np

from gradtx._core.contract.errors import describe, message
from gradtx.diagnosis.judge.ended import blew_up
from gradtx.diagnosis.judge.finding import Finding, percent, progress_line, slope_lines, text, times
from gradtx.diagnosis.judge.logs.rules import judge_log
from gradtx.diagnosis.judge.sharpen import sharpen
from gradtx.diagnosis.judge.short import plain
from gradtx.diagnosis.judge.still import names_of
from gradtx.diagnosis.judge.verdicts import RULES
from gradtx.diagnosis.probing.probed import Probe
from gradtx.diagnosis.read.evidence import FEWEST, Evidence, read
from gradtx.diagnosis.read.extract import features
from gradtx.diagnosis.read.features import Features
from gradtx.diagnosis.read.logged import from_columns
from gradtx.diagnosis.read.logs import Log
from gradtx.diagnosis.show.report import Report

MOVING = {"healthy", "diverging", "oscillating", "sigma_burst", "needs_warmup", "not_moving", "collapsed", "unbounded"}
AT_REST = {
    "crawling",
    "converged_minimum",
    "saddle_plateau",
    "noise_floor",
    "plateau",
}  # never reported beside those above

UNDECIDED = Finding(
    "undecided",
    "the evidence does not decide.",
    ("no rule fires on what was recorded",),
    "train on under watch, pass value=loss and params to update, or probe()",
)


def diagnose(
    state: Any, *, probe: Any = None, full_batch: bool | None = None, loss_floor: float | None = None
) -> Report:
    """Find out why training is stuck, with evidence that can be checked by hand.

    Reads the record that `watch` kept: rho = sum g_t.u_{t-1} / sum g_{t-1}.u_{t-1} over the window, the cosines of
    consecutive gradients, actual over predicted fall of the loss, straightness of 64 steps, what is left to gain if the
    present decay of -g.u goes on, the history of the loss and of eta/sigma, clips, zeros and non-finite steps. The
    first rule that fires is the verdict; the others that fire are named beside it.

    Units: ratios throughout, so that no threshold depends on the scale of the loss or of the parameters.

    Args:
        state: the state of a watched transform, or one that holds it; or what `read_log` returned. Host side only.
        probe: result of `probe`, which distinguishes a minimum from a saddle and a noise floor from a crawl.
        full_batch: True if every step saw the same data, False if not, None to infer it from the record.
        loss_floor: the least loss that can be reached, None if it is not known. No verdict needs it; where it is known,
            what is left to gain is held against it as well.

    Returns:
        A `Report`: print it, `to_dict()`, `plot(path)`, or show it in a notebook.

    Raises:
        TypeError: the state was never watched, or an argument is of the wrong kind.
        ValueError: the state is traced or batched, or `loss_floor` is neither None nor a finite number.

    Cost: one copy of the record to the host (36 kB, 4 kB for each group and 16 bytes for each
    sampled coordinate).

    References:
        Cohen et al. 2021 (edge of stability), https://arxiv.org/abs/2103.00065
        Pesme, Dieuleveut & Flammarion 2020 (distance-based tests), https://arxiv.org/abs/2007.00534

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> tx = gradtx.watch(gradtx.sgd(0.01999))
        >>> def step(carry, _):
        ...     p, state = carry
        ...     value, g = jax.value_and_grad(lambda p: 50 * p[0] ** 2 + 1e-4 * p[1] ** 2)(p)
        ...     updates, state = tx.update(g, state, p, value=value)
        ...     return (gradtx.apply_updates(p, updates), state), None
        >>> p = jnp.array([1.0, 1.0])
        >>> (p, state), _ = jax.lax.scan(step, (p, tx.init(p)), length=100)
        >>> gradtx.diagnose(state).verdict
        'oscillating'
    """
    check_arguments(probe, full_batch, loss_floor)
    floor = None if loss_floor is None else float(loss_floor)
    if isinstance(state, Log):
        return judge(from_columns(state.columns, floor, state.notes))
    return judge(read(state, floor), probe, full_batch)


def check_arguments(probe: Any, full_batch: Any, loss_floor: Any) -> None:
    """Raise for an argument of the wrong kind."""
    if not (probe is None or isinstance(probe, Probe)):
        fix = "pass what gradtx.probe(loss_fn, params, batch) returned"
        raise TypeError(message("diagnose", "probe", f"is {describe(probe)}", "the result of a probe", fix))
    if not (full_batch is None or isinstance(full_batch, (bool, np.bool_))):
        fix = "True if every step sees the same data, None if the record shall tell"
        raise TypeError(message("diagnose", "full_batch", f"is {describe(full_batch)}", "True, False or None", fix))
    try:
        known = loss_floor is None or math.isfinite(loss_floor)
    except TypeError:
        known = False
    if not known:
        got = describe(loss_floor) if not isinstance(loss_floor, float) else repr(loss_floor)
        fix = "the least loss that can be reached, or leave it out"
        raise ValueError(message("diagnose", "loss_floor", f"is {got}", "a finite number or None", fix))


def judge(run: Evidence, probe: Any = None, full_batch: bool | None = None) -> Report:
    """Return the report on a run."""
    f = features(run, full_batch)
    if run.meta is None:
        return report(judge_log(run), f, run, probe)
    ended = blew_up(f, run.bad_step, dict(run.bad))
    if ended is not None:
        return report([ended], f, run, probe)
    if run.steps < FEWEST and (found := plain(f, run)):
        return report(found, f, run, probe)
    if run.steps < FEWEST:
        few = f"{run.steps} steps were recorded, fewer than {FEWEST} are too few for a verdict"
        return report(
            [Finding("undecided", few + ".", (), f"train at least {FEWEST} steps under watch")], f, run, probe
        )
    found = [finding for rule in RULES if (finding := rule(f)) is not None]
    if probe is not None:
        found = sharpen(found, f, probe)
    seen = dataclasses.replace(UNDECIDED, evidence=(progress_line(f), *slope_lines(f)))
    return report(found or [seen], f, run, probe)


def report(found: list[Finding], f: Features, run: Evidence, probe: Any) -> Report:
    """Return the report whose verdict is the first finding."""
    first = found[0]
    fired = {finding.verdict for finding in found}
    quiet = {"converged_minimum"} if first.verdict == "saddle_plateau" else set()
    quiet |= {first.verdict, "healthy", *(AT_REST if first.verdict in MOVING else ())}
    also = tuple(finding for finding in found[1:] if finding.verdict not in quiet)
    return Report(
        verdict=first.verdict,
        headline=first.headline,
        evidence=first.evidence,
        action=first.action,
        doubt=first.doubt,
        confidence=first.confidence,
        also=also,
        ruled_out={}
        if run.steps < FEWEST or run.meta is None
        else {k: why for k, why in reasons(f, run).items() if k not in fired},
        beside=beside(f, first.verdict),
        missing=missing(f, run),
        features=f,
        run=run,
        probe=probe,
    )


def beside(f: Features, verdict: str) -> tuple[str, ...]:
    """Return what stands still beside any verdict: arrays that get no gradient, and those that get no update."""
    lines = []
    if f.dead_leaves:
        lines.append(f"no gradient reaches {names_of(f.dead_leaves)}")
    if f.frozen_leaves and f.still_since < 0 and f.rate_zero_since < 0:
        lines.append(f"a gradient and no update: {names_of(f.frozen_leaves)} (frozen or masked)")
    if f.lost > 0.5 and verdict not in ("not_moving", "converged_minimum"):
        lines.append(f"{percent(f.lost)} of the update entries are lost to the rounding of the parameters")
    return tuple(lines)


def reasons(f: Features, run: Evidence) -> dict[str, str]:
    """Return for each verdict that is ruled out the number that does so."""
    out = {
        "non_finite": f"{sum(run.bad.values())} non-finite entries" if run.bad_step < 0 else "",
        "diverging": f"loss {text(f.loss_start)} at the start, {text(f.loss_last)} at the end",
        "always_clipped": f"clipped {percent(f.clipped)} of the steps" if f.clipped == f.clipped else "",
        "oscillating": f"cos(g_t, g_t-1) = {text(f.cos1)}, actual/predicted fall {text(f.gain)}",
        "sigma_burst": "no sigma in this chain"
        if f.scaled is False
        else f"the largest late rise is {times(f.peak_late)} times what a block usually spans",
        "needs_warmup": f"|u| of the first steps is {text(f.early_steps)} times the usual"
        if f.early_steps < 4
        else f"the loss rose by {times(f.peak_early)} spreads within 64 steps",
        "vanishing_dead": "" if f.dead or run.meta is None else "every group gets a gradient",
        "noise_floor": "every step sees the same batch" if f.one_loss else "",
    }
    return {name: why for name, why in out.items() if why and "unknown" not in why}


def missing(f: Features, run: Evidence) -> tuple[str, ...]:
    """Return what the record lacks and what cannot be said because of it."""
    if run.meta is None:
        return (
            "a log holds no two gradients together: whether they flip, how straight the steps go and how long each "
            "parameter's step is are not known (in JAX, gradtx.watch records them)",
            *("a gradient norm: log |g| before it is clipped",) * ("grad_norm" not in run.log),
            *("the learning rate: log it to tell a schedule that ended",) * ("learning_rate" not in run.log),
        )
    lines = []
    if not run.history["losses"].any():
        lines.append("no loss was passed (update(..., value=loss)): no verdict that rests on its course")
    if f.rows and run.rows["pp"][-1] != run.rows["pp"][-1]:
        lines.append(
            "no params were passed to update: no |u|/|p|, no straightness, so noise and slow progress look alike"
        )
    if f.learning_rate != f.learning_rate:
        lines.append("the chain does not say its learning rate: watch(tx, learning_rate=...)")
    if not run.meta.clips and f.scaled is None and f.clipped != f.clipped:
        lines.append(
            "whether a clip inside the chain bounds the gradients: clip first, watch(chain(clip_by_global_norm(c), tx))"
        )
    if run.meta.sampled < run.meta.total:
        lines.append(
            f"products between steps are estimated from {run.meta.sampled:,} of {run.meta.total:,} parameters, "
            + (
                "at every step"
                if run.meta.every == 1
                else f"measured in {run.meta.run} of every {run.meta.every} steps"
            )
        )
    return tuple(lines)
