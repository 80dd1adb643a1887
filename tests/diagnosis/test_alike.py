"""Causes that look alike from inside a run, told apart: each pair differs in one thing only."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.diagnosis.judge.verdicts import RULES
from gradtx.diagnosis.read.features import Features
from tests.diagnosis.cases import QUIET
from tests.diagnosis.runs import train
from tests.diagnosis.scenarios.base import plain


def first(f: Features) -> str:
    return next(found.verdict for rule in RULES if (found := rule(f)) is not None)


def run(tx: Any, loss: Any, start: Any, steps: int = 200) -> tuple[Any, Any]:
    """Train under watch on `loss(p, batch)`, the batch being the count; return params and state."""

    def step(carry: Any, count: Any) -> Any:
        p, state = carry
        value, g = jax.value_and_grad(loss)(p, count)
        updates, state = tx.update(g, state, p, value=value)
        return (gradtx.apply_updates(p, updates), state), None

    p = jnp.asarray(start, jnp.float32)
    return jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), jnp.arange(steps, dtype=jnp.int32))[0])(p)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "crawling"),
        ({"straight": 3.0}, "noise_floor"),
        ({"ucos": 0.8}, "noise_floor"),  # momentum makes noise as straight
        ({"downhill": 2.5}, "noise_floor"),
        ({"downhill": 9.0, "straight": 3.0}, "crawling"),  # sure by itself
        ({"downhill": 30.0, "cos1": 0.9, "cos2": 0.9, "straight": 1.0}, "noise_floor"),  # what most say, few undo
    ],
)
def test_two_likely_signs_of_a_way_down_make_a_crawl(change, verdict):
    f = dataclasses.replace(QUIET, one_loss=False, decays=False, downhill=3.5, straight=5.0)
    assert first(dataclasses.replace(f, **change)) == verdict


@plain
@pytest.mark.parametrize(("rate", "start", "verdict"), [(1e-7, 1.0, "crawling"), (0.01, 0.01, "saddle_plateau")])
def test_a_loss_that_has_not_moved_is_flat_only_where_it_has_no_slope(rate, start, verdict):
    tx = gradtx.watch(gradtx.sgd(rate))
    state = train(tx, lambda p: 5.0 + jnp.square(3.0 - p[0] * p[1] * p[2]), jnp.full(3, start, jnp.float32), 200)
    f = gradtx.diagnose(state).features
    assert 0 <= f.loss_start - f.loss_last < 1e3 * f.quantum
    assert gradtx.diagnose(state).verdict == verdict


def test_a_flat_start_that_happens_to_cost_a_guess_is_a_saddle():
    stands = {"loss_start": 1.3863, "loss_last": 1.3863, "remaining": -1.0, "g_last": 0.02, "g_most": 0.02}
    f = dataclasses.replace(QUIET, one_loss=True, **stands)
    assert first(f) == "saddle_plateau"
    assert first(dataclasses.replace(f, g_last=0.5, g_most=0.5)) == "at_chance"  # a slope, and still no fall
    assert first(dataclasses.replace(f, loss_start=1.4)) == "at_chance"  # it fell to where a guess is


@plain
@pytest.mark.parametrize(("halved", "gone"), [(8.0, True), (100.0, False)])
def test_steps_that_have_shrunk_to_nothing_are_no_matter_of_precision(halved, gone):
    tx = gradtx.watch(optax.adam(lambda count: 1e-3 * 0.5 ** (count / halved)))
    report = gradtx.diagnose(train(tx, lambda p: jnp.sum(jnp.square(p - 3.0)), jnp.ones(8), 300))
    assert (report.verdict == "not_moving") is gone
    if gone:
        assert "the learning rate has decayed to 0" in report.headline
        assert "lengthen the schedule" in report.action


@plain
@pytest.mark.parametrize(("height", "one"), [(40.0, False), (0.0, True)])
def test_batches_that_differ_seldom_and_far_are_not_one_loss(height, one):
    def loss(p: jax.Array, count: jax.Array) -> jax.Array:
        rare = jnp.where(count % 16 == 7, jnp.float32(height), 0.0)
        return 0.01 * jnp.sum(jnp.square(p)) + rare * jnp.square(p[0] + 0.1 * (count % 5) - 2.0)

    f = gradtx.diagnose(run(gradtx.watch(gradtx.sgd(0.01)), loss, np.ones(3), 400)[1]).features
    assert f.error < 0.01  # most losses are where the slopes lead
    assert f.one_loss is one


@plain
@pytest.mark.parametrize(("away", "verdict"), [(12.0, "healthy"), (200.0, "crawling")])
def test_a_line_that_the_probe_finds_short_is_no_crawl(away, verdict):
    tx = gradtx.watch(gradtx.adam(0.05))

    def loss(p: jax.Array, batch: Any) -> jax.Array:
        return jnp.sum(jnp.sqrt(1.0 + jnp.square(p - away)))

    params, state = run(tx, loss, np.zeros(2))
    assert gradtx.diagnose(state).verdict == "crawling"  # straight, with no minimum of the line in sight
    report = gradtx.diagnose(state, probe=gradtx.probe(loss, params, None, tx=tx, state=state))
    assert report.verdict == verdict
    if verdict == "healthy":
        assert "the last half of the run gained" in report.evidence[1]
