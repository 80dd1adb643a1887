"""How often `diagnose` names the true cause: `python -m tests.diagnosis.accuracy [tune|held|fresh|...]`."""

import sys
from collections import Counter
from typing import Any

import jax

import gradtx
from gradtx.diagnosis.diagnose import judge
from gradtx.diagnosis.read.evidence import read
from tests.diagnosis.scenarios import CAUSES, SCENARIOS, Scenario, run_scenario
from tests.diagnosis.scenarios.base import plain

WRONG = ("healthy", "converged_minimum")  # words that must never be said of these:
BAD = ("diverging", "oscillating", "non_finite")


def watched(scenario: Scenario) -> Any:
    """Run a scenario under watch, at the default settings."""
    return run_scenario(scenario, wrap=gradtx.watch)


@plain
def verdicts(scenario: Scenario, run: Any | None = None) -> tuple[str, str]:
    """Return the verdict without and with a probe."""
    run = watched(scenario) if run is None else run
    evidence = read(run.state)
    alone = judge(evidence).verdict
    try:
        found = gradtx.probe(
            scenario.loss, run.params, scenario.big_batch(), tx=gradtx.watch(scenario.make_tx()), state=run.state
        )
    except ValueError:  # nothing to probe where the loss is not finite
        return alone, alone
    return alone, judge(evidence, found).verdict


def table(half: str, pairs: list[tuple[Scenario, str]]) -> list[str]:
    """Write the confusion table of one half, a row a true cause."""
    said = [*CAUSES, "undecided"]
    short = {word: word[:9] for word in said}
    lines = [f"{half:18}" + "".join(f"{short[word]:>10}" for word in said)]
    for cause in CAUSES:
        counts = Counter(verdict for scenario, verdict in pairs if scenario.cause == cause)
        lines.append(f"{cause:18}" + "".join(f"{counts[word] or '.':>10}" for word in said))
    return lines


def main(halves: list[str]) -> int:
    """Print both tables of each half; fail where a bad run is called good."""
    worst = 0
    for half in halves or ["tune", "held"]:
        found = []
        for scenario in SCENARIOS:
            if scenario.half == half:
                found.append((scenario, *verdicts(scenario)))
                jax.clear_caches()
                print(
                    f"{half}  {scenario.name:32}{scenario.cause:18}-> {found[-1][1]:18} probed: {found[-1][2]}",
                    flush=True,
                )
        for column, title in ((1, "without probe"), (2, "with probe")):
            pairs = [(row[0], row[column]) for row in found]
            told = [(s, v) for s, v in pairs if s.tellable or column == 2]
            right = sum(v in s.answers for s, v in told)
            worst += sum(s.cause in BAD and v in WRONG for s, v in pairs)
            print(f"\n{title}: {right} of {len(told)} = {right / len(told):.2f} on the half '{half}'")
            print("\n".join(table(half, pairs)) + "\n")
    print(f"bad runs called healthy or converged: {worst}")
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
