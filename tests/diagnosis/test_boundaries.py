"""What each rule asks beside its main numbers: on this side of a boundary a run has the verdict, on the other not."""

import dataclasses
import math
from typing import Any

import pytest

from gradtx.diagnosis.judge.verdicts import RULES
from gradtx.diagnosis.read.features import Features
from tests.diagnosis.cases import JUMP, QUIET, UNTOLD, firing


def words(f: Features) -> list[str]:
    """Return the verdicts that fire, the first one first."""
    return [finding.verdict for rule in RULES if (finding := rule(f)) is not None]


def of(**changes: Any) -> Features:
    """Return quiet features with these changes."""
    return dataclasses.replace(QUIET, **changes)


def but(f: Features, **changes: Any) -> Features:
    """Return features with these changes."""
    return dataclasses.replace(f, **changes)


@pytest.mark.parametrize(("spread", "verdict"), [(0.02, "at_chance"), (0.5, "noise_floor")])
def test_a_guess_costs_every_sample_the_same(spread: float, verdict: str) -> None:
    assert words(but(firing("at_chance"), loss_last=1.39, spread=spread))[0] == verdict


TURNS = of(**JUMP, one_loss=True, cos1=-0.5, cos2=0.45, gain=0.001, rho=-0.5, bounce=1e4)


@pytest.mark.parametrize("change", [{"cos1": 0.1}, {"cos2": 0.1}, {"gain": 0.5}, {"one_loss": None}, {"bounce": 1.0}])
def test_a_jump_into_a_bounce_is_a_bounce(change: dict[str, Any]) -> None:
    assert words(TURNS)[0] == "oscillating"
    assert "collapsed" not in words(TURNS)
    assert words(but(TURNS, **change))[0] == "collapsed"


STEEP = but(firing("unbounded"), g_last=5.0, one_loss=False)  # 17 times the first gradient


@pytest.mark.parametrize(
    "change", [{"rise": -1e5}, {"one_loss": True, "p_growth": 1e6, "g_last": 1e5}, {"g_last": 1.0}]
)
def test_a_fall_that_no_plateau_holds_has_no_end(change: dict[str, Any]) -> None:
    assert "unbounded" not in words(STEEP)
    assert "unbounded" not in words(but(STEEP, one_loss=True, rise=-1e5))  # a plateau of one loss has no spread
    assert words(but(STEEP, **change))[0] == "unbounded"


STILL = of(still_since=400, g_last=1e-6, one_loss=True, share=0.0, reach=0.1, u_last=0.0)


def test_what_rests_at_a_minimum_is_not_held() -> None:
    assert words(STILL)[0] == "converged_minimum"
    assert words(but(STILL, g_last=1e-3))[0] == "not_moving"
    assert words(but(STILL, still_since=0))[0] == "not_moving"


SHRUNK = but(firing("healthy"), pace=0.5, p_growth=0.4, outward=2.0, outward_sure=20.0)


@pytest.mark.parametrize(
    "change", [{"p_growth": 0.6}, {"outward": 0.9}, {"outward_sure": 6.0}, {"decays": False}, {"jump": 6.0}]
)
def test_what_halves_parameters_against_their_gradient_is_a_decay(change: dict[str, Any]) -> None:
    assert words(SHRUNK)[0] == "decay_bound"
    assert words(but(SHRUNK, **change))[0] == "healthy"


ARRIVES = of(**UNTOLD, downhill=9.0, g_growth=-0.4, path=0.005, straight=20.0)


def test_without_losses_straight_steps_that_came_nowhere_have_not_arrived() -> None:
    assert words(ARRIVES)[0] == "healthy"
    assert words(but(ARRIVES, straight=40.0))[0] == "crawling"
    assert words(but(ARRIVES, straight=40.0, path=0.02))[0] == "healthy"


THROWN = but(firing("healthy"), early_steps=20.0, burst=1.5, peak_early=20.0, g_thrown=80.0)


@pytest.mark.parametrize("change", [{"early_steps": 9.0}, {"burst": 0.9}, {"peak_early": 7.0}, {"g_thrown": 9.0}])
def test_a_start_that_was_thrown_and_has_recovered_wants_a_warm_up(change: dict[str, Any]) -> None:
    assert words(THROWN)[0] == "needs_warmup"
    assert words(but(THROWN, **change))[0] == "healthy"


