"""The problems of the third set of runs: their points, models and losses; none of them is in the other two sets."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import data, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.proofs import Proof

Points = tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is learnt: a start, a loss, and the points that batches are drawn from."""

    init: Callable[[], Any]
    loss: Callable[[Any, Any], jax.Array]
    points: Callable[[], Points]


def fresh(
    name: str, cause: str, problem: Problem, size: int, steps: int, make_tx: Any, proof: Proof, **fields: Any
) -> Scenario:
    """Return a scenario of the third set; size 0 is full batch."""
    batch = data.minibatches(problem.points(), size, seed=7) if size else data.always(problem.points())
    shared = {"init": problem.init, "loss": problem.loss, "batch": batch, "big_batch": problem.points}
    return Scenario(
        name=name,
        cause=cause,
        half="fresh",
        make_tx=make_tx,
        steps=steps,
        proof=proof,
        full_batch=not size,
        **{**shared, **fields},
    )


@functools.cache
def spirals(samples: int = 600, blur: float = 0.05, flipped: float = 0.0) -> Points:
    """Return points on two arms of a spiral, and which arm; a share of the labels is drawn at random."""
    rng = np.random.default_rng(101)
    labels, t = rng.integers(0, 2, samples), rng.uniform(0.3, 2.4, samples)
    angle = 2.2 * t + np.pi * labels
    x = np.stack([t * np.cos(angle), t * np.sin(angle)], axis=1) + blur * rng.normal(size=(samples, 2))
    labels = np.where(rng.random(samples) < flipped, rng.integers(0, 2, samples), labels)
    return x.astype(np.float32), labels.astype(np.int32)


