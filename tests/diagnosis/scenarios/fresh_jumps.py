"""Runs of the third set that are thrown at one step, or whose loss has no floor."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import gradtx
from tests.diagnosis.scenarios import counterfactuals, data, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_faults import cleaned, scaled_at
from tests.diagnosis.scenarios.fresh_models import COUNTS
from tests.diagnosis.scenarios.fresh_problems import BANDIT, PAIRS, SPIRALS, WAVES, Problem, fresh
from tests.diagnosis.scenarios.fresh_proofs import lost
from tests.diagnosis.scenarios.rates import adam, sgd

JUMP = 240  # the step at which runs are thrown


def steps_thrown(make_tx: Any, rate: float, times: float) -> Any:
    """Return the factory of a transform whose rate is far too large for three steps, as after a bad resumption."""

    def make(factor: float = 1.0) -> Any:
        def eta(count: Any) -> jax.Array:
            return factor * rate * jnp.where((count >= JUMP) & (count < JUMP + 3), jnp.float32(times), jnp.float32(1))

        return make_tx(eta)

    return make


def calm(make: Any) -> Callable[[Scenario], Scenario]:
    """Return what gives a scenario another transform."""
    return lambda scenario: dataclasses.replace(scenario, make_tx=make)


def relu_waves(params: Any, batch: Any) -> jax.Array:
    """Return the loss of telling the last value of a series from those before, by relu units."""
    (x,) = batch
    return models.squared(models.mlp(params, x[:, :-1], jax.nn.relu)[:, 0], x[:, -1])


RELU_WAVES = Problem(lambda: models.mlp_init((16, 24, 24, 1), 171), relu_waves, WAVES.points)


def critic(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a critic of real and made points with nothing to bound it."""
    x, kind = batch
    score = models.mlp(params, x, jax.nn.relu)[:, 0]
    return jnp.mean(jnp.where(kind == 0, score, -score))


CRITIC = Problem(lambda: models.mlp_init((2, 24, 24, 1), 172, 1.4), critic, SPIRALS.points)


def punished(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a policy learnt from a record in which all rewards are below 0: chances go to 0 for ever."""
    x, rewards, gumbel = batch
    taken = jax.nn.one_hot(jnp.argmax(gumbel, axis=1), 5, dtype=jnp.float32)
    reward = jnp.sum(taken * rewards, axis=1) - 2
    return -jnp.mean(reward * jnp.sum(taken * jax.nn.log_softmax(models.mlp(params, x, jnp.tanh)), axis=1))


def hinge_forgotten(params: Any, batch: Any) -> jax.Array:
    """Return how much nearer each thing is to its own other view than to the next one's: no margin bounds it."""
    a, b = (models.mlp(params[name], x, jax.nn.relu) for name, x in zip(("left", "right"), batch, strict=True))
    return jnp.mean(jnp.square(a - b)) - jnp.mean(jnp.square(a - jnp.roll(b, 1, axis=0)))


SCENARIOS: list[Scenario] = [
    fresh(
        "fresh_waves_a_bad_batch",
        "collapsed",
        RELU_WAVES,
        16,
        600,
        sgd(0.03),
        counterfactuals.thrown(JUMP, cleaned(data.minibatches(WAVES.points(), 16, seed=7))),
        batch=scaled_at(WAVES.points, 16, 30.0, JUMP),
    ),
    fresh(
        "fresh_gru_bad_resumption",
        "collapsed",
        WAVES,
        16,
        600,
        steps_thrown(gradtx.adam, 0.003, 1000.0),
        lost(JUMP, calm(adam(0.003))),
    ),
    fresh(
        "fresh_counts_bad_resumption",
        "collapsed",
        COUNTS,
        32,
        600,
        steps_thrown(gradtx.sgd, 0.0005, 300.0),
        lost(JUMP, calm(sgd(0.0005))),
    ),
    fresh("fresh_critic", "unbounded", CRITIC, 32, 300, adam(0.001), counterfactuals.bottomless(), tellable=False),
    fresh(
        "fresh_punished",
        "unbounded",
        Problem(BANDIT.init, punished, BANDIT.points),
        32,
        400,
        adam(0.002),
        counterfactuals.bottomless(),
        tellable=False,
    ),
    fresh(
        "fresh_hinge_forgotten",
        "unbounded",
        Problem(PAIRS.init, hinge_forgotten, PAIRS.points),
        32,
        300,
        lambda f=1.0: gradtx.adamw(f * 0.002),
        counterfactuals.bottomless(),
        tellable=False,
    ),
]
