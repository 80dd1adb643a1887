"""Does the printed action cure? `python -m tests.diagnosis.actions [tune|held] [NAME ...]`.

Each stuck run of the scenarios is diagnosed with a probe, what its report says is carried out by `remedies.py`, and the
losses before and after are printed. Mended: the loss left is at most two thirds, or the cause is gone and the loss is
no higher. An action that asks a person to look at something is printed and not counted.
"""

import sys
from typing import Any

import jax
import numpy as np

import gradtx
from gradtx.diagnosis.diagnose import judge
from gradtx.diagnosis.read.evidence import read
from tests.diagnosis.accuracy import watched
from tests.diagnosis.remedies import carry_out, diagnosed
from tests.diagnosis.scenarios import SCENARIOS, Run, Scenario
from tests.diagnosis.scenarios.base import plain
from tests.diagnosis.scenarios.measures import full_loss

WELL = ("healthy", "converged_minimum")
LEFT = 2 / 3  # of the loss, at most, after a mend
LEAST = 0.9  # share of the actions that mend, at least


@plain
def report_on(scenario: Scenario, run: Run) -> Any:
    """Return the report on a run, with a probe where its loss is finite."""
    evidence = read(run.state)
    try:
        tx = gradtx.watch(scenario.make_tx())
        return judge(evidence, gradtx.probe(scenario.loss, run.params, scenario.big_batch(), tx=tx, state=run.state))
    except ValueError:
        return judge(evidence)


def outcome(scenario: Scenario) -> dict[str, Any]:
    """Return verdict, action, the losses before and after, and whether the action mended the run; None if not tried."""
    run = watched(scenario)
    report = report_on(scenario, run)
    done, after = ("", None) if report.verdict in WELL else carry_out(run, report)
    row = {"name": scenario.name, "cause": scenario.cause, "verdict": report.verdict, "done": done}
    if after is None:
        return {**row, "before": full_loss(run), "after": np.nan, "mended": None}
    before, left = full_loss(run), full_loss(after)
    return {**row, "before": before, "after": left, "mended": mended(before, left, report, diagnosed(after))}


def mended(before: float, left: float, report: gradtx.Report, then: gradtx.Report) -> bool:
    """Return True if the loss left is at most two thirds, or the cause is gone and the loss is no higher."""
    if not np.isfinite(left):
        return False
    if not np.isfinite(before) or left <= (LEFT if before > 0 else 1 / LEFT) * before:
        return True
    return then.verdict != report.verdict and left <= before


def line(row: dict[str, Any]) -> str:
    """Write one row of the table."""
    said = {True: "mended", False: "NOT MENDED", None: "for a person" if row["done"] else "not stuck"}[row["mended"]]
    return (
        f"{row['name']:32}{row['cause']:17}{row['verdict']:17}{row['done'][:60]:62}"
        f"{row['before']:>10.4g} -> {row['after']:<10.4g} {said}"
    )


def main(argv: list[str]) -> int:
    """Print the table and the share of the actions that mend; fail where it is below 0.9."""
    halves = [x for x in argv if x in ("tune", "held")] or ["tune", "held"]
    names = [x for x in argv if x not in ("tune", "held")]
    rows = []
    for scenario in SCENARIOS:
        if scenario.half in halves and scenario.cause not in WELL and (not names or scenario.name in names):
            rows.append(outcome(scenario))
            jax.clear_caches()
            print(line(rows[-1]), flush=True)
    tried = [row for row in rows if row["mended"] is not None]
    good = sum(row["mended"] for row in tried)
    print(f"\nmended: {good} of {len(tried)} = {good / max(len(tried), 1):.2f} of the actions that were carried out")
    print(f"for a person, or not stuck by the report: {len(rows) - len(tried)} of {len(rows)} runs")
    return int(good < LEAST * len(tried))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
