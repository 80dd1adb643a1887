"""Compute the features of a recorded run."""

import warnings
from collections.abc import Mapping

import numpy as np

from gradtx.diagnosis.read.evidence import Evidence, block_means
from gradtx.diagnosis.read.features import NAN, Features

FEW = 4  # a group of fewer parameters may have no gradient because it stands on an axis of the surface


def features(run: Evidence, full_batch: bool | None = None) -> Features:
    """Return the features of a run.

    Args:
        run: the evidence.
        full_batch: True if every step saw the same data, False if not, None to infer it from the record.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no values is NaN, which stands for unknown
        found: dict[str, object] = {"steps": run.steps, "rows": len(run.rows["step"])}
        found |= losses(run)
        found |= gradients(run)
        found |= slopes(run, float(found["loss_last"]), full_batch)  # type: ignore[arg-type]
        found |= sizes(run)
        found["dead"] = dead_groups(run)
        return Features(**found)  # type: ignore[arg-type]


def divide_to_nan(a: float, b: float) -> float:
    """Return a / b, NaN if b is 0."""
    return float(a / b) if b else NAN


def losses(run: Evidence) -> Mapping[str, object]:
    """Return the features that need only the loss."""
    steps, means = block_means(run)
    if not len(means):
        return {"loss_last": NAN}
    at = steps / max(run.steps, 1)
    last = float(np.mean(means[at > min(0.9, at[-1] - 1e-9)]))
    middle, late = means[(at >= 0.4) & (at <= 0.6)], means[(at >= 0.7) & (at <= 0.8)]
    scale = max(abs(last - run.floor), 1e-30)
    tail = means[at > 0.9]
    error = np.sqrt(np.var(middle) / max(len(middle), 1) + np.var(tail) / max(len(tail), 1))
    half = at > 0.5
    typical = float(np.median(means[half])) if half.any() else last
    highest = run.history["loss_max"][run.history["losses"] > 0][half]
    first, known = (xs[np.isfinite(xs)] for xs in (run.early_losses, run.losses))  # a loss may be given now and then
    quarter = max(len(known) // 4, 1)
    return {
        "loss_first": float(first[0]) if len(first) else NAN,
        "loss_middle": float(np.mean(middle)),
        "loss_last": last,
        "loss_least": float(np.min(means)),
        "progress": float(np.mean(middle) - last) / scale,
        "certainty": divide_to_nan(float(np.mean(middle) - last), float(error)),
        "recent": float(np.mean(late) - last) / scale,
        "rising": divide_to_nan(float(np.median(known[-quarter:])), float(np.median(known[:quarter]))),
        "peak_early": divide_to_nan(float(np.max(first)), float(first[0])) if len(first) else NAN,
        "peak_late": divide_to_nan(float(np.max(highest)), typical) if len(highest) else NAN,
        "spikes": int(np.sum(highest > 3 * typical)),
    }


def gradients(run: Evidence) -> Mapping[str, object]:
    """Return the features of the gradients and of their cosines."""
    g, rows = np.sqrt(run.rows["gg"]), run.rows
    if not len(g):
        return {}
    quarter = max(len(g) // 4, 1)
    start = run.early["gg"]
    peak = run.history["gg_max"]
    return {
        "g_first": float(np.sqrt(np.median(start[:5]))),
        "g_last": float(np.median(g[-5:])),
        "g_most": float(np.sqrt(np.max(peak[np.isfinite(peak)], initial=0.0))),
        "g_growth": float(np.log(np.mean(g[-quarter:] ** 2) / np.mean(g[:quarter] ** 2))),
        "cos1": float(np.nanmean(rows["cos1"])),
        "cos2": float(np.nanmean(rows["cos2"])),
        "ucos": float(np.nanmean(rows["ucos"])),
        "straight": float(np.nanmean(rows["straight"])),
        "learning_rate": float(rows["learning_rate"][-1]),
    }


def slopes(run: Evidence, loss_last: float, full_batch: bool | None) -> Mapping[str, object]:
    """Return the features that need the slopes at both ends of a step."""
    rows = run.rows
    if not len(rows["step"]):
        return {"one_loss": full_batch}
    both = np.isfinite(rows["start"]) & np.isfinite(rows["end"])
    rho = divide_to_nan(float(np.sum(rows["end"][both])), float(np.sum(rows["start"][both])))
    follows = np.diff(rows["step"]) == 1
    change, predicted = np.diff(rows["loss"])[follows], rows["gu"][:-1][follows]
    end = rows["end"][1:][follows]
    size = float(np.median(np.maximum(np.abs(predicted), np.abs(end))))
    off = float(np.median(np.abs(change - (predicted + end) / 2)))
    error = divide_to_nan(off, size)
    one = full_batch
    if one is None and np.isfinite(error):
        rounding = 3e-7 * abs(float(np.median(rows["loss"])))
        steady = abs(float(np.nanmean(rows["cos1"]))) > 0.9 and float(np.nanmean(rows["cos2"])) > 0.9
        one = error < 0.3 or off <= rounding or steady
    fall = -rows["gu"]
    quarter = max(len(fall) // 4, 1)
    scale = max(abs(loss_last - run.floor), 1e-30)
    early, late = float(np.mean(fall[:quarter])), float(np.mean(fall[-quarter:]))
    span = float(np.mean(rows["step"][-quarter:]) - np.mean(rows["step"][:quarter]))
    decay = divide_to_nan(float(np.log(early / late)), span) if early > 0 and late > 0 else NAN
    return {
        "rho": rho,
        "gain": divide_to_nan(float(np.sum(change)), float(np.sum(predicted))),
        "error": error,
        "one_loss": one,
        "fall": late / scale,
        "decay": decay,
        "remaining": divide_to_nan(late, decay) / scale,
        "bounce": divide_to_nan(float(np.mean(fall)), 2 * (1 - rho)) / scale,
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
    return {
        "clipped": float(np.mean(clip < 1)) if len(clip) else NAN,
        "clip_median": float(np.median(clip)) if len(clip) else NAN,
        "early_steps": early_steps(run),
        "scaled": bool(np.any(high[known] > 1.001 * low[known])) if known.any() else None,
        "rate_spread": divide_to_nan(float(high[-1]), float(mean[-1])),
        "rate_drop": divide_to_nan(float(np.max(before, initial=0.0)), float(np.min(after, initial=np.inf))),
        "grown": growth(run),
    }


def early_steps(run: Evidence) -> float:
    """Return the median |u| of the first 5 measured steps, over the usual one in the first 64 or in the window."""
    first, next_ones = np.sqrt(run.early["uu"][:5]), np.sqrt(run.early["uu"][len(run.early["uu"]) // 2 :])
    usual = max(float(np.median(next_ones)), float(np.median(np.sqrt(run.rows["uu"]))))
    return divide_to_nan(float(np.median(first)), usual)


def growth(run: Evidence) -> float:
    """Return how much the loss or |g| grew: largest of the last 8 steps over least of the 56 before, at least 1."""
    grown = [1.0]
    for series in (run.losses, np.sqrt(run.rows["gg"])):
        known = np.abs(series[np.isfinite(series)])
        cut = min(8, len(known) // 2)
        if cut:
            before, last = known[-64:-cut], known[-cut:]
            grown.append(float(np.max(last)) / max(float(np.min(before)), 1e-30))
    return max(grown)


def dead_groups(run: Evidence) -> tuple[str, ...]:
    """Return the groups of more than a few parameters that get no gradient."""
    most = max(run.group_peak.values(), default=0.0)
    dead = []
    for name, columns in run.groups.items():
        if not len(columns["gg"]) or run.sizes[name] < FEW:
            continue
        zeros = float(np.median(columns["zeros"][-16:]))
        u, p = np.sqrt(np.median(columns["uu"])), np.sqrt(np.median(columns["pp"]))
        still = not np.isfinite(p) or u < 1e-5 * p
        if zeros > 0.99 or (run.group_peak[name] < 1e-6 * most and still):
            dead.append(name)
    return tuple(dead)
