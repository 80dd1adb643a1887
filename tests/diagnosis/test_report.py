"""The report reads, is stored, is shown and is drawn, whatever the verdict and however little is known."""

import dataclasses
import functools
import html
import json
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.diagnose import UNDECIDED, blew_up, judge, report
from gradtx.diagnosis.judge.finding import Finding
from gradtx.diagnosis.judge.verdicts import RULES
from gradtx.diagnosis.read.evidence import Evidence, read
from gradtx.diagnosis.read.logged import from_columns
from tests.diagnosis.cases import FIRES, QUIET, firing, word
from tests.diagnosis.runs import Fed, feed, gradients, plain, short, start

VERDICTS = [*FIRES, "non_finite", "overflow", "undecided"]


@functools.cache
def run_of(steps: int, bad: bool = False) -> Evidence:
    losses = np.linspace(2.0, 1.0, steps)
    if bad:
        losses[-1] = np.nan
    return read(short(steps, losses).state)


@functools.cache
def made(verdict: str) -> gradtx.Report:
    """Return a report with this verdict, as `judge` makes it from features."""
    if verdict in ("non_finite", "overflow"):
        f = dataclasses.replace(QUIET, grown=1e6 if verdict == "overflow" else 1.0)
        return report([blew_up(f, 79, {"w": 2})], f, run_of(80, bad=True), None)
    if verdict == "undecided":
        return report([UNDECIDED], QUIET, run_of(80), None)
    f = firing(verdict)
    found: list[Finding] = [finding for rule in RULES if (finding := rule(f)) is not None]
    return report(found, f, run_of(80), None)


by_verdict = pytest.mark.parametrize("verdict", VERDICTS)


@by_verdict
def test_report_prints(verdict):
    text = str(made(verdict))
    told = {"overflow": "diverging"}.get(verdict, word(verdict))
    assert f"VERDICT  {told}: " in text
    assert "EVIDENCE" in text
    action = next(line for line in text.splitlines() if line.startswith("ACTION"))
    assert len(action) > len("ACTION  none")
    if told not in ("healthy", "converged_minimum", "undecided"):
        assert re.search(r"\d", action), action
    assert "GROUPS" in text
    assert not re.search(r"\bnan\b|\bNone\b", text), text
    assert all(line == line.rstrip() for line in text.splitlines())


@by_verdict
def test_report_is_json(verdict):
    stored = json.loads(json.dumps(made(verdict).to_dict(), allow_nan=False))
    assert stored["verdict"] == made(verdict).verdict
    assert stored["headline"]
    assert stored["action"]
    assert stored["steps"] == made(verdict).run.steps
    assert {row["group"] for row in stored["groups"]} == {"b", "w"}
    rho = made(verdict).features.rho
    assert stored["features"]["rho"] == (None if np.isnan(rho) else pytest.approx(rho))


