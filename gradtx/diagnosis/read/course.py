"""The course of a log: levels, spread and trends of the loss and of |g|, free of the loss's zero and of its scale.

Differences of losses are compared with each other and with the spread of the loss, never with the loss itself: adding a
constant to it, or multiplying it by a positive number, changes no verdict that rests on these.
"""

import dataclasses
from typing import Any

import numpy as np

from gradtx.diagnosis.read.evidence import Array

MOST_BLOCKS = 40


@dataclasses.dataclass(frozen=True)
class Course:
    """A log of n rows that hold a loss.

    Attributes:
        step: the step of each row.
        y: the loss of each row.
        g: |g| of each row; NaN where it is not known, infinite where it is not finite.
        rate: the learning rate of each row, NaN where it is not known.
        blocks: median loss of at most 40 equal parts.
        noise: robust spread of one row about its neighbours.
        error: spread of a block about the trend of its neighbours.
        start, end: median loss of the first rows and of the last tenth.
        least, most: of the blocks and the start.
        fall: change of the loss over the last half by a straight line through its blocks, negative where it falls.
        surety: that change over its standard error; 0 where `wave` may make such a change.
        wave: what a loss that comes back with a period leaves in a block, for the period is known to half a row.
    """

    step: Array
    y: Array
    g: Array
    rate: Array
    blocks: Array
    noise: float
    error: float
    start: float
    end: float
    least: float
    most: float
    fall: float
    surety: float
    wave: float

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.y)

    @property
    def is_falling(self) -> bool:
        """Return True if the loss falls over the last half: surely, and by more than a hundredth of the whole fall.

        Where few rows make the last half unsure, the last three quarters may be sure.
        """
        longer = trend(self.blocks[len(self.blocks) // 4 :])[1]
        sure = self.surety < -3.5 or (self.surety < -2 and longer < -4)
        return sure and -self.fall > 0.01 * max(self.start - self.end, 0.0)

    def norm(self, low: float, high: float) -> float:
        """Return the median |g| between two shares of the run, NaN where it is not known."""
        return middle(self.g[int(low * self.rows) : max(int(high * self.rows), 1)])


def course_of(columns: Any) -> Course | None:
    """Return the course of the finite losses of a log, None where there is none."""
    loss = columns["loss"]
    keep = np.isfinite(loss)
    if not keep.any():
        return None
    blank = np.full(len(loss), np.nan)
    y, n = np.clip(loss[keep], -1e100, 1e100), int(keep.sum())  # so that no square overflows
    period = period_of(y[n // 4 :])
    blocks = np.array([np.median(part) for part in blocks_of(y, period)])
    fall, surety, rest = trend(blocks[len(blocks) // 2 :])
    wave = 2 * float(np.ptp(np.quantile(y[n // 2 :], [0.05, 0.95]))) / period if period else 0.0
    if abs(fall) < wave:
        surety = 0.0
    start, end = float(np.median(y[:3])), float(np.median(y[-max(3, n // 10) :]))
    return Course(
        step=columns.get("step", np.arange(len(loss), dtype=float))[keep],
        y=y,
        g=columns.get("grad_norm", blank)[keep],
        rate=columns.get("learning_rate", blank)[keep],
        blocks=blocks,
        noise=spread(np.diff(y)) / np.sqrt(2),
        error=rest,
        start=start,
        end=end,
        least=min(start, float(np.min(blocks))),
        most=max(start, float(np.max(blocks))),
        fall=fall,
        surety=surety,
        wave=wave,
    )


def trend(x: Array) -> tuple[float, float, float]:
    """Return the change of a straight line through values, that over its standard error, and the spread about it.

    Without any spread the second is infinite, or 0 where nothing changes.
    """
    n = len(x)
    if n < 3:
        return 0.0, 0.0, 0.0
    t = np.arange(n) - (n - 1) / 2
    slope = float(np.dot(t, x - x.mean()) / np.dot(t, t))
    rest = x - x.mean() - slope * t
    size = float(np.sqrt(np.dot(rest, rest) / (n - 2)))
    error = size / float(np.sqrt(np.dot(t, t)))
    if error <= 1e-12 * abs(slope):
        return slope * (n - 1), float(np.sign(slope)) * np.inf if slope else 0.0, size
    return slope * (n - 1), slope / error, size


def blocks_of(y: Array, period: int) -> list[Array]:
    """Return the rows in at most 40 equal parts, of whole periods where the loss has a period."""
    n = len(y)
    if period and n // period >= 8:  # what goes up and comes back within a part says nothing of a trend
        rows = period * -(-n // (MOST_BLOCKS * period))
        return np.split(y, range(n - rows * (n // rows - 1), n, rows))
    return np.array_split(y, min(n, MOST_BLOCKS))


def period_of(y: Array) -> int:
    """Return the number of rows after which the loss repeats about its trend, 0 if it does not.

    It does where the loss half a period apart is opposite and a whole period apart alike: correlations below -0.3 and
    above 0.3, with 5 periods or more in these rows.
    """
    n = len(y)
    if n < 50:
        return 0
    t = np.arange(n) - (n - 1) / 2
    x = y - y.mean() - t * np.dot(t, y - y.mean()) / np.dot(t, t)
    power = np.abs(np.fft.rfft(x, 2 * n)) ** 2
    lags = n // 5 + 1
    alike = np.fft.irfft(power)[:lags] * n / (n - np.arange(lags))  # as if all lags had as many pairs
    if not alike[0] > 0:
        return 0
    low = np.flatnonzero(alike < -0.3 * alike[0])
    if not len(low):
        return 0
    after = alike[low[0] :]
    first = int(np.argmax(after > 0.8 * after.max()))  # the first of the peaks, which stand at multiples of the period
    high = int(low[0]) + first + int(np.argmax(after[first : first + max(int(low[0]), 1)]))
    return high if alike[high] > 0.3 * alike[0] and high > 2 else 0


def spread(x: Array) -> float:
    """Return a robust standard deviation about the median; where most values are equal, that of all but the largest."""
    if not len(x):
        return 0.0
    away = np.sort(np.abs(x - np.median(x)))
    usual = away[: max(int(0.95 * len(away)), 1)]
    return max(1.4826 * float(np.median(away)), 0.5 * float(np.sqrt(np.mean(usual**2))))


def running(y: Array, width: int) -> Array:
    """Return the running median of an odd number of rows."""
    if len(y) <= width:
        return np.full(len(y), np.median(y))
    padded = np.pad(y, width // 2, mode="reflect")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1))


def middle(x: Array) -> float:
    """Return the median of the finite values, NaN if there is none."""
    x = x[np.isfinite(x)]
    return float(np.median(x)) if len(x) else float("nan")


def runs_of(flags: Any) -> list[tuple[int, int]]:
    """Return begin and end of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
