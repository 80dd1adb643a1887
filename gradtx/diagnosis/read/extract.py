"""Compute the features of a recorded run."""

import warnings
from collections.abc import Mapping

import numpy as np

from gradtx.diagnosis.read.courses import losses, quantum_of, ratio
from gradtx.diagnosis.read.evidence import Array, Evidence
from gradtx.diagnosis.read.features import NAN, Features
from gradtx.diagnosis.read.stillness import stillness

PARTS = 16  # of the window, whose means give the error of its mean
TORN, SELDOM = 10.0, 0.02  # times the slopes that a loss is off them, and the share of the steps where it is
SUREST = 1e3  # standard errors: without noise, what is left is rounding


def features(run: Evidence, full_batch: bool | None = None) -> Features:
    """Return the features of a run.

    Args:
        run: the evidence.
        full_batch: True if every step saw the same data, False if not, None to infer it from the record.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no values is NaN, which stands for unknown
        found: dict[str, object] = {"steps": run.steps, "rows": len(run.rows["step"])}
        found |= gradients(run)
        found |= slopes(run, full_batch)
        found |= losses(run, bool(found["one_loss"]))
        found |= sizes(run)
        found |= stillness(run) if len(run.rows["step"]) else {}
        found |= outlook(found)
        found.pop("span", None)
        return Features(**found)  # type: ignore[arg-type]


def gradients(run: Evidence) -> Mapping[str, object]:
    """Return the features of the gradients and of their cosines."""
    g, rows = np.sqrt(run.rows["gg"]), run.rows
    if not len(g):
        return {}
    quarter = max(len(g) // 4, 1)
    start, known = run.early["gg"], rows["gg"][np.isfinite(rows["gg"])]
    peak, p = run.history["gg_max"], np.sqrt(run.early["pp"][:1])
    outward = -rows["pcos"] * g * np.sqrt(rows["pp"])
    straight = float(np.nanmean(rows["straight"]))
    lengths = g * np.sqrt(np.roll(rows["uu"], 1))  # where rows do not follow each other, `end` is not known
    return {
        "g_first": float(np.sqrt(np.nanmedian(start[:5]))),
        "g_last": float(np.sqrt(np.median(known[-5:]))) if len(known) else NAN,
        "g_most": float(np.sqrt(np.max(peak[np.isfinite(peak)], initial=0.0))) or NAN,
        "g_thrown": ratio(float(np.sqrt(np.nanmax(start))), float(np.sqrt(start[0]))),
        "u_first": float(np.sqrt(np.median(run.early["uu"][:5]))),
        "u_last": float(np.sqrt(np.median(rows["uu"][-5:]))),
        "p_last": float(np.sqrt(rows["pp"][-1])),
        "p_growth": ratio(float(np.sqrt(rows["pp"][-1])), float(p[0])),
        "g_growth": float(np.log(np.nanmean(g[-quarter:] ** 2) / np.nanmean(g[:quarter] ** 2))),
        "cos1": float(np.nanmean(rows["cos1"])),
        "cos2": float(np.nanmean(rows["cos2"])),
        "ucos": float(np.nanmean(rows["ucos"])),
        "downhill": surety(-rows["end"] / lengths),
        "outward": float(np.nanmean(outward)),
        "outward_sure": surety(outward),
        "straight": straight,
        "path": ratio(float(np.sqrt(np.mean(rows["uu"]) * straight / 64)) * run.steps, float(np.sqrt(rows["pp"][-1]))),
    }


def surety(values: Array) -> float:
    """Return the mean of values over its standard error, NaN where they are few.

    The error is that of the means of consecutive parts, so that neighbours may depend on each other as momentum makes
    them.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2 * PARTS:
        return NAN
    means = np.array([np.mean(part) for part in np.array_split(values, PARTS)])
    error = max(float(np.std(means, ddof=1)) / PARTS**0.5, float(np.max(np.abs(means))) / SUREST)
    return ratio(float(np.mean(means)), error)


