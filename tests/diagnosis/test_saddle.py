"""A path that slows down towards a saddle is told from one that slows down on its way, by what lies beside it."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.judge.sharpen import sharpen
from gradtx.diagnosis.judge.verdicts import RULES
from tests.diagnosis.cases import QUIET
from tests.diagnosis.runs import train
from tests.diagnosis.scenarios.base import plain


def mountain_pass(p: jax.Array, batch: Any = 1.0) -> jax.Array:
    """Return the loss of a mountain pass at the origin; it is 0.25 lower at y = 1 and y = -1."""
    x, y = p
    return batch * (0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4 + 3.0)


@functools.cache
def descent() -> tuple[Any, Any]:
    tx = gradtx.watch(gradtx.sgd(0.005))

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        value, g = jax.value_and_grad(mountain_pass)(p)
        updates, state = tx.update(g, state, p, value=value)
        return (gradtx.apply_updates(p, updates), state), None

    return tx, jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=500)[0])


@functools.cache
@plain
def diagnosed(x: float) -> gradtx.Report:
    tx, run = descent()
    params, state = run(jnp.array([x, 1e-9], jnp.float32))
    return gradtx.diagnose(state, probe=gradtx.probe(mountain_pass, params, 1.0, tx=tx, state=state))


def test_an_approach_to_a_saddle_is_not_healthy():
    report = diagnosed(0.3)
    assert report.features.certainty > 20  # the loss falls, without doubt
    assert report.verdict == "saddle_plateau", report
    assert "times what the whole run gained" in report.evidence[0]


@pytest.mark.parametrize("start", [0.0, -0.5])
def test_a_run_that_has_gained_nothing_so_far_is_not_divided_by(start):
    report = diagnosed(0.3)
    f = report.features
    worse = dataclasses.replace(f, loss_start=f.loss_last + start)
    first = sharpen([found for found in rules(f) if found.verdict == "healthy"], worse, report.probe)[0]
    assert first.verdict == "saddle_plateau"
    assert first.evidence[0].endswith("the whole run gained nothing")


def test_a_descent_with_less_beside_it_than_on_it_is_healthy():
    assert diagnosed(3.0).verdict == "healthy"


@pytest.mark.parametrize("start", [0.3, 3.0])
@pytest.mark.parametrize("shift", [-3.0, -1000.0, 500.0])
def test_a_probe_adds_no_rule_that_rests_on_the_zero_of_the_loss(start, shift):
    report = diagnosed(start)
    probe, f = report.probe, report.features
    fall, loss = probe.best_fall * abs(probe.loss), probe.loss + shift
    losses = tuple(None if x is None else x + shift for x in probe.losses)
    other = dataclasses.replace(probe, loss=loss, losses=losses, best_fall=fall / (abs(loss) or 1.0))
    moved = {name: getattr(f, name) + shift for name in ("loss_first", "loss_start", "loss_middle", "loss_last")}
    g = dataclasses.replace(f, loss_least=f.loss_least + shift, **moved)
    words = [[x.verdict for x in sharpen(rules(f), f, probe)], [x.verdict for x in sharpen(rules(g), g, other)]]
    assert words[0] == words[1]
    assert words[0][0] == report.verdict


def rules(f: Any) -> Any:
    return [found for rule in RULES if (found := rule(f)) is not None]


@plain
def test_a_loss_that_falls_along_any_line_is_unbounded():
    tx = gradtx.watch(gradtx.sgd(0.01))

    def loss(p: jax.Array, batch: Any) -> jax.Array:
        return -p[0] * p[1] + batch * jnp.sum(p**4)

    start = jnp.array([1.0, 0.9], jnp.float32)
    state = train(tx, lambda p: loss(p, 0.0), start, 60)
    endless, bounded = (gradtx.probe(loss, 1.8 * start, batch, tx=tx, state=state) for batch in (0.0, 1e-4))
    assert gradtx.diagnose(state, probe=endless).verdict == "unbounded"
    assert gradtx.diagnose(state, probe=bounded).verdict != "unbounded"


@plain
def test_a_flat_start_falls_far_along_its_line_and_is_not_unbounded():
    at = jnp.array([1e-4, 1e-4], jnp.float32)
    found = gradtx.probe(lambda p, b: jnp.square(p[0] * p[1] - 1.0), at, None, learning_rate=1e-3)
    assert found.best_scale == found.scales[-1]  # ten times the params away, and still downhill
    assert found.endless is False


@plain
def test_the_fall_along_the_lowest_eigenvector_is_measured_both_ways():
    at = jnp.array([0.0, 0.03], jnp.float32)
    found = gradtx.probe(lambda p, b: mountain_pass(p) + 0.1 * p[1] ** 3, at, None)
    y = 0.03 + 0.03 * np.array([-1, 1])[:, None] * np.array(
        [0.001, 0.01 / 3, 0.01, 1 / 30, 0.1, 1 / 3, 1, 10 / 3, 1e2 / 3]
    )
    fall = 0.5 * y**2 - 0.25 * y**4 - 0.1 * y**3
    here = 0.5 * 0.03**2 - 0.25 * 0.03**4 - 0.1 * 0.03**3
    assert fall[0].max() > fall[1].max()  # downhill at first, the other way goes lower
    np.testing.assert_allclose(found.lambda_min_fall, fall.max() - here, rtol=1e-4)
    assert f"along its direction the loss falls by {found.lambda_min_fall:.3g}" in str(found)
    assert gradtx.probe(lambda p, b: jnp.sum(p**2), at, None).lambda_min_fall is None


@plain
@pytest.mark.parametrize("momentum", [None, 0.9])
@pytest.mark.parametrize("y", [1e-3, 0.03])
def test_a_run_leaves_along_negative_curvature_when_the_probe_says_so(momentum, y):
    tx = gradtx.sgd(0.01, momentum=momentum)
    start = jnp.array([0.0, y], jnp.float32)
    found = gradtx.probe(mountain_pass, start, 1.0, tx=tx, state=tx.init(start))

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        updates, state = tx.update(jax.grad(mountain_pass)(p), state, p)
        p = gradtx.apply_updates(p, updates)
        return (p, state), p[1]

    ys = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=3000)[1])(start)
    left = int(np.argmax(np.asarray(ys) > 0.5))  # halfway to the least value, where the quadratic still says how far
    assert 0.7 * left < found.lambda_min_steps < 1.5 * left
    assert "at this rate the run is there after" in str(found)


@plain
def test_how_soon_a_run_leaves_is_not_known_where_only_rounding_leads_there():
    at = jnp.array([1.0, 0.0], jnp.float32)
    tx = gradtx.sgd(0.01)
    found = gradtx.probe(mountain_pass, at, 1.0, tx=tx, state=tx.init(at))
    assert found.curvature_sign == "negative"
    assert found.lambda_min_steps is None


def test_a_saddle_that_the_run_leaves_by_itself_is_none():
    report = diagnosed(0.3)
    f, probe = report.features, report.probe
    assert probe.lambda_min_steps > f.steps
    soon = dataclasses.replace(probe, lambda_min_steps=0.5 * f.steps)
    crawl = [dataclasses.replace(x, verdict="crawling") for x in rules(f)]
    for found, word in ((rules(f), "healthy"), (crawl, "crawling")):
        assert sharpen(found, f, probe)[0].verdict == "saddle_plateau"
        assert sharpen(found, f, soon)[0].verdict == word


def test_a_saddle_beside_a_path_that_leads_lower_is_none():
    """Where a longer step the same way gains more than the direction beside it, the steps are short."""
    report = diagnosed(0.3)
    f, probe = report.features, report.probe
    lower = dataclasses.replace(probe, best_fall=1.1 * probe.lambda_min_fall / abs(probe.loss))
    higher = dataclasses.replace(probe, best_fall=0.9 * probe.lambda_min_fall / abs(probe.loss))
    assert sharpen(rules(f), f, higher)[0].verdict == "saddle_plateau"
    assert sharpen(rules(f), f, lower)[0].verdict != "saddle_plateau"


@plain
def test_power_iteration_finds_the_direction_too():
    def loss(p: jax.Array, b: Any) -> jax.Array:
        return jnp.sum(jnp.array([4.0, 3.0, 0.5], jnp.float32) * p**2) - 3.0 * jnp.cos(p[2])

    at = jnp.array([0.1, 0.1, np.pi], jnp.float32)
    few, many = (gradtx.probe(loss, at, None, steps=40, memory=memory) for memory in (1, 1e6))
    assert (few.method, many.method) == ("power", "lanczos")
    assert few.lambda_min_fall == pytest.approx(many.lambda_min_fall, rel=1e-2)


def test_a_noise_floor_is_a_crawl_only_where_steps_drift():
    """A large batch finds a longer step that gains at every floor; the steps themselves must lead there as well."""
    floor = {"one_loss": False, "straight": 3.2, "cos1": 0.0, "cos2": 0.0, "loss_start": 0.98, "loss_last": 0.98}
    f = dataclasses.replace(QUIET, **floor, gained=0.0, certainty=0.0, share=0.0, downhill=1.0)
    longer = {"best_scale": 10.0, "best_fall": 0.03, "loss": 0.96, "sharpness": 0.01, "edge": 1.3}
    probe = dataclasses.replace(diagnosed(0.3).probe, **longer)
    assert sharpen(rules(f), f, probe)[0].verdict == "crawling"
    for change in ({"ucos": 0.63}, {"downhill": -2.4}):
        undone = dataclasses.replace(f, **change)
        assert sharpen(rules(undone), undone, probe)[0].verdict == "noise_floor", change
