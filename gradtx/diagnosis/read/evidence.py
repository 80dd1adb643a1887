"""The contents of a record (or of a log) as NumPy arrays on the host."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from gradtx._core.contract.errors import describe
from gradtx.diagnosis.read.lost import UNNAMED, lost_records
from gradtx.diagnosis.record.late import inside
from gradtx.diagnosis.record.record import (
    BLANK,
    BLOCK,
    BLOCKS,
    EARLY,
    GROUP_COLUMNS,
    LEAF_COLUMNS,
    MOST,
    RING,
    ROOTS,
    ROW,
    Meta,
    Record,
)

Array = np.ndarray[Any, np.dtype[np.float64]]
FEWEST = 20  # with fewer steps there is no verdict


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A run as it was recorded.

    Attributes:
        steps: updates seen.
        rows: the last measured steps, by column.
        early: the first measured steps, by column.
        losses: the last losses, one a step.
        early_losses: the first losses, one a step.
        history: the whole run in blocks, by column; `step` is where a block begins.
        groups: name to its columns over the last measured steps.
        group_peak: name to its largest |g|^2 ever.
        sizes: name to its number of parameters.
        group_seen: name to the last step at which its gradient was not 0, -1 if none.
        leaves: name of an array to its `LEAF_COLUMNS`, the last steps at which its gradient (`g_step`) and its update
            (`u_step`) were not 0, and its number of parameters (`size`, 0 if not known).
        bad_step: first step that was not finite, -1 if none.
        bad: name to its non-finite gradient entries at that step.
        meta: what the record is about; None for a log.
        floor: the least loss that can be reached, None if it is not known.
        notes: how a log was read: the columns taken, what was left out.
        skipped: skipped steps that were seen: their gradient was not finite, their update was.
        first_skipped, last_skipped: the first and the last of them, -1 if none.
        skipped_bad: name to its non-finite gradient entries at the first of them.
        log: the columns of a log, whole; empty for a record.
    """

    steps: int
    rows: Mapping[str, Array]
    early: Mapping[str, Array]
    losses: Array
    early_losses: Array
    history: Mapping[str, Array]
    groups: Mapping[str, Mapping[str, Array]]
    group_peak: Mapping[str, float]
    sizes: Mapping[str, int]
    bad_step: int
    bad: Mapping[str, int]
    meta: Meta | None
    floor: float | None = None
    notes: tuple[str, ...] = ()
    skipped: int = 0
    first_skipped: int = -1
    last_skipped: int = -1
    skipped_bad: Mapping[str, int] = dataclasses.field(default_factory=dict)
    log: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    group_seen: Mapping[str, int] = dataclasses.field(default_factory=dict)
    leaves: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)


def find(state: Any, caller: str = "diagnose") -> Record:
    """Return the record in a state, wherever `watch` stands in the chain.

    Raises:
        TypeError: there is none.
        ValueError: there is more than one, or it is traced or batched.
    """
    found = [x for x in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, Record)) if isinstance(x, Record)]
    found = [concrete(x) for x in found] or list(lost_records(state))
    if not found:
        raise missing_record(state, caller)
    if len(found) > 1:
        raise ValueError(
            f"{caller}: state has {len(found)} records, expected one; pass the part of the state that you mean"
        )
    record = found[0]
    if isinstance(record.step, jax.core.Tracer):
        raise ValueError(f"{caller}: state is traced, expected concrete arrays; call it outside jit")
    if np.ndim(record.step):
        raise ValueError(
            f"{caller}: state is a batch of shape {np.shape(record.step)}, expected one run; "
            "take one, jax.tree.map(lambda x: x[i], state)"
        )
    return record


def concrete(record: Record) -> Record:
    """Return a record whose variables, where a library wrapped its arrays in such, are replaced by their arrays."""
    values: dict[str, Any] = {name: inside(x) for name, x in record._asdict().items() if name != "meta"}
    return record._replace(**values)


def missing_record(state: Any, caller: str) -> TypeError:
    """Return the error for what holds no record, with the remedy for the mistake that it looks like."""
    got, fix = f"is {describe(state)} without a record", "wrap it before training, tx = gradtx.watch(tx)"
    if isinstance(state, optax.GradientTransformation):
        got, fix = "is the transform itself", "pass the state that tx.init returned and tx.update carried on"
    elif isinstance(state, (str, os.PathLike)):
        got, fix = f"is the path {os.fspath(state)!r}", "for a log of a run: gradtx.diagnose(gradtx.read_log(path))"
    elif hasattr(state, "verdict"):
        got, fix = "is a report already", "print it, or pass the state of the optimizer"
    elif state is None:
        got, fix = "is None", "pass the state that tx.update returned"
    return TypeError(f"{caller}: state {got}, expected the state of a watched transform; {fix}")


