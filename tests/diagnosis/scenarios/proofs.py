"""Proofs that a run has its cause: what holds by construction, and what happens when one thing is changed."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from tests.diagnosis.scenarios.base import Run, Scenario, plain, resume, run_scenario
from tests.diagnosis.scenarios.measures import (
    batch_grads,
    fell,
    full_grad,
    full_loss,
    group_sizes,
    hessian,
    lag,
    last,
    sweep,
)

Proof = Callable[[Run], None]
Make = Callable[[], Any]


def both(first: Proof, second: Proof) -> Proof:
    """Prove two causes at once."""

    def proof(run: Run) -> None:
        first(run)
        second(run)

    return proof


def improving(by: float = 0.15, share: float = 0.6) -> Proof:
    """Prove: the loss falls, goes on falling, and a rate 4 times smaller or larger gains not much more."""

    def proof(run: Run) -> None:
        assert fell(run) > by
        more = resume(run)
        assert last(more.losses) < 0.95 * last(run.losses)
        for losses in sweep(run.scenario, (0.25, 4.0)):
            assert not share * (losses[0] - last(losses)) > losses[0] - last(run.losses)

    return proof


def edge_of_stability(cosine: float = -0.3) -> Proof:
    """Prove: the gradient flips at each step, and still the loss falls; half the rate ends higher."""

    def proof(run: Run) -> None:
        assert lag(run) < cosine
        assert fell(run) > 0.15
        assert last(resume(run).losses) < 0.95 * last(run.losses)
        assert last(sweep(run.scenario, (0.5,))[0]) > last(run.losses)

    return proof


def bouncing(factor: float = 0.5, steps: int = 200, drop: float = 0.3) -> Proof:
    """Prove: the gradient flips, the loss does not fall, and a smaller rate from here lowers it at once."""

    def proof(run: Run) -> None:
        assert lag(run) < -0.3
        assert fell(run) < 0.1
        same, less = resume(run, steps=steps), resume(run, factor, steps)
        assert last(same.losses) > 0.95 * last(run.losses)
        assert last(less.losses) < (1 - drop) * last(same.losses)

    return proof


def slow(
    factor: float = 10.0, gain: float = 4.0, fall: float = 0.1, floor: float = 0.0, other: Make | None = None
) -> Proof:
    """Prove: hardly any fall at this rate; `factor` times it, or another method, gains much more in as many steps."""

    def proof(run: Run) -> None:
        assert fell(run) < 0.1
        same = resume(run)
        more = resume(run, other() if other else factor)
        here, there = full_loss(run), full_loss(more)
        assert there - floor < (1 - fall) * (here - floor)
        assert here - there > gain * (here - full_loss(same))

    return proof


def minimum(decrement: float = 1e-4) -> Proof:
    """Prove: the Hessian is positive definite and a Newton step would gain nearly nothing."""

    def proof(run: Run) -> None:
        eigenvalues, vectors, g = hessian(run)
        assert eigenvalues[0] > 0
        gain = 0.5 * np.sum((vectors.T @ g) ** 2 / eigenvalues)
        assert gain < decrement * abs(full_loss(run))

    return proof


def saddle(push: float = 0.3, steps: int = 2000, drop: float = 0.1, flat: float = 0.05) -> Proof:
    """Prove: a small gradient, a direction of negative curvature, and a way down beyond it."""

    def proof(run: Run) -> None:
        assert abs(fell(run)) < 0.1
        eigenvalues, vectors, g = hessian(run)
        assert eigenvalues[0] < 0
        flat_params, unravel = plain(ravel_pytree)(run.params)
        moved = np.asarray(flat_params) + push * vectors[:, 0].astype(np.float32)
        away = resume(run, steps=steps, params=plain(unravel)(jnp.asarray(moved, jnp.float32)))
        assert full_loss(away) < (1 - drop) * full_loss(run)
        assert np.linalg.norm(g) < flat * max(run.grads_norms.max(), away.grads_norms.max())

    return proof


def noisy(factor: float = 0.1, drop: float = 0.05) -> Proof:
    """Prove: the gradient is below its noise, the loss stays, a larger rate is worse and a smaller one better."""

    def proof(run: Run) -> None:
        g, full = batch_grads(run, 64, moving=False), plain(ravel_pytree)(full_grad(run))[0]
        full = np.asarray(full, np.float64)
        assert np.sum(full**2) < np.mean(np.sum((g - full) ** 2, axis=1))
        same, less = resume(run), resume(run, factor)
        more = resume(run, 3.0)
        before = run.losses[len(run.losses) // 2 :].mean()
        assert same.losses.mean() > 0.95 * before
        assert more.losses.mean() > before
        assert full_loss(less) < (1 - drop) * min(full_loss(run), full_loss(same))

    return proof


def growing(factor: float = 0.25) -> Proof:
    """Prove: the loss rises, to non-finite perhaps, and a smaller rate from the start mends it."""

    def proof(run: Run) -> None:
        start, finite = run.losses[0], run.losses[np.isfinite(run.losses)]
        assert finite[-1] > (3 if len(finite) == len(run.losses) else 10) * abs(start)
        mended = sweep(run.scenario, (factor,))[0]
        assert np.isfinite(mended).all()
        assert last(mended) < start

    return proof


def clean_but_for_a_step(mended: Callable[[Scenario], Scenario]) -> Proof:
    """Prove: all is well until a step, non-finite from there on; without the fault the run does well."""

    def proof(run: Run) -> None:
        bad = int(np.argmin(np.isfinite(run.losses) & np.isfinite(run.grads_norms)))
        assert bad > 20
        assert run.losses[bad - 1] < 3 * run.losses[0]
        assert run.grads_norms[bad - 1] < 10 * np.median(run.grads_norms[:bad])
        assert not np.isfinite(run.losses[-1])
        without = run_scenario(mended(run.scenario))
        assert np.isfinite(without.losses).all()
        assert last(without.losses) < without.losses[0]

    return proof


def dead(
    groups: tuple[str, ...], mended: Callable[[Scenario], Scenario], ratio: float = 0.0, drop: float = 0.3
) -> Proof:
    """Prove: the gradient of these groups is 0, or `ratio` of the largest at most; another start mends it."""

    def proof(run: Run) -> None:
        start, end = group_sizes(run, run.scenario.init()), group_sizes(run, run.params)
        largest = max(*start.values(), *end.values())
        assert all(max(start[name], end[name]) <= ratio * largest for name in groups)
        assert fell(run) < 0.1
        without = run_scenario(mended(run.scenario))
        assert full_loss(without) < (1 - drop) * full_loss(run)

    return proof


def clipped(bound: float, free: Make, drop: float = 0.3) -> Proof:
    """Prove: nearly every gradient is cut to a tenth or less; without the clip the same steps go much further."""

    def proof(run: Run) -> None:
        norms = run.grads_norms[-256:]
        assert np.mean(norms > bound) > 0.95
        assert np.median(norms) > 10 * bound
        assert fell(run) < 0.3
        assert last(run_scenario(run.scenario, tx=free()).losses) < (1 - drop) * last(run.losses)

    return proof


def spiking(calm: Make, ratio: float = 10.0) -> Proof:
    """Prove: the loss bursts out of its median and gets nowhere; with sigma kept up, or eta down, it ends lower."""

    def proof(run: Run) -> None:
        window = run.losses[-256:]
        assert window.max() > ratio * np.median(window)
        assert fell(run) < 0.5
        other = resume(run, calm())
        assert other.losses[-256:].max() < 0.1 * window.max()
        assert other.losses[-256:].mean() < window.mean()

    return proof


def cold_start(warm: Make, drop: float = 0.5) -> Proof:
    """Prove: the first steps throw the loss up and the run does not mend; the same rate after a warm-up does."""

    def proof(run: Run) -> None:
        assert run.losses[:64].max() > 2 * run.losses[0]
        assert last(run.losses) > 0.1 * run.losses[0]
        warmed = run_scenario(run.scenario, tx=warm()).losses
        assert last(warmed) < (1 - drop) * last(run.losses)

    return proof