def arms(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a network of gelu units."""
    return models.cross_entropy(models.mlp(params, batch[0], jax.nn.gelu), batch[1])


SPIRALS = Problem(lambda: models.mlp_init((2, 32, 32, 2), 102, 1.5), arms, spirals)


@functools.cache
def moons() -> Points:
    """Return 1024 points on two half moons, a few hundredths in size, so that log densities are above 0."""
    rng = np.random.default_rng(103)
    t, side = rng.uniform(0, np.pi, 1024), rng.integers(0, 2, 1024)
    x = np.stack([np.cos(t) * (1 - 2 * side) + side, np.sin(t) * (1 - 2 * side) + 0.5 * side], axis=1)
    return ((0.15 * (x + 0.08 * rng.normal(size=x.shape))).astype(np.float32),)


def flow_init() -> Any:
    """Return three coupling layers, all near the identity."""
    return {f"coupling{i}": models.mlp_init((1, 16, 2), 104 + i, 0.5) for i in range(3)}


def flow(params: Any, batch: Any) -> jax.Array:
    """Return the negative log density of points under a flow of coupling layers."""
    (x,) = batch
    a, b, log_volume = x[:, :1], x[:, 1:], jnp.zeros_like(x[:, :1])
    for name in sorted(params):
        out = models.mlp(params[name], 5 * a, jnp.tanh)
        scale = 3 * jnp.tanh(out[:, :1])
        a, b = b * jnp.exp(scale) + out[:, 1:], a
        log_volume = log_volume + scale
    return jnp.mean(0.5 * (jnp.square(a) + jnp.square(b)) - log_volume) + np.float32(np.log(2 * np.pi))


FLOW = Problem(flow_init, flow, moons)


@functools.cache
def ratings(noise: float = 0.1) -> Points:
    """Return row, column and value of all entries of a noisy 40 x 30 matrix of rank 3, in random order."""
    rng = np.random.default_rng(107)
    table = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 30)) + noise * rng.normal(size=(40, 30))
    order = rng.permutation(table.size)
    rows, columns = np.divmod(order, 30)
    return rows.astype(np.int32), columns.astype(np.int32), table.reshape(-1)[order].astype(np.float32)


def factors(size: float) -> Callable[[], Any]:
    """Return what makes the two factors, with entries of this size."""

    def init() -> Any:
        rng = np.random.default_rng(108)
        draw = lambda n: (size * rng.normal(size=(n, 3))).astype(np.float32)  # noqa: E731
        return {"rows": draw(40), "columns": draw(30)}

    return init


def completion(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of the entries."""
    rows, columns, values = batch
    return models.squared(jnp.sum(params["rows"][rows] * params["columns"][columns], axis=1), values)


RATINGS = Problem(factors(0.5), completion, ratings)


@functools.cache
def waves() -> Points:
    """Return 512 series of 17 values, a sum of two sines of random phase, with a little noise."""
    rng = np.random.default_rng(109)
    phase, t = rng.uniform(0, 2 * np.pi, (2, 512, 1)), np.arange(17)[None, :]
    x = np.sin(0.6 * t + phase[0]) + 0.5 * np.sin(1.7 * t + phase[1]) + 0.05 * rng.normal(size=(512, 17))
    return (x.astype(np.float32),)


def gru_init() -> Any:
    """Return a gated recurrent cell of 12 units and its read-out."""
    rng = np.random.default_rng(110)
    gates = {name: models.dense(rng, 13, 12) for name in ("reset", "update", "candidate")}
    return {**gates, "out": models.dense(rng, 12, 1)}


def states(params: Any, x: jax.Array) -> jax.Array:
    """Return the states of the cell after each value of the series: (time, series, unit)."""

    def cell(h: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        seen = jnp.concatenate([h, value[:, None]], axis=1)
        r, z = (jax.nn.sigmoid(models.affine(params[name], seen)) for name in ("reset", "update"))
        new = jnp.tanh(models.affine(params["candidate"], jnp.concatenate([r * h, value[:, None]], axis=1)))
        h = z * h + (1 - z) * new
        return h, h

    return jax.lax.scan(cell, jnp.zeros((x.shape[0], 12), jnp.float32), x.T)[1]


def forecast(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of each next value."""
    (x,) = batch
    out = states(params, x[:, :-1]) @ params["out"]["w"] + params["out"]["b"][None, None, :]
    return models.squared(out[:, :, 0].T, x[:, 1:])


WAVES = Problem(gru_init, forecast, waves)


@functools.cache
def pairs(noise: float = 0.3) -> Points:
    """Return two views, of 12 numbers each, of 1024 hidden things of 4 numbers."""
    rng = np.random.default_rng(111)
    z = rng.normal(size=(1024, 4))
    one, two = (np.tanh(z @ rng.normal(size=(4, 12))) + noise * rng.normal(size=(1024, 12)) for _ in range(2))
    return one.astype(np.float32), two.astype(np.float32)


def towers() -> Any:
    """Return an encoder for each view."""
    return {name: models.mlp_init((12, 24, 6), seed) for name, seed in (("left", 112), ("right", 113))}


def contrast(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of finding the other view of each thing in the batch."""
    a, b = (models.mlp(params[name], x, jax.nn.relu) for name, x in zip(("left", "right"), batch, strict=True))
    a, b = (x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=1, keepdims=True) + 1e-6) for x in (a, b))
    return models.cross_entropy(5 * a @ b.T, jnp.arange(a.shape[0]))


PAIRS = Problem(towers, contrast, lambda: tuple(x[:256] for x in pairs()))


@functools.cache
def bandit() -> Points:
    """Return contexts, the reward of each of 5 arms, and the randomness of the choice."""
    rng = np.random.default_rng(114)
    x = rng.normal(size=(2048, 6))
    rewards = np.tanh(x @ rng.normal(size=(6, 5))) + 0.3 * rng.normal(size=(2048, 5))
    return x.astype(np.float32), rewards.astype(np.float32), rng.gumbel(size=(2048, 5)).astype(np.float32)


def policy(params: Any, batch: Any) -> jax.Array:
    """Return the surrogate of the policy gradient, less a baseline: its value says nothing, its gradient all."""
    x, rewards, gumbel = batch
    scores = models.mlp(params, x, jnp.tanh)
    taken = jax.nn.one_hot(jnp.argmax(jax.lax.stop_gradient(scores) + gumbel, axis=1), 5, dtype=jnp.float32)
    reward = jnp.sum(taken * rewards, axis=1)
    return -jnp.mean((reward - jnp.mean(reward)) * jnp.sum(taken * jax.nn.log_softmax(scores), axis=1))


def regret(params: Any, batch: Any) -> jax.Array:
    """Return minus the expected reward."""
    x, rewards, _ = batch
    return -jnp.mean(jnp.sum(jax.nn.softmax(models.mlp(params, x, jnp.tanh)) * rewards, axis=1))


BANDIT = Problem(lambda: models.mlp_init((6, 16, 5), 115, 0.5), policy, bandit)