def read(state: Any, floor: float | None = None, caller: str = "diagnose") -> Evidence:
    """Return the evidence in the state of a watched transform."""
    record = find(state, caller)
    arrays = jax.device_get(record)
    meta = record.meta
    rows, steps, bad_step = int(arrays.rows), int(arrays.step), int(arrays.bad_step)
    seen = steps if bad_step < 0 else bad_step
    order = np.arange(max(rows - RING, 0), rows) % RING
    block = int(arrays.block)
    used = min(-(-seen // block), BLOCKS) if seen else 0
    history: dict[str, Array] = columns(BLOCK, arrays.history[:used])
    history["loss_sum"] = np.multiply(history["losses"], history.pop("loss_mean") + history.pop("loss_lost"))
    for name, x in history.items():  # of nothing, the least is infinite, and so is the largest
        least = name.endswith("_min")
        x[x == MOST if least else np.isnan(x)] = np.inf if least else -np.inf
    history["step"] = np.arange(used, dtype=np.float64) * block
    groups = arrays.groups[order]
    early = min(rows, EARLY)
    skipped = [int(x) for x in arrays.skipped]
    return Evidence(
        steps=seen,
        rows={"step": arrays.ring_steps[order].astype(float), **columns(ROW, arrays.ring[order])},
        early={"step": arrays.early_steps[:early].astype(float), **columns(ROW, arrays.early[:early])},
        losses=known(arrays.losses[np.arange(max(seen - RING, 0), seen) % RING]),
        early_losses=known(arrays.early_losses[: min(seen, EARLY)]),
        history=history,
        groups={n: columns(GROUP_COLUMNS, groups[:, i]) for i, n in enumerate(meta.groups)},
        group_peak={n: float(arrays.group_peak[i]) ** 2 for i, n in enumerate(meta.groups)},
        sizes=dict(zip(meta.groups, meta.sizes, strict=True)),
        bad_step=bad_step,
        bad={n: int(arrays.bad[i]) for i, n in enumerate(meta.groups) if arrays.bad[i]},
        meta=meta,
        floor=floor,
        notes=("names of groups and arrays are not in the checkpoint: they are numbered",)
        if meta.transform == UNNAMED
        else (),
        skipped=skipped[0],
        first_skipped=skipped[1],
        last_skipped=skipped[2],
        skipped_bad={n: int(arrays.skipped_bad[i]) for i, n in enumerate(meta.groups) if arrays.skipped_bad[i]},
        group_seen=group_seen(meta, arrays),
        leaves={
            name: {
                **dict(zip(LEAF_COLUMNS, map(float, arrays.leaves[i]), strict=True)),
                **dict(zip(("g_step", "u_step"), map(int, arrays.leaf_steps[i]), strict=True)),
                "size": meta.leaf_sizes[i] if meta.leaf_sizes else 0,
            }
            for i, name in enumerate(meta.leaves)
        },
    )


def group_seen(meta: Meta, arrays: Record) -> dict[str, int]:
    """Return for each group the last recorded step at which its gradient was not 0, -1 if there is none."""
    order = np.argsort(arrays.ring_steps)
    seen = {}
    for i, name in enumerate(meta.groups):
        some = (known(arrays.groups[order, i, 0]) > 0) & (arrays.ring_steps[order] >= 0)
        seen[name] = int(arrays.ring_steps[order][np.flatnonzero(some)[-1]]) if some.any() else -1
    return seen


def known(stored: Any) -> Array:
    """Return stored numbers in float64, NaN where they are not known."""
    wide = np.asarray(stored).astype(float)
    return np.where(wide == BLANK, np.nan, wide)


def columns(names: Sequence[str], stored: Any) -> dict[str, Array]:
    """Return stored rows by column, squares and slopes made of their signed roots."""
    found = dict(zip(names, known(stored).T, strict=True))
    return {name: x * np.abs(x) if name in ROOTS else x for name, x in found.items()}


def block_means(run: Evidence) -> tuple[Array, Array]:
    """Return the middle step and the mean loss of each block of the run that has losses."""
    counts = run.history["losses"]
    used = counts > 0
    means = run.history["loss_sum"][used] / counts[used]
    return run.history["step"][used] + counts[used] / 2, means