OPENS = of(one_loss=False, downhill=9.0, g_growth=1.0, decay=-0.005, g_last=1.5, p_growth=1.1, path=0.3)


def test_a_flat_start_in_noise_is_seen_by_gradients_that_grow() -> None:
    assert words(OPENS)[0] == "saddle_plateau"
    (found,) = [
        finding for rule in RULES if (finding := rule(OPENS)) is not None and finding.verdict == "saddle_plateau"
    ]
    assert "curvature" not in found.headline  # of which noise says nothing
    assert "9 standard errors" in found.evidence[0]
    for change in ({"downhill": 3.0}, {"g_growth": 0.4}, {"decay": 0.005}, {"g_last": 1.1}):
        assert words(but(OPENS, **change))[:1] != ["saddle_plateau"], change
    assert words(but(OPENS, gained=0.3, share=0.4, certainty=12.0))[0] == "healthy"


COMES = of(one_loss=False, downhill=9.0, decay=0.02, g_growth=-1.0, path=math.nan, straight=math.nan, p_growth=math.nan)


@pytest.mark.parametrize("change", [{"decay": 0.002}, {"g_growth": -0.3}])
def test_what_steps_lead_down_to_and_comes_to_an_end_is_no_crawl(change: dict[str, Any]) -> None:
    assert words(COMES)[0] == "healthy"
    assert words(but(COMES, **change))[0] == "crawling"


ARRIVED = of(one_loss=True, gained=0.01, certainty=20.0, share=0.005, remaining=0.002, reach=0.001, g_last=5e-4)


@pytest.mark.parametrize("change", [{"share": 0.1}, {"remaining": 0.1}, {"reach": 0.1}, {"g_last": 5e-3}])
def test_a_fall_of_which_next_to_nothing_is_left_has_arrived(change: dict[str, Any]) -> None:
    assert words(ARRIVED)[0] == "converged_minimum"
    assert words(but(ARRIVED, **change))[0] == "healthy"


LOST = but(firing("healthy"), lost=0.99, cos1=0.9, cos2=0.9, straight=1.5)


@pytest.mark.parametrize("change", [{"lost": 0.8}, {"straight": 30.0}])
def test_updates_that_rounding_undoes_move_nothing_though_the_loss_falls(change: dict[str, Any]) -> None:
    assert words(LOST)[0] == "not_moving"
    assert words(but(LOST, **change))[0] != "not_moving"


HELD = but(firing("healthy"), share=0.03, pace=0.05, p_growth=0.7, outward=1.5, outward_sure=6.0)


@pytest.mark.parametrize("change", [{"pace": 0.2}, {"outward": 0.3}, {"p_growth": 0.9}, {"downhill": 5.0}])
def test_a_fall_at_its_end_against_what_gradients_want_is_held_by_a_decay(change: dict[str, Any]) -> None:
    assert words(HELD)[0] == "decay_bound"
    assert words(but(HELD, **change))[0] == "healthy"


DEAD = of(dead=("a", "b"), gone=("a", "b"), gone_since=200, g_most=40.0, lost_again=0.9, jump=2.0, jumped_at=190)


@pytest.mark.parametrize("change", [{"gone_since": 20}, {"g_most": 5.0}, {"lost_again": 0.2}, {"jumped_at": -1}])
def test_what_dies_in_mid_run_behind_an_explosion_has_collapsed(change: dict[str, Any]) -> None:
    assert words(DEAD)[0] == "collapsed"
    assert words(but(DEAD, **change))[0] == "vanishing_dead"


@pytest.mark.parametrize(("start", "verdict"), [(2.0, "at_chance"), (2.2, "noise_floor")])
def test_a_start_may_have_been_worse_than_a_guess(start: float, verdict: str) -> None:
    assert words(but(firing("at_chance"), loss_start=start))[0] == verdict


