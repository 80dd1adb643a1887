"""The course of the loss over a run, in its own units: no feature depends on where the loss has its zero."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from gradtx.diagnosis.read.evidence import Array, Evidence, block_means
from gradtx.diagnosis.read.features import NAN

START = 64  # losses that the start is the mean of, or a tenth of a shorter run
SIGMA = 1.4826  # standard deviation of a normal variable over its median absolute deviation
ALONE = 8.0  # spreads by which a single first loss must differ from those after it to be no noise


def ratio(a: float, b: float) -> float:
    """Return a / b, NaN if b is 0."""
    return float(a / b) if b else NAN


def deviation(xs: Array) -> float:
    """Return the robust standard deviation."""
    return SIGMA * float(np.median(np.abs(xs - np.median(xs)))) if len(xs) else NAN


def spread_of(xs: Array) -> float:
    """Return the standard deviation of one loss about its course: a trend adds nothing to it, outliers hardly any."""
    if len(xs) < 3:
        return 0.0
    at = np.arange(len(xs), dtype=float)
    third = max(len(xs) // 3, 1)
    slope = (np.median(xs[-third:]) - np.median(xs[:third])) / max(len(xs) - third, 1)
    return min(deviation(xs - slope * at), deviation(np.diff(xs)) / np.sqrt(2) if len(xs) > 8 else np.inf)


NARROW = (jnp.bfloat16, np.float16, np.float32)  # dtypes of a recorded loss; one that was printed fits none of them
UNITS = 8  # in the last place, within which rounding of the sums before it moves a loss


def quantum_of(*series: Array) -> float:
    """Return how finely losses are known: their least difference, or a few units in the last place if that is less.

    The unit is that of the narrowest dtype that holds all of them, if one does; float32's if no two differ.
    """
    found = np.concatenate(series)
    found = found[np.isfinite(found)]
    apart = np.diff(np.unique(found))
    if not len(apart):
        return UNITS * float(jnp.finfo(jnp.float32).eps) * float(np.max(np.abs(found), initial=0.0))
    held = (float(jnp.finfo(dtype).eps) for dtype in NARROW if np.array_equal(found, found.astype(dtype).astype(float)))
    return float(min(np.min(apart), UNITS * next(held, np.inf) * np.max(np.abs(found))))


def losses(run: Evidence, one_loss: bool | None) -> Mapping[str, object]:
    """Return the features that need only the loss."""
    steps, means = block_means(run)
    first, known = (xs[np.isfinite(xs)] for xs in (run.early_losses, run.losses))  # a loss may be given now and then
    if not len(means) or not len(first) or not len(known):
        return {}
    at = steps / max(run.steps, 1)
    last = float(np.median(means[at > min(0.9, at[-1] - 1e-9)]))  # medians: a burst or a bad batch moves no level
    middle = means[(at >= 0.4) & (at <= 0.6)]
    early = first[: int(np.clip(run.steps // 10, 1, START))]
    start = float(first[0]) if one_loss else float(np.mean(early))
    least = float(np.min(means))
    span = max(start - least, last - least)
    left = max(last - run.floor, 0.0) if run.floor is not None else np.inf
    quantum = quantum_of(first, known)
    spread = max(spread_of(known), quantum)
    early_spread = max(spread_of(first), quantum)
    mid = float(np.median(middle)) if len(middle) else NAN
    gained, before = mid - last, start - mid
    recent = known[-max(min(len(known) // 4, START), 1) :]
    quarter = max(len(known) // 4, 1)
    return {
        "loss_first": float(first[0]),
        "loss_start": start,
        "loss_middle": mid,
        "loss_last": last,
        "loss_least": least,
        "spread": spread,
        "quantum": quantum,
        "gained": gained,
        "certainty": certainty(at, means, gained),
        "share": ratio(gained, min(span, left) if span > 0 else left),
        "pace": ratio(gained, before),
        "steady": steadiness(at, means),
        "span": span,
        "rise": ratio(float(np.median(recent) - np.median(early)), early_spread),
        "rising": ratio(float(np.median(known[-quarter:]) - np.median(known[:quarter])), spread),
        "lost_again": ratio(last - least, span),
        **peaks(run, first, known, start, last),
        **jumps(steps, means, first, spread, quantum),
        "turns": alternation(known),
        "zeros_since": zeros_since(run, known),
    }


def certainty(at: Array, means: Array, gained: float) -> float:
    """Return the slope of the last 60 % of the run over its standard error, with the sign of what was gained."""
    x, y = at[at >= 0.4], means[at >= 0.4]
    if len(x) < 4:
        return NAN
    limit = 6 * deviation(y)
    y = np.clip(y, np.median(y) - limit, np.median(y) + limit) if limit > 0 else y
    slope, error = line(x, y)
    if not error > 0:
        return float(np.sign(gained)) * np.inf if gained else NAN
    return float(-slope / error) if slope * gained < 0 else 0.0


def line(x: Array, y: Array) -> tuple[float, float]:
    """Return the slope of the straight line through points and its standard error."""
    x = x - np.mean(x)
    slope = float(np.sum(x * y) / np.sum(x * x))
    rest = y - np.mean(y) - slope * x
    return slope, float(np.sqrt(np.sum(rest**2) / (len(x) - 2) / np.sum(x * x)))


def steadiness(at: Array, means: Array) -> float:
    """Return the slope of the second half of the run over that of the first, less a standard error of the quotient."""
    early, late = (at > 0.05) & (at < 0.5), at >= 0.5
    if min(np.sum(early), np.sum(late)) < 4:
        return NAN
    (a, a_error), (b, b_error) = line(at[early], means[early]), line(at[late], means[late])
    if not (a < 0 and b < 0):
        return NAN
    return b / a * (1.0 - float(np.hypot(a_error / a, b_error / b)))


def peaks(run: Evidence, first: Array, known: Array, start: float, last: float) -> Mapping[str, object]:
    """Return how far the loss rose above its course early on, and late."""
    used = run.history["losses"] > 0
    late = used & (run.history["step"] >= run.steps / 2)
    highest, lowest = run.history["loss_max"][late], run.history["loss_min"][late]
    means = run.history["loss_sum"][late] / run.history["losses"][late]
    typical = float(np.median(means)) if len(means) else NAN
    # with its neighbours: one loss may be that of a bad batch
    above = float(np.max([np.median(first[i : i + 3]) for i in range(max(len(first) - 2, 1))]) - first[0])
    # what a block spans where nothing bursts: half of the blocks are calmer
    usual = max(float(np.median(highest - lowest)), deviation(means), quantum_of(first, known)) if len(means) else NAN
    return {
        "peak_early": ratio(above, early_noise(first) or quantum_of(first)),
        "burst": ratio(above, abs(float(first[0]) - last) or quantum_of(first)),
        "peak_late": ratio(float(np.max(highest)) - typical, usual) if len(highest) else NAN,
        "spikes": int(np.sum(highest - typical > 8 * usual)) if len(highest) else 0,
    }


def early_noise(first: Array) -> float:
    """Return the spread of one of the first losses: of the later half, or of neighbours in the earlier half if larger.

    Losses of minibatches scatter in proportion to their height, and those of the start may be far higher.
    """
    half = len(first) // 2
    return max(spread_of(first[half:]), deviation(np.diff(first[:half])) / np.sqrt(2) if half > 8 else 0.0)


def jumps(steps: Array, means: Array, first: Array, spread: float, quantum: float) -> Mapping[str, object]:
    """Return where the loss rose at once to a level that it never left again, and by how many spreads."""
    best, where, drift = 0.0, -1, NAN
    for i in range(1, len(means)):
        before, after = means[max(i - 8, 0) : i], means[i:]
        noise = max(scatter(after), deviation(before), quantum) + 1e-300
        size = float(np.quantile(after, 0.1) - np.max(before)) / noise
        if len(after) >= 3 and size > best:
            best, where = size, int(steps[i])
            third = max(len(after) // 3, 1)
            drift = float(np.median(after[-third:]) - np.median(after[:third])) / max(
                float(np.median(after) - np.max(before)), 1e-300
            )
    rest = first[2:]
    if len(rest) > 3 and where < 0:  # one loss alone before the jump: its block may hold more
        alone = float(np.min(rest) - first[0]) / max(deviation(rest), quantum, 1e-300)
        best, where, drift = (alone, 1, 0.0) if alone > max(best, ALONE) else (best, where, drift)
    return {"jump": min(best, 1e9), "jumped_at": where, "drift": drift}


def scatter(xs: Array) -> float:
    """Return the robust standard deviation of losses about their course if they fall, about their median if not.

    What falls begins at its highest, so that its trend makes no jump; what rises by itself would.
    """
    third = max(len(xs) // 3, 1)
    return spread_of(xs) if np.median(xs[-third:]) < np.median(xs[:third]) else deviation(xs)


def alternation(known: Array) -> float:
    """Return the correlation of consecutive changes: -1 where the loss goes up and down in turn, -0.5 of noise."""
    changes = np.diff(known)
    return ratio(float(np.mean(changes[1:] * changes[:-1])), float(np.mean(changes**2))) if len(changes) > 6 else NAN


def zeros_since(run: Evidence, known: Array) -> int:
    """Return the step since which the loss is exactly 0 while it was not before, -1 if it is not."""
    zero = known == 0
    if not len(zero) or not zero[-1] or (run.early_losses[np.isfinite(run.early_losses)] == 0).all():
        return -1
    since = len(zero) - int(np.argmin(zero[::-1])) if not zero.all() else 0
    if since == 0 and len(known) < run.steps:  # before the window: the last block that holds another loss
        other = np.flatnonzero((run.history["losses"] > 0) & (run.history["loss_max"] > 0))
        return int(run.history["step"][other[-1]]) if len(other) else 0
    return run.steps - len(known) + since
