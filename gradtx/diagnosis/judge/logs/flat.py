"""Logs whose loss falls, or stands: spikes, a bounce, |g| that rises, the level of a guess, a plateau."""

import math

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, text
from gradtx.diagnosis.judge.guess import SIZES
from gradtx.diagnosis.judge.logs.risen import rate_text
from gradtx.diagnosis.read.course import Course, middle, running, runs_of, trend

# numbers of classes and of tokens that models have: ln k means something for these, not for every k


def healthy(c: Course) -> Finding | None:
    """Return a finding if the loss is still falling."""
    if not c.is_falling:
        return None
    whole, half = c.start - c.end, -c.fall
    doubt = ""
    if is_faster_and_faster(c):
        doubt = (
            "it falls faster and faster: a loss without a least value (a log_softmax or a bound is missing) looks the "
            "same as one that leaves a plateau; it is that if it falls below what it can be, or if |p| grows with it"
        )
    elif 0.4 * whole < half < 0.65 * whole:
        doubt = "it falls as fast as at its start: the rate may be too small; 100 steps at three times the rate tell"
    return Finding(
        "healthy",
        "the loss is still falling.",
        (
            f"loss {text(c.start)} at the start, {text(c.end)} at the end; over the last half it fell by {text(half)}, "
            f"{text(-c.surety) if math.isfinite(c.surety) else 'far more than 100'} standard errors",
        ),
        "none needed",
        doubt,
        confidence="high" if -c.surety > 6 and not is_faster_and_faster(c) else "medium",
    )


def is_faster_and_faster(c: Course) -> bool:
    """Return True if each of the last three quarters of the run takes the loss down more than twice the one before."""
    if len(c.blocks) < 8:
        return False
    ends = c.blocks[np.linspace(0, len(c.blocks) - 1, 5).round().astype(int)]
    falls = -np.diff(ends)
    error = c.noise / math.sqrt(c.rows / len(c.blocks))
    return bool(falls[1] > 3 * error and np.all(falls[2:] > 2 * falls[1:-1]))


