"""What does not move in a run: groups and arrays that get no gradient, or no update, and since when."""

from collections.abc import Mapping

import numpy as np

from gradtx.diagnosis.read.evidence import Array, Evidence

FEW = 4  # a group of fewer parameters may have no gradient because it stands on an axis of the surface
ZERO = 0.99  # share of gradient entries that are exactly 0 above which a group has no gradient
ENDED = 1e-7  # of the largest rate: a schedule that ends at 0 may end at its rounding
FAINT, TINY = 1e-6, 1e-5  # of the largest group's |g|^2; |u| of |p|


def stillness(run: Evidence) -> Mapping[str, object]:
    """Return the features of what gets no gradient and what gets no update."""
    rows = run.rows
    frozen = [name for name, x in run.groups.items() if len(x["gg"]) and is_frozen(x)]
    leaves, total = still_leaves(run), max(sum(run.sizes.values()), 1)
    # of a group, some arrays may be frozen and others not: all weights, and no bias
    in_leaves = sum(run.leaves[name].get("size", 0) for name in leaves["frozen_leaves"])
    dead, gone = dead_groups(run)
    lost = rows.get("lost", np.zeros(0))
    lost = lost[np.isfinite(lost)]
    return {
        "rate_zero_since": zero_since(run, "learning_rate", "rate_max", ENDED),
        "still_since": zero_since(run, "uu", "uu_max", 0.0),
        "decays": None if run.meta is None else run.meta.decays,
        "limits": run.meta is not None and run.meta.limits,
        "lost": float(np.median(lost)) if len(lost) else float("nan"),
        "frozen": tuple(frozen),
        "frozen_share": max(sum(run.sizes[name] for name in frozen), in_leaves) / total,
        "dead": dead,
        "gone": gone,
        "gone_since": max((run.group_seen.get(name, -1) for name in gone), default=-1),
        **leaves,
    }


def zero_since(run: Evidence, name: str, of_block: str, part: float) -> int:
    """Return the step since which a column is 0, or below a part of its largest, to the end; -1 if its last is not."""
    steps, values = run.rows["step"], run.rows[name]
    blocks = run.history[of_block]
    limit = part * most(np.concatenate([values, run.early[name]]))
    nonzero = np.flatnonzero(~(values <= limit))  # what is not known (NaN) is not 0
    first = int(nonzero[-1]) + 1 if len(nonzero) else 0
    if first == len(steps):
        return -1
    if first or not np.any(run.early[name] > limit):
        return int(steps[first]) if first else 0
    before = np.flatnonzero(blocks > part * most(blocks))  # it was above in a step that the window no longer holds
    after = run.history["step"][before[-1] + 1 :] if len(before) else steps[:1]
    return int(min(after[0] if len(after) else steps[0], steps[0]))


def most(values: Array) -> float:
    """Return the largest of the values that are known, at least 0."""
    return float(np.max(values[np.isfinite(values)], initial=0.0))


def is_frozen(group: Mapping[str, Array]) -> bool:
    """Return True if a group has gradients and none of the last updates moves it."""
    return bool(np.median(group["gg"][-16:]) > 0 and not np.any(group["uu"][-16:] > 0))


def dead_groups(run: Evidence) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the groups of more than a few parameters that get no gradient, and those where it is exactly 0."""
    most = max(run.group_peak.values(), default=0.0)
    dead, gone = [], []
    for name, columns in run.groups.items():
        if not len(columns["gg"]) or run.sizes[name] < FEW:
            continue
        u, p = np.sqrt(np.median(columns["uu"])), np.sqrt(np.median(columns["pp"]))
        still = not np.isfinite(p) or u < TINY * p
        if not np.any(columns["gg"][-16:] > 0):
            gone.append(name)
        if np.median(columns["zeros"][-16:]) > ZERO or (run.group_peak[name] < FAINT * most and still):
            dead.append(name)
    return tuple(dead), tuple(gone)


def still_leaves(run: Evidence) -> Mapping[str, tuple[str, ...]]:
    """Return the arrays that get no gradient, and those that get one and no update."""
    dead, frozen = [], []
    last = float(run.rows["step"][-1]) if len(run.rows["step"]) else 0.0
    since = max(last - 16, 0.0)
    for name, leaf in run.leaves.items():
        if leaf["zeros"] > ZERO or leaf["g_step"] < since:
            dead.append(name)
        elif leaf["g_most"] > 0 and leaf["u_step"] < since:
            frozen.append(name)
    return {"dead_leaves": tuple(dead), "frozen_leaves": tuple(frozen)}
