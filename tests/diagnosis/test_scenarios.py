"""Each scenario has the cause that it is labelled with."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.diagnosis.scenarios import CAUSES, HALVES, SCENARIOS, Scenario, run_scenario

by_name = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)

FIRST = {scenario.cause: scenario for scenario in reversed(SCENARIOS)}  # one of each cause; the rest takes an hour


@pytest.mark.share(4)
@pytest.mark.parametrize(
    "scenario",
    [pytest.param(s, id=s.name, marks=() if s in FIRST.values() else pytest.mark.exhaustive) for s in SCENARIOS],
)
def test_the_cause_is_proved(scenario: Scenario):
    scenario.proof(run_scenario(scenario))


@pytest.mark.share(8)
@by_name
def test_the_loss_is_strict_about_dtypes(scenario: Scenario):
    with jax.enable_x64(False):
        params, batch = jax.eval_shape(scenario.init), jax.eval_shape(scenario.batch, jnp.int32(0))
        value, grads = jax.eval_shape(jax.value_and_grad(scenario.loss), params, batch)
    assert value.shape == ()
    assert value.dtype == np.float32
    assert jax.tree.map(lambda x: x.dtype, grads) == jax.tree.map(lambda x: x.dtype, params)
    assert sum(x.size for x in jax.tree.leaves(params)) <= 20_000


def test_a_run_repeats_to_the_last_bit():
    scenario = next(s for s in SCENARIOS if s.name == "relu_adam")
    first, second = (run_scenario(scenario, steps=50).losses for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_suite_covers_every_cause_in_each_set():
    assert len({s.name for s in SCENARIOS}) == len(SCENARIOS) >= 100
    halves = {half: collections.Counter(s.cause for s in SCENARIOS if s.half == half) for half in HALVES}
    for half, causes in halves.items():
        assert set(causes) == set(CAUSES), half
        assert causes.total() >= 50
    assert min((halves["tune"] + halves["held"]).values()) >= 3
    for half in HALVES[2:]:
        assert halves[half]["healthy"] >= 0.2 * halves[half].total()


def test_the_words_are_verdicts():
    for scenario in SCENARIOS:
        assert set(scenario.answers) <= set(CAUSES)
        assert scenario.cause not in scenario.also
        assert 40 <= scenario.steps <= 3000