def spikes(c: Course) -> Finding | None:
    """Return a finding if the loss has rare, high spikes that come back."""
    if c.rows < 50:
        return None
    above = (c.y - running(c.y, 31))[c.rows // 10 :]
    usual = max(5 * float(np.quantile(above, 0.9)), 10 * c.noise)
    found = [(a + c.rows // 10, b + c.rows // 10) for a, b in runs_of(above > usual)]
    rows = sum(b - a for a, b in found)
    if len(found) < 2 or rows > 0.1 * c.rows or usual <= 0:
        return None
    at = [int(a + np.argmax(c.y[a:b])) for a, b in found]
    wide = float(np.median([b - a for a, b in found]))
    steps = ", ".join(f"{c.step[i]:,.0f}" for i in at[:6]) + (", ..." if len(at) > 6 else "")
    before = [c.g[max(a - 3, 0) : a] for a, _ in found]
    early = middle(np.concatenate(before)) / middle(c.g) if before else math.nan
    warned, bound = early > 2, middle(c.g)
    line = [f"|g| in the 3 rows before a spike is {text(early)} times its median"] if early == early else []
    own = wide >= 3 or warned
    return Finding(
        "loss_spikes",
        f"the loss has {len(found)} spikes that come back: "
        + ("the step is too large at times." if own else "single rows, as from single batches."),
        (
            f"highest {text(float(np.max(c.y[at])))} on a level of {text(c.end)}, at steps {steps}",
            f"a spike lasts {text(wide)} rows",
            *line,
        ),
        (f"clip |g| at {text(bound)}, its median" if bound == bound else "clip |g| at its median")
        + f", or the rate x 0.5{rate_text(c, 0.5)}, or a smaller b2"
        if own
        else f"look at the batches of steps {steps}; clip |g|" + (f" at {text(2 * bound)}" if bound == bound else ""),
        "a bad batch or too large a step: run the batch of a spike through the parameters of 10 steps before it; "
        "if its "
        "loss is high there, it is the batch",
        confidence="medium" if own or wide < 2 else "low",
    )


def bounces(c: Course) -> Finding | None:
    """Return a finding if the loss goes up and down in turn, row by row."""
    y = c.y[-64:]
    if len(y) < 12:
        return None
    t = np.arange(len(y)) - (len(y) - 1) / 2
    x = y - y.mean() - t * np.dot(t, y - y.mean()) / np.dot(t, t)
    size = float(np.dot(x, x))
    if size <= 0:
        return None
    one, two = float(np.dot(x[1:], x[:-1])) / size, float(np.dot(x[2:], x[:-2])) / size
    if not (one < -0.6 and two > 0.5):
        return None
    return Finding(
        "oscillating",
        f"the loss goes up and down in turn, by {text(2 * float(np.std(x)))} from row to row.",
        (f"correlation of the loss with itself one row on {text(one)}, two rows on {text(two)}",),
        f"the learning rate x 0.3{rate_text(c, 0.3)}",
        "two kinds of batches in turn look the same: the loss of one fixed batch at every step tells; if that "
        "bounces, it is "
        "the rate",
        confidence="medium",
    )


def gradient_rises(c: Course) -> Finding | None:
    """Return a finding if |g| grows while the loss stands."""
    known = c.g[(c.g > 0) & np.isfinite(c.g)]
    if len(known) < 20:
        return None
    logs = np.log(known[len(known) // 4 :])
    change, surety, _ = trend(np.array([np.median(x) for x in np.array_split(logs, min(len(logs), 20))]))
    first, last = middle(known[: max(len(known) // 10, 3)]), middle(known[-max(len(known) // 10, 3) :])
    if not (surety > 3.5 and change > math.log(2)):
        return None
    return Finding(
        "oscillating",
        "|g| grows while the loss stands: NOT a critical point, the steps bounce across a valley.",
        (
            f"|g| {text(first)} at the start, {text(last)} at the end: {text(last / first)} times",
            f"loss over the last half: {text(c.fall)} of a spread of {text(c.noise)} a row",
        ),
        f"the learning rate x 0.25{rate_text(c, 0.25)}, for 100 steps: in a valley the loss falls at once",
        "weights that shrink under weight decay before a normalising layer raise |g| too: log the norm of the "
        "weights; if it "
        "shrinks as |g| grows, it is the decay",
        confidence="medium",
    )


def chance(c: Course) -> Finding | None:
    """Return a finding if the loss stands at ln k: the guess that gives k outcomes the same chance."""
    late = c.y[c.rows // 2 :]
    level = float(np.mean(late))
    error = float(np.std(late)) / math.sqrt(len(late))
    if error > 0.01:
        return None
    near = max(2e-3, 3 * error)
    found = [(abs(level - math.log(k)), k) for k in (*range(2, 21), *SIZES)]
    off, k = min(found)
    if off > min(near, 0.01) or c.least < c.end - max(5 * c.error, 0.02):
        return None
    return Finding(
        "at_chance",
        f"the loss stands at ln {k:,}: the model gives {k:,} outcomes the same chance, nothing is learnt.",
        (
            f"loss {text4(level)} over the last half, ln {k:,} = {text4(math.log(k))}",
            f"loss {text4(c.start)} at the start",
        ),
        "take one batch and train on it alone: a sound model brings its loss to nearly 0 within some hundred steps",
        "if it does, the inputs do not fit the labels (shuffled, shifted, wrong file) or the rate is off; if it "
        "does not, the "
        "model does not see its input or gets no gradient (detach, zero weights, a second softmax, frozen)",
        confidence="high" if k > 20 or abs(c.start - c.end) < 0.1 else "medium",
    )


def text4(x: float) -> str:
    """Return a number with four digits behind the point."""
    return f"{x:.4f}"


def plateau(c: Course) -> Finding:
    """Return the finding for a loss that stands; what |g| says about it names the candidates."""
    fell = c.start - c.end > max(
        5 * c.error, 2 * c.noise / math.sqrt(max(c.rows / 10, 1)), 1e-9 * abs(c.most - c.least)
    )
    first, last = c.norm(0.0, 0.1), c.norm(0.9, 1.0)
    since = float(c.step[min(int(arrival(c) * c.rows / len(c.blocks)), c.rows - 1)])
    evidence = [f"loss {text(c.start)} at the start, {text(c.end)} at the end, spread of a row {text(c.noise)}"]
    if last == last:
        evidence.append(f"|g| {text(first)} at the start, {text(last)} at the end")
    test = "100 steps at a quarter of the rate and 100 at three times"
    action = f"from the last checkpoint run {test}{rates(c)}, and keep what falls"
    doubt = (
        "falls at a quarter: the steps were too large (noise of the minibatch, or a bounce); falls at three "
        "times: they were "
        "too small; falls at neither: a minimum, a saddle, or what the data allow"
    )
    if last < 0.02 * first:
        action = "evaluate: |g| has all but vanished, so a larger rate alone does little"
        doubt = (
            "a minimum, a saddle or a gradient that vanishes: the loss of a larger batch after a small random change "
            "of the "
            "parameters tells; if it falls, it was a saddle; if one layer's |g| is far below the others', it vanishes"
        )
    if c.y.min() < 0 < c.y.max() and abs(c.end) < 3 * c.noise:
        doubt += (
            "; a loss about 0 of both signs is often a surrogate (policy gradient, GAN): judge the reward "
            "or the samples"
        )
    return Finding(
        "plateau",
        f"the loss has stopped falling, at about step {since:,.0f}." if fell else "the loss has not fallen at all.",
        tuple(evidence),
        action,
        doubt,
        confidence="medium" if fell or last == last else "low",
    )


def arrival(c: Course) -> int:
    """Return the first block from which on the loss is as low as at the end."""
    near = c.end + max(3 * c.error, 0.02 * max(c.most - c.end, 0.0))
    return int(np.argmax(c.blocks <= near))


def rates(c: Course) -> str:
    """Return the two rates of the test as text."""
    rate = c.rate[np.isfinite(c.rate)]
    return f" ({text(0.25 * float(rate[-1]))} and {text(3 * float(rate[-1]))})" if len(rate) and rate[-1] else ""