@pytest.mark.share(6)
@by_verdict
def test_report_is_drawn(verdict, tmp_path):
    path = tmp_path / "run.png"
    figure = made(verdict).plot(path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert len(figure.axes) == 4  # loss, |g| beside it, the rates, the strip
    assert made(verdict).verdict in figure.get_suptitle()


def test_report_shows_in_a_notebook_escaped():
    tx = gradtx.watch(gradtx.sgd(0.1), groups=lambda path: "<script>")
    shown = gradtx.diagnose(feed(tx, gradients(20), np.ones(20)).state)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert html.escape(made("healthy").headline) in made("healthy")._repr_html_()


def columns(steps: int, *names: str) -> Evidence:
    t = np.arange(float(steps))
    values = {"loss": 2 - t / steps, "grad_norm": 1 + t / steps, "learning_rate": np.full(steps, 0.1)}
    return from_columns({name: values[name] for name in ("loss", *names)})


@pytest.mark.parametrize(
    "run",
    [
        columns(300),
        columns(300, "grad_norm"),
        columns(20, "grad_norm", "learning_rate"),
        columns(1),
        columns(2, "grad_norm"),
    ],
    ids=["loss only", "with |g|", "20 steps", "1 step", "2 steps"],
)
def test_logs_are_drawn(run, tmp_path):
    judge(run).plot(tmp_path / "log.png")
    assert (tmp_path / "log.png").stat().st_size > 5000


@pytest.mark.parametrize("steps", [0, 1, 2, 19, 20])
def test_short_runs_are_drawn(steps, tmp_path):
    found = gradtx.diagnose(short(steps).state)
    found.plot(tmp_path / "short.png")
    assert str(found)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("steps", [0, 1, 19])
def test_fewer_than_20_steps_say_nothing(steps):
    found = gradtx.diagnose(short(steps).state)
    assert found.verdict == "undecided"
    assert "fewer than 20" in found.headline
    assert "20" in found.action
    assert found.ruled_out == {}


def test_20_steps_say_something():
    assert "fewer than" not in gradtx.diagnose(short(20).state).headline


def test_report_names_the_loss_that_was_not_passed():
    found = gradtx.diagnose(feed(plain()[0], gradients(60)).state)
    text = str(found)
    assert "NOT KNOWN" in text
    assert "no loss was passed (update(..., value=loss))" in text
    assert found.verdict == "undecided"
    assert "nan" not in text


def test_report_names_the_params_that_were_not_passed():
    tx, _ = plain()
    found = gradtx.diagnose(feed(tx, gradients(60), np.ones(60), params=False).state)
    assert "no params were passed" in str(found)
    assert "nan" not in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_report_names_the_rate_that_is_not_known():
    run = read(short(30).state)
    turned = {**run.rows, "learning_rate": np.full(30, np.nan), "gu": 0.5 * run.rows["gu"]}
    blind = dataclasses.replace(run, rows=turned)  # along the gradient it would be |u| / |g|
    assert "watch(tx, learning_rate=...)" in str(judge(blind))
    assert "learning rate" not in str(judge(run))


def test_report_names_the_sample():
    p = {"w": jnp.ones((300, 300), jnp.float32)}
    found = gradtx.diagnose(feed(gradtx.watch(gradtx.sgd(0.1)), [p] * 2, np.ones(2), p=p).state)
    assert "of 90,000 parameters, measured in 3 of every 96 steps" in str(found)


def test_report_of_a_loss_that_is_not_finite():
    losses = np.linspace(2.0, 1.9, 40)
    losses[30] = np.nan
    found = gradtx.diagnose(short(40, losses).state)
    assert found.verdict == "non_finite"
    assert "step 30" in found.headline
    assert "the loss" in found.evidence[0]
    first = gradtx.diagnose(short(5, np.full(5, np.nan)).state)
    assert first.verdict == "non_finite"
    assert "step 0" in first.headline
    assert "nan" not in str(first)


def test_report_of_a_gradient_that_is_not_finite():
    grads = gradients(40)
    grads[30]["w"] = grads[30]["w"].at[0, :2].set(jnp.float32(np.inf))
    found = gradtx.diagnose(short(40, grads=grads).state)
    assert found.verdict == "non_finite"
    assert "w (2 entries)" in found.evidence[0]


def overflowing() -> Fed:
    grads = [{name: x * 1e3**t for name, x in g.items()} for t, g in enumerate(gradients(14))]
    return short(40, 4.0 ** np.arange(40), grads + [{n: x * np.float32(np.inf) for n, x in grads[0].items()}] * 26)


def test_report_of_growth_until_overflow():
    found = gradtx.diagnose(overflowing().state)
    assert found.verdict == "diverging"
    assert "NOT a bad batch" in found.headline
    assert "0.025" in found.action


def test_the_first_rule_is_the_verdict_and_the_others_are_named():
    f = dataclasses.replace(firing("diverging"), **FIRES["always_clipped"][0])
    found: Any = [finding for rule in RULES if (finding := rule(f)) is not None]
    both = report(found, f, run_of(80), None)
    assert both.verdict == "diverging"
    assert [x.verdict for x in both.also] == ["always_clipped"]
    assert "ALSO FIRED\n  always_clipped: " in str(both)
    assert not {"diverging", "always_clipped"} & set(both.ruled_out)
    assert "RULED OUT" in str(both)


def test_report_keeps_every_step_of_the_run():
    found = gradtx.diagnose(short(80).state)
    assert "steps 1..80 " in str(found)
    assert found.features.steps == 80
    assert found.run.sizes == {"b": 4, "w": 15}
    assert start()["w"].size == 15
