"""Proofs that rest on a counterfactual: the same run with its cause taken away gets where this one did not."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios.base import Run, Scenario, plain, resume, run_scenario
from tests.diagnosis.scenarios.measures import full_loss, last, mean_at, sweep
from tests.diagnosis.scenarios.proofs import Make, Proof


def arrays(tree: Any) -> np.ndarray:
    """Return all numbers of a tree in one array."""
    return np.concatenate([np.asarray(x).astype(np.float64).reshape(-1) for x in jax.tree.leaves(tree)])


def unmoved(free: Make, since: int = 0, share: float = 1.0, drop: float = 0.2) -> Proof:
    """Prove: since a step this share of the params stands still under a gradient; a transform that moves all gains."""

    def proof(run: Run) -> None:
        before = run_scenario(run.scenario, steps=since).params if since else run.scenario.init()
        assert np.mean(arrays(before) == arrays(run.params)) >= share
        assert run.grads_norms[-1] > 0
        assert full_loss(resume(run, free())) < (1 - drop) * full_loss(run)

    return proof


def rounded(drop: float = 0.2) -> Proof:
    """Prove: nearly no parameter differs from its start, and the same run with float32 params ends lower."""

    def proof(run: Run) -> None:
        assert np.mean(arrays(run.scenario.init()) == arrays(run.params)) > 0.8
        init = run.scenario.init
        wide = dataclasses.replace(
            run.scenario, init=plain(lambda: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), init()))
        )
        assert last(run_scenario(wide).losses) < (1 - drop) * last(run.losses)

    return proof


def better_with(free: Make, drop: float = 0.3, moves: float = 0.15) -> Proof:
    """Prove: the loss stands over the last half of the run; with another transform from the start it ends lower."""

    def proof(run: Run) -> None:
        assert last(run.losses) > (1 - moves) * mean_at(run.losses, 0.5)
        assert last(run_scenario(run.scenario, tx=free()).losses) < (1 - drop) * last(run.losses)

    return proof


def cut(groups: tuple[str, ...], whole: Any, drop: float = 0.2) -> Proof:
    """Prove: these groups never move; with the loss that reaches them the run ends lower."""

    def proof(run: Run) -> None:
        for name in groups:
            np.testing.assert_array_equal(arrays(run.scenario.init()[name]), arrays(run.params[name]))
        assert last(run_scenario(dataclasses.replace(run.scenario, loss=whole)).losses) < (1 - drop) * last(run.losses)

    return proof


def guessing(
    classes: int, mended: Callable[[Scenario], Scenario] | None, drop: float = 0.3, near: float = 0.1
) -> Proof:
    """Prove: the loss stands near ln k, as is best where inputs say nothing; with inputs that do it ends lower."""

    def proof(run: Run) -> None:
        level = last(run.losses)
        assert np.log(classes) - 0.03 < level < np.log(classes) + near
        assert mean_at(run.losses, 0.5) < np.log(classes) + 2 * near
        if mended is not None:  # else by construction: the targets are drawn without regard to the inputs
            assert last(run_scenario(mended(run.scenario)).losses) < (1 - drop) * level

    return proof


def thrown(step: int, mended: Callable[[Scenario], Scenario], rise: float = 1.3) -> Proof:
    """Prove: the loss stands higher ever since a step, and without what happened there it goes on lower."""

    def proof(run: Run) -> None:
        before = float(np.mean(run.losses[step - 20 : step]))
        after = run.losses[step + 20 :]
        assert np.isfinite(run.losses).all()
        assert np.quantile(after, 0.1) > rise * before
        assert last(run.losses) > 0.95 * mean_at(after, 0.5)  # and it stays there
        assert last(run_scenario(mended(run.scenario)).losses) < before

    return proof


def bottomless(far: float = 100.0) -> Proof:
    """Prove: the loss falls below 0, ever faster, and far lower still where the params are larger."""

    def proof(run: Run) -> None:
        first, second = run.losses[: len(run.losses) // 2], run.losses[len(run.losses) // 2 :]
        assert second[0] - second[-1] > first[0] - first[-1] > 0
        larger = dataclasses.replace(run, params=jax.tree.map(lambda p: far * p, run.params))
        assert full_loss(larger) < full_loss(run) - far * abs(full_loss(run))

    return proof


def falling(share: float = 0.6, by: float = 0.1) -> Proof:
    """Prove without the loss's zero: much of the fall is in the last half, it goes on, no other rate does better."""

    def proof(run: Run) -> None:
        fall = run.losses[0] - last(run.losses)
        assert mean_at(run.losses, 0.5) - last(run.losses) > by * fall > 0
        assert last(run.losses) - last(resume(run).losses) > 0.5 * by * fall
        for losses in sweep(run.scenario, (0.25, 4.0)):
            assert not share * (losses[0] - last(losses)) > fall

    return proof


def healthy_but_for_start(finite: int) -> Proof:
    """Prove: the first gradients are not finite and change nothing; the run falls after them."""

    def proof(run: Run) -> None:
        assert not np.isfinite(run.grads_norms[:finite]).any()
        assert np.isfinite(run.grads_norms[finite:]).all()
        losses = run.losses[finite:]
        assert last(losses) < 0.9 * mean_at(losses, 0.5)

    return proof
