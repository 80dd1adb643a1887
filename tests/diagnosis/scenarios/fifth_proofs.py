"""Proofs of the fifth set: each looks at all points, at both sides of the rate, and at what follows the run."""

import dataclasses

import numpy as np
from jax.flatten_util import ravel_pytree

from tests.diagnosis.scenarios.base import Run, plain, resume, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.measures import batch_grads, full_grad, full_loss, hessian, last
from tests.diagnosis.scenarios.proofs import Make, Proof


def levels(run: Run) -> tuple[float, float]:
    """Return the loss on all points at the start and at the end of a run."""
    return full_loss(dataclasses.replace(run, params=run.scenario.init())), full_loss(run)


def stretch(run: Run, factor: float, parts: int, length: int) -> list[Run]:
    """Go on from a run at this factor, a part after the other; parts of one length compile once."""
    runs = [run]
    for _ in range(parts):
        runs.append(resume(runs[-1], factor, length))
    return runs


def well(by: float = 0.08, share: float = 0.6) -> Proof:
    """Prove: it falls and goes on; no rate does much better from the start, nor a tenth or tenfold from here."""

    def proof(run: Run) -> None:
        half = run.scenario.steps // 2

        def fall(factor: float) -> float:
            first = run_scenario(run.scenario, steps=half, tx=factor)
            return start - full_loss(stretch(first, factor, 1, half)[-1])

        start, end = levels(run)
        middle = full_loss(run_scenario(run.scenario, steps=half, tx=1.0))
        assert middle - end > by * (start - end) > 0
        same, less, more = (end - full_loss(stretch(run, factor, 2, half)[-1]) for factor in (1.0, 0.1, 10.0))
        assert same > 0.3 * by * (start - end)
        assert less < same
        assert not more > 4 * same
        for factor in (0.1, 0.25, 4.0, 10.0):
            assert not share * fall(factor) > start - end

    return proof


def held_by_noise(factor: float = 0.1) -> Proof:
    """Prove: the gradient is below its noise; on all points a lower rate gains more than going on, a higher loses."""

    def proof(run: Run) -> None:
        g, full = batch_grads(run, 64, moving=False), np.asarray(plain(ravel_pytree)(full_grad(run))[0], np.float64)
        assert np.sum(full**2) < np.mean(np.sum((g - full) ** 2, axis=1))
        part = run.scenario.steps // 8
        first = run_scenario(run.scenario, steps=part, tx=1.0)
        losses = np.array([full_loss(r) for r in stretch(first, 1.0, 10, part)[3:]])
        less, more = (full_loss(stretch(run, f, 8, part)[-1]) for f in (factor, 3.0))
        level = losses.mean()
        assert losses[:4].mean() - losses[4:].mean() < level - less
        assert less < losses.min()
        assert more > level

    return proof


def creeping(factor: float = 10.0, other: Make | None = None, times: float = 4.0) -> Proof:
    """Prove: at `factor` times the rate, or by another method, it falls far more, from the start and from here."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        tx = other() if other else factor
        assert start - full_loss(run_scenario(run.scenario, tx=tx)) > times * max(start - end, 0.0)
        same = end - full_loss(resume(run))
        assert end - full_loss(resume(run, tx)) > times * max(same, 0.0)
        assert np.any(arrays(run.params) != arrays(run.scenario.init()))

    return proof


def cut_short(free: Make, times: float = 10.0, drop: float = 0.3) -> Proof:
    """Prove: at the middle and the end, the clip makes a step far shorter; without it, the run falls far lower."""

    def proof(run: Run) -> None:
        middle = run_scenario(run.scenario, steps=run.scenario.steps // 2, tx=1.0)
        for here in (middle, run):
            clipped, whole = (
                np.linalg.norm(arrays(resume(here, tx, steps=1).params) - arrays(here.params)) for tx in (1.0, free())
            )
            assert whole > times * clipped > 0
        start, end = levels(run)
        without = start - full_loss(run_scenario(run.scenario, tx=free()))
        assert without > max(drop * abs(start), 3 * (start - end))

    return proof


def at_rest(part: float = 1e-4, left: float = 1e-3) -> Proof:
    """Prove: a minimum, where a Newton step gains nearly nothing, nor does training at any rate."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        eigenvalues, vectors, g = hessian(run)
        assert eigenvalues[0] > 0
        assert 0.5 * np.sum((vectors.T @ g) ** 2 / eigenvalues) < part * (start - end)
        for factor in (0.1, 1.0, 10.0):
            assert not end - full_loss(resume(run, factor)) > left * (start - end)

    return proof


def used_up(other: Make, left: float = 1e-3, times: int = 3) -> Proof:
    """Prove: nearly nothing of the fall is left, for this transform at three rates and for another, in a longer run."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        for tx in (0.1, 1.0, 10.0, other()):
            assert not end - full_loss(resume(run, tx, times * run.scenario.steps)) > left * (start - end)
        assert run.grads_norms[-1] < 0.01 * run.grads_norms.max()

    return proof


def too_long(factor: float = 0.25) -> Proof:
    """Prove: on all points, the loss ends far above its start; at a lower rate it ends below."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        assert not np.isfinite(end) or end > start + 0.5 * abs(start)
        other = run_scenario(run.scenario, tx=factor)
        assert np.isfinite(other.losses).all()
        assert full_loss(other) < start
        assert last(other.losses) < last(run.losses) or not np.isfinite(last(run.losses))

    return proof
