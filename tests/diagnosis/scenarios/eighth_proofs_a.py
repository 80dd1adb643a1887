"""Proofs of the eighth set that no other set has."""

import numpy as np

from tests.diagnosis.scenarios.base import Run, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.fifth_proofs import levels
from tests.diagnosis.scenarios.measures import full_loss, group_sizes
from tests.diagnosis.scenarios.proofs import Make, Proof


def annealed(longer: Make, by: float = 0.08, share: float = 0.6) -> Proof:
    """Prove: it falls till its rate is 0, as planned; no peak does much better; a plan twice as long falls further."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        steps = run.scenario.steps
        parts = [full_loss(run_scenario(run.scenario, steps=part * steps // 4, tx=1.0)) for part in (2, 3)]
        assert parts[0] - end > by * (start - end) > 0
        assert parts[1] > end
        for factor in (0.1, 0.25, 4.0, 10.0):
            assert not share * (start - full_loss(run_scenario(run.scenario, tx=factor))) > start - end
        further = end - full_loss(run_scenario(run.scenario, steps=2 * steps, tx=longer()))
        assert further > 0.3 * by * (start - end)

    return proof


def as_good_as_dead(groups: tuple[str, ...], step: int, level: float, near: float = 0.05) -> Proof:
    """Prove: these groups had a gradient before a step and have none at the end; the loss is that of a constant."""

    def proof(run: Run) -> None:
        before, end = (group_sizes(run, r.params) for r in (run_scenario(run.scenario, steps=step), run))
        assert all(before[name] > 0 == end[name] for name in groups)
        assert abs(full_loss(run) - level) < near * level
        assert np.isfinite(arrays(run.params)).all()

    return proof
