"""Proofs of the sixth set that no other set has."""

from collections.abc import Callable

import numpy as np

from tests.diagnosis.scenarios.base import Run, Scenario, resume, run_scenario
from tests.diagnosis.scenarios.counterfactuals import arrays
from tests.diagnosis.scenarios.fifth_proofs import levels
from tests.diagnosis.scenarios.measures import full_loss, group_sizes, last, mean_at
from tests.diagnosis.scenarios.proofs import Proof

Mend = Callable[[Scenario], Scenario]


def ruined_at_once(mended: Mend) -> Proof:
    """Prove: the first loss is finite, and no loss or parameter after it; without the fault the run falls."""

    def proof(run: Run) -> None:
        assert np.isfinite(run.losses[0])
        assert np.isfinite(run.grads_norms[0])
        assert not np.isfinite(run.losses[1:]).any()
        assert not np.isfinite(arrays(run.params)).all()
        without = run_scenario(mended(run.scenario))
        assert np.isfinite(without.losses).all()
        assert last(without.losses) < 0.8 * without.losses[0]

    return proof


def no_better(mended: Mend, share: float = 0.6) -> Proof:
    """Prove: what looks like a fault costs little; without it, the loss on all points falls not much further."""

    def proof(run: Run) -> None:
        start, end = levels(run)
        assert not share * (start - full_loss(run_scenario(mended(run.scenario)))) > start - end

    return proof


def constant_is_best(target: Callable[[], np.ndarray], mended: Mend, near: float = 0.1, drop: float = 0.3) -> Proof:
    """Prove: the loss stands at half the variance of the targets; with targets that belong, it ends lower."""

    def proof(run: Run) -> None:
        half = 0.5 * float(np.var(target(), dtype=np.float64))
        assert (1 - near) * half < last(run.losses) < (1 + near) * half
        assert (1 - near) * half < mean_at(run.losses, 0.5) < (1 + 2 * near) * half
        assert last(run_scenario(mended(run.scenario)).losses) < (1 - drop) * last(run.losses)

    return proof


def killed(groups: tuple[str, ...], step: int) -> Proof:
    """Prove: these groups had a gradient before a step, and have none at the end."""

    def proof(run: Run) -> None:
        before, end = (group_sizes(run, r.params) for r in (run_scenario(run.scenario, steps=step), run))
        assert all(before[name] > 0 == end[name] for name in groups)

    return proof


def held_down(plain: Callable[[], object], times: float = 3.0) -> Proof:
    """Prove: without the decay, going on from the end, the params grow at once and the loss on all points falls."""

    def proof(run: Run) -> None:
        free, same = resume(run, plain()), resume(run)
        assert np.linalg.norm(arrays(free.params)) > 1.1 * np.linalg.norm(arrays(run.params))
        end = full_loss(run)
        assert end - full_loss(free) > times * abs(end - full_loss(same))

    return proof


def never_back(step: int, rise: float) -> Proof:
    """Prove: a second run of the same length, from the end of the first, ends above the level before a step."""

    def proof(run: Run) -> None:
        before = float(np.mean(run.losses[step - 20 : step]))
        assert last(resume(run).losses) > rise * before

    return proof
