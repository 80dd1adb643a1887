"""The report: a verdict, the evidence, an action, and what was ruled out; to print, to store, to show, to draw."""

import dataclasses
import html
import math
from typing import Any

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, number, percent
from gradtx.diagnosis.read.evidence import Evidence
from gradtx.diagnosis.read.features import Features

TITLES = {"undecided": "undecided", "healthy": "healthy"}


@dataclasses.dataclass(frozen=True)
class Report:
    """Why training is, or is not, stuck.

    Attributes:
        verdict: one of healthy, oscillating, crawling, converged_minimum, saddle_plateau, noise_floor, diverging,
            non_finite, vanishing_dead, always_clipped, sigma_burst, needs_warmup, undecided.
        headline: what that means, in one sentence.
        evidence: lines of number, formula and meaning, to check by hand.
        action: what to do, with a number in it.
        doubt: what it cannot be told apart from, and the test that would tell; empty where nothing.
        also: the other findings that the evidence supports.
        ruled_out: verdict to the number that rules it out.
        missing: what the record lacks, and which verdicts that narrows.
        features: every number that was looked at.
        run: the recorded run.
        probe: the probe that sharpened the verdict, or None.
    """

    verdict: str
    headline: str
    evidence: tuple[str, ...]
    action: str
    doubt: str
    also: tuple[Finding, ...]
    ruled_out: dict[str, str]
    missing: tuple[str, ...]
    features: Features
    run: Evidence
    probe: Any = None

    def __str__(self) -> str:
        """Print as a page that a person reads from top to bottom."""
        f, meta = self.features, self.run.meta
        data = {True: "one loss for all steps", False: "minibatches", None: "batches unknown"}[f.one_loss]
        what = meta.transform if meta is not None else "from a log"
        lines = [
            f"gradtx diagnosis   {'rows' if meta is None else 'steps'} 1..{self.run.steps:,}   "
            f"window: last {f.rows} measured   {data}",
            f"  {what}",
            f"VERDICT  {self.verdict}: {self.headline}",
            *self.skipped_lines(),
            *(["EVIDENCE (check by hand)"] if self.evidence else []),
            *(f"  {line}" for line in self.evidence),
        ]
        if self.probe is not None:
            lines += [str(self.probe)]
        lines += [f"ACTION  {self.action}"]
        if self.doubt:
            lines += [f"DOUBT   {self.doubt}"]
        if self.also:
            lines += ["ALSO FIRED"] + [f"  {x.verdict}: {x.headline}" for x in self.also]
        if self.ruled_out:
            lines += ["RULED OUT"] + [f"  {name}: {why}" for name, why in self.ruled_out.items()]
        if self.missing:
            lines += ["NOT KNOWN"] + [f"  {line}" for line in self.missing]
        rows = self.group_rows()
        if rows:
            wide = max(len(row["group"]) for row in rows)
            lines += [f"GROUPS  {'':{wide}}      |g|    |u|/|p|   zeros"]
            lines += [
                f"  {row['group']:{wide}}  {number(row['grad_norm']):>11} {number(row['update_ratio']):>10} "
                f"{percent(row['zeros']):>8}"
                for row in rows
            ]
            spread = [self.run.rows[name][-1] for name in ("rate_min", "rate_mean", "rate_max")]
            if np.isfinite(spread).all():
                lines += ["  eta/sigma min..mean..max  " + " .. ".join(number(float(x)) for x in spread)]
        return "\n".join(lines)

    def skipped_lines(self) -> list[str]:
        """Return a line on the steps that were skipped, none where no step was."""
        run = self.run
        if not run.skipped:
            return []
        where = ", ".join(f"{name} ({count:,} entries)" for name, count in run.skipped_bad.items())
        which = (
            f"step {run.first_skipped:,} was skipped"
            if run.skipped == 1
            else f"{run.skipped:,} steps were skipped, the first {run.first_skipped:,}, the last {run.last_skipped:,}"
        )
        return [f"SKIPPED  {which}: gradient not finite in {where}, update finite"]

    def group_rows(self) -> list[dict[str, Any]]:
        """Return the latest |g|, |u|/|p| and share of zeros of each group."""
        rows = []
        for name, columns in self.run.groups.items():
            if len(columns["gg"]):
                u, p = math.sqrt(columns["uu"][-1]), math.sqrt(columns["pp"][-1])
                rows.append(
                    {
                        "group": name,
                        "parameters": self.run.sizes[name],
                        "grad_norm": math.sqrt(columns["gg"][-1]),
                        "update_ratio": u / p if p > 0 else math.nan,
                        "zeros": float(columns["zeros"][-1]),
                    }
                )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values that `json.dumps` takes; what is not known is None."""
        return {
            "verdict": self.verdict,
            "headline": self.headline,
            "evidence": list(self.evidence),
            "action": self.action,
            "doubt": self.doubt,
            "also": [{"verdict": x.verdict, "headline": x.headline, "evidence": list(x.evidence)} for x in self.also],
            "ruled_out": dict(self.ruled_out),
            "missing": list(self.missing),
            "steps": self.run.steps,
            "skipped": {
                "steps": self.run.skipped,
                "first": self.run.first_skipped,
                "last": self.run.last_skipped,
                "entries": dict(self.run.skipped_bad),
            },
            "features": plain(dataclasses.asdict(self.features)),
            "groups": plain(self.group_rows()),
            "probe": None if self.probe is None else plain(self.probe.to_dict()),
        }

    def _repr_html_(self) -> str:
        """Show in a notebook: the verdict as a heading, the page below it."""
        body = html.escape(str(self))
        return f"<h4>{html.escape(self.verdict)}: {html.escape(self.headline)}</h4><pre>{body}</pre>"

    def plot(self, path: Any = None) -> Any:
        """Draw loss and |g| on one time axis, the effective rates, and rho and the cosine; see `watch.plot`."""
        from gradtx.diagnosis.show.plot import draw

        return draw(self, path)


def plain(value: Any) -> Any:
    """Return a value with NaN and infinities as None, and NumPy's numbers as Python's."""
    if isinstance(value, dict):
        return {key: plain(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
