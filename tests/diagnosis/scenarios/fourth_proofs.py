"""Proofs for the fourth set, for causes that the other sets do not have in this form."""

import dataclasses
from typing import Any

import numpy as np

from tests.diagnosis.scenarios.base import Run, plain, resume, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.measures import full_loss, last
from tests.diagnosis.scenarios.proofs import Make, Proof


def shortened(free: Make, times: float = 10.0, drop: float = 0.3) -> Proof:
    """Prove: all along the clip makes each step at least `times` shorter; without the clip the run ends lower."""

    def proof(run: Run) -> None:
        for part in (1, 2, 3, 4):
            here = run_scenario(run.scenario, steps=part * run.scenario.steps // 4)
            clipped, whole = (
                np.linalg.norm(arrays(resume(here, tx, steps=1).params) - arrays(here.params)) for tx in (1.0, free())
            )
            assert whole > times * clipped > 0
        assert last(run_scenario(run.scenario, tx=free()).losses) < (1 - drop) * last(run.losses)

    return proof


def climbing(other: Make, rise: float = 0.5) -> Proof:
    """Prove: the loss ends far above its start and goes on rising; another transform makes it fall from the start."""

    def proof(run: Run) -> None:
        start, end = run.losses[0], last(run.losses)
        assert end > start + rise * abs(start)
        assert run.losses[-1] > run.losses[len(run.losses) // 2] > start
        assert last(run_scenario(run.scenario, tx=other()).losses) < start

    return proof


def sinking(pushed: Any, below: float) -> Proof:
    """Prove: the loss goes on falling at the end, and pushed further along one direction it is below any number."""

    def proof(run: Run) -> None:
        quarters = np.array_split(run.losses.astype(np.float64), 4)
        assert quarters[2].mean() - quarters[3].mean() > 0.05 * (quarters[0].mean() - quarters[3].mean()) > 0
        assert resume(run).losses.mean() < run.losses[-len(run.losses) // 4 :].mean()
        heights = [
            full_loss(dataclasses.replace(run, params=plain(pushed)(run.params, far))) for far in (1.0, 2.0, 4.0)
        ]
        assert heights[0] > heights[1] > heights[2]
        assert heights[1] - heights[2] > heights[0] - heights[1] > below

    return proof


def never_finite(mended: Any, skipped: bool) -> Proof:
    """Prove: no gradient of the run is finite; `skipped` says that no parameter moved; without the fault it falls."""

    def proof(run: Run) -> None:
        assert not np.isfinite(run.grads_norms).any()
        assert skipped == np.array_equal(arrays(run.scenario.init()), arrays(run.params))
        without = run_scenario(mended(run.scenario))
        assert np.isfinite(without.losses).all()
        assert last(without.losses) < 0.8 * without.losses[0]

    return proof


def at_every_rate(factors: tuple[float, ...], cured: Any) -> Proof:
    """Prove: the loss grows for ever, at other rates as well; with another loss, the same rate makes that loss fall."""

    def proof(run: Run) -> None:
        assert last(run.losses) > 10 * run.losses[0]
        assert resume(run).losses[-1] > run.losses[-1]
        for factor in factors:
            losses = run_scenario(run.scenario, tx=factor).losses
            assert losses[-1] > losses[len(losses) // 2] > losses[0]
        cure = run_scenario(dataclasses.replace(run.scenario, loss=cured))
        assert last(cure.losses) < cure.losses[0]

    return proof
