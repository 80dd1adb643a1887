"""Runs of the third set whose fault is in the loss or the data: NaN, chance, a throw, a loss without a floor."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import counterfactuals, data, fresh_models, fresh_problems, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_models import BAGS
from tests.diagnosis.scenarios.fresh_problems import BANDIT, PAIRS, SPIRALS, WAVES, Problem, fresh
from tests.diagnosis.scenarios.fresh_proofs import lost
from tests.diagnosis.scenarios.fresh_standing import COUNTS
from tests.diagnosis.scenarios.rates import adam, sgd

JUMP = 240  # the step at which runs are thrown


def log_of_softmax(safe: bool) -> Any:
    """Return the loss of spirals from log(softmax), which is minus infinity once a chance is below the least number."""

    def loss(params: Any, batch: Any) -> jax.Array:
        scores = models.mlp(params, batch[0], jax.nn.gelu)
        log = jax.nn.log_softmax(scores) if safe else jnp.log(jax.nn.softmax(scores))
        return -jnp.mean(jnp.sum(jax.nn.one_hot(batch[1], 2, dtype=jnp.float32) * log, axis=1))

    return loss


def safe_softmax(scenario: Scenario) -> Scenario:
    """Return the scenario with log_softmax."""
    return dataclasses.replace(scenario, loss=log_of_softmax(safe=True))


def with_one_far(step: int, size: int) -> Callable[[Any], Any]:
    """Return minibatches of spirals, one of which has a point 1000 times as far away, with the wrong label."""
    clean = data.minibatches(fresh_problems.spirals(), size, seed=7)

    def batch(count: Any) -> Any:
        x, labels = clean(count)
        far = (count == step) & (jnp.arange(size) == 5)
        return jnp.where(far[:, None], 1000 * x, x), jnp.where(far, 1 - labels, labels)

    return batch


def gaps(params: Any, batch: Any) -> jax.Array:
    """Return how far the two views are apart: the root has no derivative where they meet."""
    a, b = (x @ params[name] for name, x in zip(("left", "right"), batch, strict=True))
    return jnp.mean(jnp.sqrt(jnp.sum(jnp.square(a - b), axis=1))) + jnp.square(jnp.mean(jnp.square(a)) - 1)


def blank_pair(step: int, size: int) -> Callable[[Any], Any]:
    """Return minibatches, one of which has a thing whose views are both all 0."""
    clean = data.minibatches(PAIRS.points(), size, seed=7)

    def batch(count: Any) -> Any:
        gone = ((count == step) & (jnp.arange(size) == 2))[:, None]
        return tuple(jnp.where(gone, 0, x) for x in clean(count))

    return batch


def half_signals() -> Any:
    """Return the convolutional net in float16, whose largest number is 65504."""
    return jax.tree.map(lambda x: x.astype(np.float16), fresh_models.conv1d_init())


def cleaned(batch: Callable[[Any], Any]) -> Callable[[Scenario], Scenario]:
    """Return what gives a scenario these batches."""
    return lambda scenario: dataclasses.replace(scenario, batch=batch)


def others(points: Callable[[], Any], size: int) -> Callable[[Any], Any]:
    """Return minibatches whose second part belongs to other rows."""
    one, other = data.minibatches(points(), size, seed=7), data.minibatches(points(), size, seed=8)
    return lambda count: (one(count)[0], *other(count)[1:])


def evenly() -> fresh_problems.Points:
    """Return as many signals of each kind."""
    x, kind = fresh_models.signals()
    rows = np.concatenate([np.flatnonzero(kind == k)[:180] for k in range(3)])
    return x[rows], kind[rows]


EVEN = Problem(fresh_models.conv1d_init, fresh_models.waveform, evenly)


def scaled_at(points: Callable[[], Any], size: int, factor: float, step: int = JUMP) -> Callable[[Any], Any]:
    """Return minibatches, one of which is `factor` times too large."""
    clean = data.minibatches(points(), size, seed=7)

    def batch(count: Any) -> Any:
        x, *rest = clean(count)
        return (jnp.where(count == step, jnp.float32(factor), jnp.float32(1)) * x, *rest)

    return batch


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
        "fresh_log_of_softmax",
        "non_finite",
        Problem(SPIRALS.init, log_of_softmax(safe=False), SPIRALS.points),
        16,
        400,
        adam(0.002),
        proofs.clean_but_for_a_step(safe_softmax),
        batch=with_one_far(180, 16),
    ),
    fresh(
        "fresh_root_of_nothing",
        "non_finite",
        Problem(
            lambda: {
                "left": models.mlp_init((12, 4), 173)["layer0"]["w"],
                "right": models.mlp_init((12, 4), 174)["layer0"]["w"],
            },
            gaps,
            PAIRS.points,
        ),
        16,
        300,
        sgd(0.01),
        proofs.clean_but_for_a_step(cleaned(data.minibatches(PAIRS.points(), 16, seed=7))),
        batch=blank_pair(150, 16),
    ),
    fresh(
        "fresh_signals_float16_overflow",
        "non_finite",
        Problem(half_signals, fresh_models.waveform, fresh_models.signals),
        24,
        300,
        lambda f=1.0: gradtx.adamw(f * 0.002, eps=1e-4),
        proofs.clean_but_for_a_step(cleaned(data.minibatches(fresh_models.signals(), 24, seed=7))),
        batch=scaled_at(fresh_models.signals, 24, 1e6, step=130),
    ),
    fresh(
        "fresh_pairs_mixed_up",
        "at_chance",
        PAIRS,
        32,
        500,
        lambda f=1.0: gradtx.adamw(f * 5e-4),
        counterfactuals.guessing(32, cleaned(data.minibatches(PAIRS.points(), 32, seed=7)), drop=0.2),
        batch=others(PAIRS.points, 32),
    ),
    fresh(
        "fresh_bags_mixed_up",
        "at_chance",
        BAGS,
        32,
        600,
        lambda f=1.0: gradtx.yogi(f * 0.003),
        counterfactuals.guessing(2, cleaned(data.minibatches(BAGS.points(), 32, seed=7)), drop=0.2),
        batch=others(BAGS.points, 32),
    ),
    fresh(
        "fresh_signals_mixed_up",
        "at_chance",
        EVEN,
        32,
        500,
        sgd(0.02, momentum=0.9),
        counterfactuals.guessing(3, cleaned(data.minibatches(evenly(), 32, seed=7)), drop=0.2),
        batch=others(evenly, 32),
    ),
    fresh(
        "fresh_waves_a_bad_batch",
        "collapsed",
        RELU_WAVES,
        16,
        600,
        sgd(0.03),
        counterfactuals.thrown(JUMP, cleaned(data.minibatches(WAVES.points(), 16, seed=7))),
        batch=scaled_at(WAVES.points, 16, 30.0),
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
