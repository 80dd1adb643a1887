"""Proofs for the third set of runs; none of them asks where the loss's zero is."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jax.flatten_util import ravel_pytree

from tests.diagnosis.scenarios.base import Run, Scenario, plain, resume, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.measures import batch_grads, fell, full_grad, full_loss, group_sizes, lag, last, mean_at
from tests.diagnosis.scenarios.proofs import Make, Proof


def learning(by: float = 0.1, share: float = 0.6, goal: Any = None) -> Proof:
    """Prove: on all points the goal falls, much of it in the last half; it goes on, and no other rate does better."""

    def proof(run: Run) -> None:
        def height(other: Run) -> float:
            aim = other.scenario if goal is None else dataclasses.replace(other.scenario, loss=goal)
            return full_loss(dataclasses.replace(other, scenario=aim))

        start = height(dataclasses.replace(run, params=run.scenario.init()))
        middle, end = height(run_scenario(run.scenario, steps=run.scenario.steps // 2)), height(run)
        assert middle - end > by * (start - end) > 0
        assert end - height(resume(run)) > 0.3 * by * (start - end)
        for factor in (0.25, 4.0):
            assert not share * (start - height(run_scenario(run.scenario, tx=factor))) > start - end

    return proof


def died(groups: tuple[str, ...], mended: Callable[[Scenario], Scenario], drop: float = 0.2) -> Proof:
    """Prove: these groups had a gradient and have none any more, the loss stands; without the cause it ends lower."""

    def proof(run: Run) -> None:
        start, end = group_sizes(run, run.scenario.init()), group_sizes(run, run.params)
        assert all(start[name] > 0 == end[name] for name in groups)
        assert fell(run) < 0.1
        assert full_loss(run_scenario(mended(run.scenario))) < (1 - drop) * full_loss(run)

    return proof


def never_due(free: Make, since: int, drop: float = 0.2) -> Proof:
    """Prove: no parameter changes after a step, though there is a gradient; another transform moves them, and gains."""

    def proof(run: Run) -> None:
        before = run_scenario(run.scenario, steps=since).params if since else run.scenario.init()
        np.testing.assert_array_equal(arrays(before), arrays(run.params))
        assert run.grads_norms[-1] > 0
        assert full_loss(resume(run, free())) < (1 - drop) * full_loss(run)

    return proof


def lost(step: int, mended: Callable[[Scenario], Scenario], rise: float = 10.0) -> Proof:
    """Prove: ever since a step the loss stands far above where it was, and hardly falls; without it, it goes on."""

    def proof(run: Run) -> None:
        before = float(np.mean(run.losses[step - 20 : step]))
        assert np.isfinite(run.losses).all()
        assert np.min(run.losses[step + 5 :]) > rise * before
        assert 1 - last(run.losses) / mean_at(run.losses, 0.7) < 0.3
        assert last(run_scenario(mended(run.scenario)).losses) < before

    return proof


def runaway(factor: float = 0.1, rise: float = 0.5, spread: float = 0.0) -> Proof:
    """Prove: the loss ends far above its start, by more than it is scattered; another rate ends below the start."""

    def proof(run: Run) -> None:
        start, finite = run.losses[: max(len(run.losses) // 50, 1)].mean(), run.losses[np.isfinite(run.losses)]
        assert finite[-9:].mean() > start + rise * abs(start) + spread
        other = run_scenario(run.scenario, tx=factor)
        assert np.isfinite(other.losses).all()
        assert last(other.losses) < start

    return proof


def floor(factor: float = 0.1) -> Proof:
    """Prove: the gradient is below its noise; on all points a smaller rate gains more than going on, a larger loses."""

    def proof(run: Run) -> None:
        g, full = batch_grads(run, 64, moving=False), np.asarray(plain(ravel_pytree)(full_grad(run))[0], np.float64)
        assert np.sum(full**2) < np.mean(np.sum((g - full) ** 2, axis=1))
        steps = run.scenario.steps
        before = [full_loss(run_scenario(run.scenario, steps=part * steps // 8)) for part in (4, 5, 6, 7)]
        after = [full_loss(run), *(full_loss(resume(run, steps=part * steps // 8)) for part in (1, 2, 3))]
        level, less = np.mean(before + after), full_loss(resume(run, factor))
        assert np.mean(before) - np.mean(after) < level - less
        assert less < min(before + after)
        assert full_loss(resume(run, 3.0)) > level

    return proof


def bounce(factor: float = 0.5) -> Proof:
    """Prove: the gradient flips at each step; a smaller rate gains at once far more than the last half of the run."""

    def proof(run: Run) -> None:
        assert lag(run) < -0.3
        gain = last(resume(run, 1.0, 200).losses) - last(resume(run, factor, 200).losses)
        assert gain > 4 * abs(mean_at(run.losses, 0.5) - last(run.losses))
        assert gain > 0.05 * (run.losses[0] - last(run.losses))

    return proof


def held_back(bound: float, free: Make, factor: float = 30.0) -> Proof:
    """Prove: nearly every gradient is far above its bound; without it, or at a higher rate, the run falls much more."""

    def proof(run: Run) -> None:
        norms = run.grads_norms[-256:]
        assert np.quantile(norms, 0.05) > bound
        assert np.median(norms) > 10 * bound
        fall = run.losses[0] - last(run.losses)
        assert run.losses[0] - last(run_scenario(run.scenario, tx=free()).losses) > 3 * fall
        assert last(run.losses) - last(resume(run, factor).losses) > 3 * (last(run.losses) - last(resume(run).losses))

    return proof
