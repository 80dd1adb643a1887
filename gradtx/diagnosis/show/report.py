"""The report: verdict, evidence, action and what was ruled out; it can be printed, stored as JSON and drawn."""

import dataclasses
import math
from typing import Any

import numpy as np

from gradtx.diagnosis.judge.finding import Finding, percent, text
from gradtx.diagnosis.read.evidence import Evidence
from gradtx.diagnosis.read.features import Features


@dataclasses.dataclass(frozen=True)
class Report:
    """The answer of `diagnose`: whether training is stuck, and why.

    Attributes:
        verdict: one of healthy, oscillating, crawling, converged_minimum, saddle_plateau, noise_floor, diverging,
            non_finite, vanishing_dead, always_clipped, sigma_burst, needs_warmup, not_moving, decay_bound, collapsed,
            at_chance, unbounded, undecided; of a log also loss_spikes and plateau.
        headline: what that means, in one sentence.
        evidence: lines of number, formula and meaning, to check by hand.
        action: what to do, with a number in it.
        doubt: which other cause would look the same, and the test that distinguishes them; empty if there is none.
        also: the other findings that the evidence supports.
        ruled_out: verdict to the number that rules it out.
        beside: arrays that get no gradient or no update, whatever the verdict.
        missing: what the record lacks, and which verdicts cannot be given because of it.
        features: every number that the rules use.
        run: the recorded run.
        probe: the result of `probe` that was used, or None.
        confidence: of a verdict on a log: high, medium or low; empty where every step was measured.
    """

    verdict: str
    headline: str
    evidence: tuple[str, ...]
    action: str
    doubt: str
    also: tuple[Finding, ...]
    ruled_out: dict[str, str]
    beside: tuple[str, ...]
    missing: tuple[str, ...]
    features: Features
    run: Evidence
    probe: Any = None
    confidence: str = ""

    def __repr__(self) -> str:
        """Return one line for the interpreter; the whole report is what `print` shows."""
        return f"<Report {self.verdict}: {self.headline} {self.run.steps:,} steps; print() shows the evidence>"

    def __str__(self) -> str:
        """Return the whole report as text, the most important lines first."""
        lines = [
            *self.head_lines(),
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
        if self.confidence:
            lines += [f"CONFIDENCE  {self.confidence}"]
        lines += [f"BESIDE  {line}" for line in self.beside]
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
                f"  {row['group']:{wide}}  {text(row['grad_norm']):>11} {text(row['update_ratio']):>10} "
                f"{percent(row['zeros']):>8}"
                for row in rows
            ]
            spread = [self.run.rows[name][-1] for name in ("rate_min", "rate_mean", "rate_max")]
            if np.isfinite(spread).all():
                lines += ["  eta/sigma min..mean..max  " + " .. ".join(text(float(x)) for x in spread)]
        return "\n".join(lines)

    def head_lines(self) -> list[str]:
        """Return the lines about what was diagnosed: steps, transform, notes."""
        f, meta = self.features, self.run.meta
        data = {True: "one loss for all steps", False: "minibatches", None: "batches unknown"}[f.one_loss]
        what = meta.transform if meta is not None else "from a log"
        head = f"gradtx diagnosis   steps 1..{self.run.steps:,}   window: last {f.rows} measured   {data}"
        notes = self.run.notes
        if meta is None:  # of a log, the first line says what was read
            head, notes = " ".join(("gradtx diagnosis", *notes[:1])), (f"{self.run.steps:,} rows", *notes[1:])
        return [head, f"  {what}", *(f"  {note}" for note in notes)]

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
        """Return the report as plain values that `json.dumps` accepts; unknown values are None."""
        return {
            "verdict": self.verdict,
            "headline": self.headline,
            "evidence": list(self.evidence),
            "action": self.action,
            "doubt": self.doubt,
            "confidence": self.confidence or None,
            "also": [{"verdict": x.verdict, "headline": x.headline, "evidence": list(x.evidence)} for x in self.also],
            "ruled_out": dict(self.ruled_out),
            "beside": list(self.beside),
            "missing": list(self.missing),
            "notes": list(self.run.notes),
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
        """Return HTML for a notebook: verdict, action, evidence and picture, in the notebook's colours."""
        from gradtx.diagnosis.show.page import fragment

        return fragment(self)

    def to_html(self, path: Any = None) -> str:
        """Return the report as one page of HTML that needs nothing else: pictures inside, light and dark, phone too.

        Args:
            path: where to write the page; None writes nothing.

        Returns:
            The page. Without matplotlib it has a line that names the extra in place of the pictures.

        Raises:
            TypeError: `path` is neither a path nor an open file.
        """
        from gradtx.diagnosis.show.page import page

        return page(self, path)

    def plot(self, path: Any = None) -> Any:
        """Draw loss and |g| on one time axis, the effective learning rates, and rho and the cosine.

        Args:
            path: where to write the picture; None writes nothing.

        Returns:
            The matplotlib figure.

        Raises:
            ImportError: matplotlib is not installed.
            TypeError: `path` is neither a path nor an open file.
        """
        from gradtx.diagnosis.show.plot import draw

        return draw(self, path)


def plain(value: Any) -> Any:
    """Return a value with None for NaN and infinity, and Python numbers for those of NumPy."""
    if isinstance(value, dict):
        return {key: plain(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(x) for x in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
