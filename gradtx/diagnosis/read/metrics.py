"""`metrics`: the latest measured step as a flat dict of floats."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradtx.diagnosis.read.evidence import read
from gradtx.diagnosis.read.names import group_names
from gradtx.diagnosis.record.record import COLUMNS


def metrics(state: Any) -> dict[str, float]:
    """Read the latest measured step as a flat dict of floats, to log or to print.

    What is not known, or not finite, is absent, so that the dict is strict JSON. Names hold ASCII letters, digits, `_`,
    `-`, `.` and `/` alone, and no name is also the folder of another: MLflow, TensorBoard and Weights & Biases take
    them as they are.

    Units: those of the quantities; ratios, cosines and rho have none.

    Args:
        state: the state of a watched transform, or one that holds it.

    Returns:
        `step`, `loss`, `grad_norm`, `update_norm`, `param_norm`, `update_ratio` = |u|/|p|, `rho` = g_t.u_{t-1} /
        g_{t-1}.u_{t-1}, `cosine` of g_t and g_{t-1}, `learning_rate`, `rate_min`, `rate_mean`, `rate_max` of eta/sigma,
        `clip` (factor of the latest step) and `clipped` (share of the last measured steps that were clipped), `zeros`
        (share of gradient entries that are exactly 0), `nonfinite` (gradient entries not finite at the first bad
        step), `skipped` (steps whose gradient was not finite and whose update was), and per group
        `group/NAME/grad_norm`, `group/NAME/update_norm`, `group/NAME/param_norm`, `group/NAME/update_ratio`. NAME is
        the group's, with a dot for the punctuation of a path (`['layers'][0]` is
        `layers.0`), `_` for what loggers refuse, and `-2` where two groups would share a name.

    Raises:
        TypeError: the state was never watched.
        ValueError: the state is traced or batched, or has two records.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.watch(gradtx.sgd(0.5))
        >>> p = {"w": jnp.array([3.0, 4.0])}
        >>> _, state = tx.update(p, tx.init(p), p, value=12.5)
        >>> gradtx.metrics(state)["update_norm"], gradtx.metrics(state)["group/w/grad_norm"]
        (2.5, 5.0)
    """
    run = read(state, caller="metrics")
    blank = dict.fromkeys(COLUMNS, np.nan)
    last = {name: float(xs[-1]) for name, xs in run.rows.items()} if len(run.rows["step"]) else blank
    clip = run.rows["clip"]
    known = clip[np.isfinite(clip)]
    out = {
        "step": last["step"],
        "loss": float(run.losses[-1]) if len(run.losses) else np.nan,
        **norms(last, ""),
        "rho": last["end"] / last["start"] if last["start"] else np.nan,
        "cosine": last["cos1"],
        "learning_rate": last["learning_rate"],
        "rate_min": last["rate_min"],
        "rate_mean": last["rate_mean"],
        "rate_max": last["rate_max"],
        "clip": last["clip"],
        "clipped": float(np.mean(known < 1.0)) if len(known) else np.nan,
        "zeros": last["zeros"],
        "nonfinite": float(sum(run.bad.values())),
        "skipped": float(run.skipped),
    }
    safe = group_names(list(run.groups))
    for name, columns in run.groups.items():
        if len(columns["gg"]):
            out |= norms({key: float(xs[-1]) for key, xs in columns.items()}, f"group/{safe[name]}/")
    return {name: value for name, value in out.items() if np.isfinite(value)}


def norms(row: Mapping[str, float], folder: str) -> dict[str, float]:
    """Return the norms of a row under their public names."""
    g, u, p = (float(np.sqrt(row[key])) for key in ("gg", "uu", "pp"))
    ratio = u / p if p > 0 else np.nan
    return {
        f"{folder}grad_norm": g,
        f"{folder}update_norm": u,
        f"{folder}param_norm": p,
        f"{folder}update_ratio": ratio,
    }
