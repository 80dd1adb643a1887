"""The command that carries out actions finds one in each report that names one, and says of a mend what holds."""

import re
from types import SimpleNamespace

import pytest

from gradtx.diagnosis.judge.verdicts import RULES
from tests.diagnosis import actions
from tests.diagnosis.cases import FIRES, firing, word
from tests.diagnosis.remedies import REMEDIES, carry_out
from tests.diagnosis.scenarios import SCENARIOS

FOR_A_PERSON = {"healthy", "converged_minimum", "at_chance", "unbounded"}  # nothing to do, or something to look at


@pytest.mark.parametrize("verdict", FIRES)
def test_the_words_of_each_action_are_read(verdict):
    action = next(finding for rule in RULES if (finding := rule(firing(verdict))) is not None).action
    found = [words for words, _ in REMEDIES if re.search(words, action)]
    assert bool(found) is (word(verdict) not in FOR_A_PERSON), action


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("lengthen the schedule beyond step 200, or stop: the run is over", "lengthen the schedule"),
        (
            "call the scheduler, or set a rate above 0, such as 0.01 for plain descent",
            "set a rate above 0, such as 0.01",
        ),
        ("keep the parameters in float32, or keep the residue", "keep the parameters in float32"),
        ("learning rate x 0.1 to 0.02, average the parameters", "learning rate x 0.1"),
    ],
)
def test_the_first_words_that_fit_are_carried_out(action, words, monkeypatch):
    ours = tuple((pattern, lambda run, report, found: "done") for pattern, _ in REMEDIES)
    monkeypatch.setattr("tests.diagnosis.remedies.REMEDIES", ours)
    report = SimpleNamespace(action=action)
    assert carry_out(None, report) == (words, "done")


def test_what_a_person_must_look_at_is_not_carried_out():
    report = SimpleNamespace(action="look at masks and labels: they leave out 90 %")
    assert carry_out(None, report) == (report.action, None)


@pytest.mark.parametrize(
    ("before", "left", "floor", "then", "mended"),
    [
        (3.0, 2.0, 0.0, "crawling", True),
        (3.0, 2.1, 0.0, "crawling", False),
        (3.0, 2.1, 0.0, "healthy", True),
        (3.0, 3.1, 0.0, "healthy", False),
        (3.0, 2.6, 2.5, "crawling", True),  # nine tenths of the loss above its floor are gone
        (3.0, 2.9, 2.5, "crawling", False),
        (float("nan"), 5.0, 0.0, "healthy", True),
        (3.0, float("nan"), 0.0, "healthy", False),
        (-2.0, -2.5, -2.5, "crawling", True),
        (-2.0, -2.5, 0.0, "crawling", False),
        (-2.0, -3.0, 0.0, "crawling", True),
    ],
)
def test_mended_is_a_third_less_or_the_cause_gone(before, left, floor, then, mended):
    now = SimpleNamespace(verdict="crawling")
    assert actions.mended(before, left, floor, now, SimpleNamespace(verdict=then)) is mended


@pytest.mark.exhaustive
def test_a_bounce_is_mended_by_the_rate_that_is_named():
    row = actions.outcome(next(s for s in SCENARIOS if s.name == "log_cosh_valley"))
    assert row["verdict"] == "oscillating"
    assert re.fullmatch(r"learning rate x 0\.\d+", row["done"])
    assert row["mended"] is True
    assert row["after"] < 2 / 3 * row["before"]
    assert actions.line(row).endswith(" mended")
