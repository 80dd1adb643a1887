"""Proofs of the eighth set, part b, for what the other sets do not have in this form."""

from typing import Any

import numpy as np

from tests.diagnosis.scenarios.base import Run, resume, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.fifth_proofs import levels
from tests.diagnosis.scenarios.measures import full_loss
from tests.diagnosis.scenarios.proofs import Proof


def to_the_end(flat: Any, by: float = 0.08, share: float = 0.6) -> Proof:
    """Prove of a schedule that ends at 0: it falls to the last quarter; no rate, nor one kept up, does much better."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        half, late = (full_loss(run_scenario(run.scenario, steps=part * run.scenario.steps // 4)) for part in (2, 3))
        assert half - end > by * (start - end) > 0
        assert late - end > 0.01 * (start - end)
        for tx in (0.1, 0.25, 4.0, 10.0, flat()):
            assert not share * (start - full_loss(run_scenario(run.scenario, tx=tx))) > start - end

    return proof


def rounded_away(name: str, larger: float, drop: float = 0.5) -> Proof:
    """Prove: this part never changes, though it has a gradient and a rate; at a rate above its grain it learns."""

    def proof(run: Run) -> None:
        before, after = (arrays(params[name]) for params in (run.scenario.init(), run.params))
        np.testing.assert_array_equal(before, after)
        assert run.grads_norms.min() > 0
        moved = arrays(run_scenario(run.scenario, tx=larger).params[name])
        assert np.all(moved != before)
        assert full_loss(resume(run, larger, 4 * run.scenario.steps)) < (1 - drop) * full_loss(run)

    return proof
