"""The evidence that a log holds, in the form of a record."""

import math
from typing import Any

import numpy as np

from gradtx.diagnosis.read.evidence import Array, Evidence
from gradtx.diagnosis.record.record import BLOCKS, COLUMNS, EARLY, HISTORY, RING


def from_columns(columns: dict[str, Array], floor: float | None = None, notes: tuple[str, ...] = ()) -> Evidence:
    """Return the evidence of a log: losses, |g| and the rate; nothing that takes two gradients at once.

    A value that is not finite ends the run where no finite one of its column follows. Where one does, the step was
    skipped (a loss scale that was too large, a bad batch): it is left out, and said.
    """
    loss = columns["loss"].copy()
    g = columns.get("grad_norm", np.full(len(loss), np.nan)).copy()
    bad = ended(loss)
    n = int(np.argmax(bad)) if bad.any() else len(loss)
    skipped = (np.isinf(loss) | (np.isinf(g) & ~ended(g)))[:n]
    for cells in (loss, g):
        cells[:n][np.isinf(cells[:n])] = math.nan
    counted = np.arange(len(loss), dtype=float)
    own = columns.get("step", counted)
    at = own if np.isfinite(own).all() and np.all(np.diff(own) > 0) else counted
    whole = {**columns, "step": at}
    if "step" in columns and at is not own:
        notes = (*notes, "the steps do not rise from row to row: rows are counted instead")
    bad_step = int(at[n]) if bad.any() else -1
    if skipped.any():
        where = f"{int(skipped.sum())} rows are not finite and are left out, the first at step"
        notes = (*notes, f"{where} {at[int(np.argmax(skipped))]:,.0f}: the run went on after them")
    loss, g, at = loss[:n], g[:n], at[:n]
    rows = {name: np.full(n, np.nan) for name in COLUMNS}
    rows |= {"step": at, "loss": loss, "gg": np.minimum(g, 1e150) ** 2}
    rows["learning_rate"] = columns.get("learning_rate", rows["learning_rate"])[:n]
    length = max(1, 2 ** math.ceil(math.log2(max(n, 1) / BLOCKS)))
    starts = np.arange(0, n, length)
    blocks = {name: np.full(len(starts), np.nan) for name in HISTORY}
    for i, start in enumerate(starts):
        part, norms = loss[start : start + length], rows["gg"][start : start + length]
        part, norms = part[np.isfinite(part)], norms[np.isfinite(norms)]
        blocks["losses"][i], blocks["loss_sum"][i] = len(part), np.sum(part)
        blocks["loss_max"][i] = np.max(part, initial=-np.inf)
        blocks["loss_min"][i] = np.min(part, initial=np.inf)
        rates = rows["learning_rate"][start : start + length]
        rates = rates[np.isfinite(rates)]
        blocks["rate_max"][i], blocks["rate_min"][i] = np.max(rates, initial=-np.inf), np.min(rates, initial=np.inf)
        blocks["gg_max"][i] = np.max(norms, initial=-np.inf)
    return Evidence(
        steps=int(at[-1]) + 1 if n else 0,
        rows={name: column[-RING:] for name, column in rows.items()},
        early={name: column[:EARLY] for name, column in rows.items()},
        losses=loss[-RING:],
        early_losses=loss[:EARLY],
        history={**blocks, "step": at[starts]},
        groups={},
        group_peak={},
        sizes={},
        bad_step=bad_step,
        bad={},
        meta=None,
        floor=floor,
        notes=notes,
        log=whole,
    )


def ended(cells: Array) -> Any:
    """Return where a column is not finite and stays so to its end."""
    finite = np.flatnonzero(np.isfinite(cells))
    after = np.arange(len(cells)) > (finite[-1] if len(finite) else -1)
    return np.isinf(cells) & after
