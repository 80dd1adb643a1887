"""Does the printed action cure? `python -m tests.diagnosis.actions [tune|held|fresh|...] [NAME ...]`.

Each stuck run of the scenarios is diagnosed with a probe, what its report says is carried out by `remedies.py`, and the
losses before and after are printed. Mended: the loss left is at most two thirds, or the cause is gone and the loss is
no higher. Where steps were too long, the loss is counted from what the run reaches when its rate is lowered once more:
no rate takes it below the noise of its labels. An action that asks a person to look at something is not counted.
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
from tests.diagnosis.scenarios import HALVES, SCENARIOS, Run, Scenario, resume
from tests.diagnosis.scenarios.base import plain
from tests.diagnosis.scenarios.measures import full_loss, last

WELL = ("healthy", "converged_minimum")
TOO_LONG = ("noise_floor", "oscillating", "sigma_burst")  # verdicts on steps that are too long to go lower
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
        return {**row, "before": level(run), "after": np.nan, "mended": None}
    before, left = level(run), level(after)
    floor = min(left, level(resume(after, scenario.make_tx(0.01)))) if report.verdict in TOO_LONG else 0.0
    good = mended(before, left, floor, report, diagnosed(after))
    return {**row, "before": before, "after": left, "mended": good}


def level(run: Run) -> float:
    """Return the loss where a run stands: on all data, or the mean of its last tenth where each step sees all."""
    return last(run.losses) if run.scenario.full_batch else full_loss(run)


def mended(before: float, left: float, floor: float, report: gradtx.Report, then: gradtx.Report) -> bool:
    """Return True if at most two thirds of the loss above its floor are left, or it is no higher and the cause gone."""
    if not np.isfinite(left):
        return False
    less = left - floor <= LEFT * (before - floor) if before > floor else left <= before / LEFT
    if less or not np.isfinite(before):
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
    halves = [x for x in argv if x in HALVES] or ["tune", "held"]
    names = [x for x in argv if x not in HALVES]
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