def slopes(run: Evidence, full_batch: bool | None) -> dict[str, object]:
    """Return the features that need the slopes at both ends of a step."""
    rows = run.rows
    if not len(rows["step"]):
        return {"one_loss": full_batch}
    both = np.isfinite(rows["start"]) & np.isfinite(rows["end"])
    rho = ratio(float(np.sum(rows["end"][both])), float(np.sum(rows["start"][both])))
    follows = np.diff(rows["step"]) == 1
    change, predicted = np.diff(rows["loss"])[follows], rows["gu"][:-1][follows]
    end = rows["end"][1:][follows]
    size = float(np.median(np.maximum(np.abs(predicted), np.abs(end))))
    off = float(np.median(np.abs(change - (predicted + end) / 2)))
    error = ratio(off, size)
    one = full_batch
    if one is None and np.isfinite(off) and size > 0:
        # changes of a few times the least change there is are what rounding makes of a loss at rest
        rounding = 4 * quantum_of(run.early_losses, run.losses) if len(change) > 16 else 0.0
        cos1, cos2 = (float(np.nanmean(rows[name])) for name in ("cos1", "cos2"))
        steady = cos2 > 0.9 and (cos1 < -0.9 or (cos1 > 0.999 and error < 3.0))
        alike = fits(change, predicted, end, error, cos1) or off <= rounding or steady
        one = bool(alike and not is_torn(change, predicted, end, rounding))
    fall = -rows["gu"]
    quarter = max(len(fall) // 4, 1)
    early, late = float(np.mean(fall[:quarter])), float(np.mean(fall[-quarter:]))
    span = float(np.mean(rows["step"][-quarter:]) - np.mean(rows["step"][:quarter]))
    decay = ratio(float(np.log(early / late)), span) if early > 0 and late > 0 else NAN
    return {
        "rho": rho,
        "gain": ratio(float(np.sum(change)), float(np.sum(predicted))),
        "error": error,
        "one_loss": one,
        "fall": late,
        "decay": decay,
        "bounce": ratio(float(np.mean(fall)), 2 * (1 - rho)),
        "aligned": float(np.median(fall / np.sqrt(rows["gg"] * rows["uu"]))),
    }


def fits(change: Array, predicted: Array, end: Array, error: float, cos1: float) -> bool:
    """Return True if the losses change as the slopes at both ends of the steps say, so that one loss made them all.

    Smooth losses fit to 1e-4. Over the walls of a valley and in a few steps the slopes say less, and so are few losses
    of minibatches that share their minimum told from one loss: those differ in proportion to their height.
    """
    each = float(np.median(np.abs(change - (predicted + end) / 2) / np.maximum(np.abs(predicted), np.abs(end))))
    return error < 0.3 and each < (0.3 if cos1 < -0.3 or len(change) <= 16 else 0.05)


def is_torn(change: Array, predicted: Array, end: Array, rounding: float) -> bool:
    """Return True if some losses are not where the slopes lead, though most are: few batches hold what counts.

    Such are a hinge or a rare class beside a penalty that every batch has. Over one smooth loss the slopes at both ends
    bound a change, at its kinks and in bursts as well, and rounding makes no such leaps.
    """
    off, size = np.abs(change - (predicted + end) / 2), np.maximum(np.abs(predicted), np.abs(end))
    return bool(np.mean(off > TORN * size + 16 * rounding) > SELDOM)


def outlook(found: Mapping[str, object]) -> Mapping[str, object]:
    """Return what is left to gain, in units of what the last half of the run gained."""
    fall, decay, rho = (float(found.get(name, NAN)) for name in ("fall", "decay", "rho"))  # type: ignore[arg-type]
    gained, quantum = (float(found.get(name, NAN)) for name in ("gained", "quantum"))  # type: ignore[arg-type]
    bounce = float(found.get("bounce", NAN))  # type: ignore[arg-type]
    line = fall / (2 * (1 - rho)) if rho < 1 else np.inf if fall > 0 else NAN
    best = max(gained, 0.0) if gained == gained else NAN
    outward = float(found.get("outward", NAN))  # type: ignore[arg-type]
    return {
        "outward": ratio(outward, float(found.get("span", NAN))),  # type: ignore[arg-type]
        "reach": np.inf if line > 0 and best == 0 else line / best if best else NAN,
        "remaining": ratio(ratio(fall, decay), gained) if gained else NAN,
        "bounce": bounce / quantum if quantum else np.inf if bounce > 0 and gained == gained else NAN,
    }


def sizes(run: Evidence) -> Mapping[str, object]:
    """Return the features of clip factors, update sizes and effective rates."""
    rows = run.rows
    if not len(rows["step"]):
        return {}
    clip = rows["clip"][np.isfinite(rows["clip"])]
    high, mean, low = rows["rate_max"], rows["rate_mean"], rows["rate_min"]
    known = np.isfinite(high) & np.isfinite(low)
    rates = run.history["rate_max"]
    top = np.argmax(np.where(run.history["step"] > run.steps / 2, run.history["loss_max"], -np.inf))
    before, after = rates[max(top - 8, 0) : top + 1], rates[top : top + 9]
    g, u = np.sqrt(rows["gg"]), np.sqrt(rows["uu"])
    along = float(np.median(-rows["gu"] / (g * u))) > 0.999
    rate = float(rows["learning_rate"][-1])
    factor = clip
    held = ratio(float(np.std(np.log(u))), float(np.std(np.log(g))))
    if not len(clip) and along and np.isfinite(rate) and rate > 0:
        # a clip later in the chain: steps are shorter, the more so the longer the gradient; a mere scale clips nothing
        factor = np.minimum(u / (rate * g), 1.0)
        factor = np.where((factor > 0.999) | (held > 0.9), 1.0, factor)
    return {
        "clipped": float(np.mean(factor < 1)) if len(factor) else NAN,
        "clip_median": float(np.median(factor)) if len(factor) else NAN,
        "held": held,
        "early_steps": early_steps(run),
        "scaled": bool(np.any(high[known] > 1.001 * low[known])) if known.any() else None,
        "rate_spread": ratio(float(high[-1]), float(mean[-1])),
        "rate_drop": ratio(float(np.max(before, initial=0.0)), float(np.min(after, initial=np.inf))),
        "learning_rate": rate if rate == rate or not along else float(np.median(u / g)),
        "grown": growth(run),
    }


def early_steps(run: Evidence) -> float:
    """Return the median |u| of the first 5 measured steps, over the usual one in the first 64 or in the window."""
    first, next_ones = np.sqrt(run.early["uu"][:5]), np.sqrt(run.early["uu"][len(run.early["uu"]) // 2 :])
    usual = max(float(np.median(next_ones)), float(np.median(np.sqrt(run.rows["uu"]))))
    return ratio(float(np.median(first)), usual)


def growth(run: Evidence) -> float:
    """Return the rise of the last 16 losses over the range of the 48 before, or |g| over its least; at least 1."""
    grown = [1.0]
    known = run.losses[np.isfinite(run.losses)]
    cut = min(16, len(known) // 2)
    if cut > 1:
        before, last = known[-64:-cut], known[-cut:]
        grown.append(ratio(float(np.max(last) - np.median(before)), float(np.ptp(before))))
    g = np.sqrt(run.rows["gg"][np.isfinite(run.rows["gg"])])
    cut = min(8, len(g) // 2)
    if cut:
        grown.append(float(np.max(g[-cut:])) / max(float(np.min(g[-64:-cut])), 1e-30))
    return float(np.nanmax(grown))
