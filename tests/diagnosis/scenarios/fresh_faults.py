"""Runs of the third set whose fault is in the loss or the data: NaN, or nothing to be learnt."""

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
from tests.diagnosis.scenarios.fresh_problems import PAIRS, SPIRALS, Problem, fresh
from tests.diagnosis.scenarios.rates import adam, sgd


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


def scaled_at(points: Callable[[], Any], size: int, factor: float, step: int) -> Callable[[Any], Any]:
    """Return minibatches, one of which is `factor` times too large."""
    clean = data.minibatches(points(), size, seed=7)

    def batch(count: Any) -> Any:
        x, *rest = clean(count)
        return (jnp.where(count == step, jnp.float32(factor), jnp.float32(1)) * x, *rest)

    return batch


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
        "fresh_signals_mixed_up",
        "at_chance",
        EVEN,
        32,
        500,
        sgd(0.02, momentum=0.9),
        counterfactuals.guessing(3, cleaned(data.minibatches(evenly(), 32, seed=7)), drop=0.2),
        batch=others(evenly, 32),
    ),
]
