"""Proofs of the seventh set for what the other sets do not have in this form."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.diagnosis.scenarios.base import Run, Scenario, resume, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.measures import full_loss, last, mean_at
from tests.diagnosis.scenarios.proofs import Proof

Change = Callable[[Scenario], Scenario]


def constant_best(best: Callable[[Any], float], mended: Change, drop: float = 0.3, near: float = 0.04) -> Proof:
    """Prove: the loss stands where the best constant guess does, on all points too; with the fault mended it falls."""

    def proof(run: Run) -> None:
        level = best(run.scenario.big_batch())
        assert abs(last(run.losses) - level) < near * level
        assert abs(mean_at(run.losses, 0.5) - level) < 2 * near * level
        assert full_loss(run) > (1 - near) * level
        assert last(run_scenario(mended(run.scenario)).losses) < (1 - drop) * level

    return proof


def circling(factor: float = 0.1, steps: int = 200) -> Proof:
    """Prove of a full batch: the loss stands; at a lower rate it soon falls below all that was reached, and by far."""

    def proof(run: Run) -> None:
        assert run.scenario.full_batch
        same, less = resume(run, 1.0, steps), resume(run, factor, steps)
        gain = last(same.losses) - last(less.losses)
        assert last(less.losses) < min(run.losses.min(), same.losses.min())
        assert gain > 4 * abs(mean_at(run.losses, 0.5) - last(run.losses))
        assert gain > 0.03 * (run.losses[0] - last(run.losses))

    return proof


def all_finite(proof: Proof) -> Proof:
    """Prove what another proof does, and that no number of the run is infinite or NaN."""

    def both(run: Run) -> None:
        assert np.isfinite(run.losses).all()
        assert np.isfinite(run.grads_norms).all()
        proof(run)

    return both


def mute(mended: Change, drop: float = 0.3) -> Proof:
    """Prove: no parameter ever gets a gradient, so none moves; with the fault mended the run falls."""

    def proof(run: Run) -> None:
        assert not run.grads_norms.any()
        np.testing.assert_array_equal(arrays(run.scenario.init()), arrays(run.params))
        other = run_scenario(mended(run.scenario))
        assert last(other.losses) < (1 - drop) * min(other.losses[0], run.losses[0])

    return proof