def test_a_loss_that_is_the_same_to_its_last_digit_never_left() -> None:
    flat = of(one_loss=True, rho=1.0, g_last=3e-5, g_most=3e-5, g_first=3e-5, p_last=0.1, loss_start=1.0, loss_last=1.0)
    assert (
        words(but(flat, gained=0.0, certainty=0.0, share=0.0, quantum=1e-6, remaining=math.nan))[0] == "saddle_plateau"
    )


@pytest.mark.parametrize("change", [{"path": 0.04}, {"p_growth": 2.0}, {"outward_sure": 1.0}, {"loss_start": 0.53}])
def test_noise_that_holds_nothing_up_learns_nothing(change: dict[str, Any]) -> None:
    assert words(firing("learns_nothing"))[:2] == ["at_chance", "noise_floor"]
    assert words(but(firing("learns_nothing"), **change))[0] == "noise_floor"


@pytest.mark.parametrize(
    "change",
    [
        {"outward_sure": -0.1, "downhill": 3.0},
        {"downhill": 0.9},
        {"outward_sure": 0.4},
        {"rise": 0.1},
        {"loss_start": 0.49},
        {"decays": True},
        {"cos1": 0.8, "cos2": 0.8, "decays": False},
    ],
)
def test_steps_of_a_noise_floor_lead_neither_down_nor_outward(change: dict[str, Any]) -> None:
    assert words(firing("goes_on"))[0] == "healthy"
    assert words(but(firing("goes_on"), **change))[0] == "noise_floor"


SHORT = of(one_loss=False, downhill=9.0, straight=40.0, path=0.05, p_growth=1.0)


def test_steps_that_have_come_far_are_not_short() -> None:
    assert words(SHORT)[0] == "crawling"
    assert "crawling" not in words(but(SHORT, path=0.11))
    assert "crawling" in words(but(SHORT, path=0.11, p_growth=math.nan))  # from 0 any way is far


TUNED = of(one_loss=False, downhill=4.5, straight=10.0, path=0.2, gained=-0.001)


@pytest.mark.parametrize("change", [{"path": 0.14}, {"straight": 33.0}, {"loss_start": 0.49}, {"jump": 5.0}])
def test_steps_that_lead_down_and_have_come_some_way_are_healthy_in_noise(change: dict[str, Any]) -> None:
    assert words(TUNED)[0] == "healthy"
    assert words(but(TUNED, **change))[0] != "healthy"


PULLED = of(one_loss=False, cos1=0.8, cos2=0.8, straight=22.0, outward=1.5, outward_sure=100.0, p_growth=0.9)


@pytest.mark.parametrize("change", [{"outward": 0.9}, {"outward_sure": 19.0}, {"p_growth": 1.1}, {"downhill": 3.5}])
def test_a_decay_that_nobody_told_is_known_by_what_it_holds_in(change: dict[str, Any]) -> None:
    assert words(PULLED)[0] == "decay_bound"
    assert "decay_bound" not in words(but(PULLED, **change))


def test_groups_without_a_gradient_are_the_cause_where_the_rest_hardly_falls() -> None:
    slow = but(firing("healthy"), share=0.009, dead=("a", "b"))
    assert words(slow)[0] == "vanishing_dead"
    assert words(but(slow, share=0.011))[0] == "healthy"
    assert words(but(slow, dead=()))[0] == "healthy"


COLD = of(**UNTOLD, early_steps=200.0, p_growth=5.0, downhill=3.0)


@pytest.mark.parametrize("change", [{"early_steps": 90.0}, {"p_growth": 1.9}, {"scaled": None}])
def test_without_losses_a_first_step_a_hundred_times_too_long_is_seen(change: dict[str, Any]) -> None:
    assert words(COLD)[0] == "needs_warmup"
    assert "needs_warmup" not in words(but(COLD, **change))


FLAT = of(**UNTOLD, g_growth=2.0, g_first=0.4, g_last=1.0, downhill=9.0, rho=0.6, path=0.3)


def test_without_losses_gradients_that_grow_by_a_half_are_no_flat_start() -> None:
    assert words(FLAT)[0] == "saddle_plateau"
    assert words(but(FLAT, g_first=0.6))[0] == "healthy"
    assert words(but(FLAT, g_first=0.6, cos1=0.999))[0] == "saddle_plateau"  # no noise: any growth counts
