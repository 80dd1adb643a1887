"""Problems of the sixth set about people: wages, policies of moves, markets, shops."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def wages() -> Points:
    """Return age, income and so on of 800 people as they are, the same standardized, and what each spends."""
    rng = np.random.default_rng(621)
    z = rng.uniform(-1.7, 1.7, (800, 4))
    raw = z * np.array([13, 2e4, 600, 25]) + np.array([42, 5e4, 1500, 50])
    spent = 0.3 * z[:, 0] + np.sin(2 * z[:, 1]) + z[:, 1] * z[:, 2] + 0.2 * rng.normal(size=800)
    return raw.astype(np.float32), z.astype(np.float32), spent.astype(np.float32)


def wide_and_deep(standardized: bool) -> Any:
    """Return the loss of a line and a network, of which the line alone, or both, see standardized columns."""

    def loss(params: Any, batch: Any) -> jax.Array:
        raw, z, spent = batch
        net = {name: part for name, part in params.items() if name != "wide"}
        deep = models.mlp(net, z if standardized else raw, jnp.tanh)[:, 0]
        return models.squared(deep + z @ params["wide"], spent)

    return loss


WAGES = Problem(
    lambda: {**models.mlp_init((4, 16, 8, 1), 622), "wide": np.zeros(4, np.float32)}, wide_and_deep(False), wages
)


@functools.cache
def games() -> Points:
    """Return 1500 places and what each of 4 moves costs there, 0 to 1."""
    rng = np.random.default_rng(623)
    x = rng.normal(size=(1500, 6))
    cost = 1 / (1 + np.exp(-2 * x @ rng.normal(size=(6, 4)) / np.sqrt(6) - rng.normal(size=(1, 4))))
    return x.astype(np.float32), cost.astype(np.float32)


def expected_cost(params: Any, batch: Any) -> jax.Array:
    """Return the mean cost of moves drawn by a policy."""
    x, cost = batch
    return jnp.mean(jnp.sum(jax.nn.softmax(models.mlp(params, x, jnp.tanh)) * cost, axis=1))


GAMES = Problem(lambda: models.mlp_init((6, 16, 4), 624), expected_cost, games)


@functools.cache
def market(memory: float = 0.0) -> Points:
    """Return 6 daily returns before each of 4000 days, and whether prices rose; `memory` is how much they tell."""
    rng = np.random.default_rng(625)
    past = rng.standard_t(4, size=(4000, 6))
    rose = memory * past @ np.array([1, 0.5, 0.25, 0.1, 0, 0]) + rng.logistic(size=4000) > 0
    return past.astype(np.float32), rose.astype(np.int32)


MARKET = Problem(lambda: models.mlp_init((6, 12, 2), 626, 0.5), models.classify(jax.nn.gelu), market)


@functools.cache
def tills() -> Points:
    """Return 6 features of 900 hours of a shop and how many customers came, about 2 an hour."""
    rng = np.random.default_rng(627)
    x = rng.normal(size=(900, 6))
    return x.astype(np.float32), rng.poisson(np.exp(0.6 + 0.5 * x @ rng.normal(size=6) / 2)).astype(np.float32)


def customers(rate: Any) -> Any:
    """Return the negative log likelihood of counts whose mean is a function of a score."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, seen = batch
        mean = rate(models.mlp(params, x, jax.nn.gelu)[:, 0] + 2)
        return jnp.mean(mean - seen * jnp.log(mean))

    return loss


TILLS = Problem(lambda: models.mlp_init((6, 10, 1), 628, 0.3), customers(jax.nn.softplus), tills)


@functools.cache
def surveys() -> Points:
    """Return 8 features of 1200 people, which of 3 parties each likes, and whether that is known, as of a quarter."""
    rng = np.random.default_rng(629)
    x = rng.normal(size=(1200, 8))
    party = np.argmax(2 * x @ rng.normal(size=(8, 3)) / np.sqrt(8) + rng.gumbel(size=(1200, 3)), axis=1)
    return x.astype(np.float32), party.astype(np.int32), (rng.random(1200) < 0.28).astype(np.float32)


def known_alone(least: float) -> Any:
    """Return the mean cross-entropy of those whose party is known, by their number or `least`."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, party, known = batch
        log = jax.nn.log_softmax(models.mlp(params, x, jnp.tanh))
        each = -jnp.sum(log * jax.nn.one_hot(party, 3, dtype=jnp.float32), axis=1)
        return jnp.sum(known * each) / jnp.maximum(jnp.sum(known), least)

    return loss


SURVEYS = Problem(lambda: models.mlp_init((8, 12, 3), 630), known_alone(0.0), surveys)


@functools.cache
def scaled() -> Points:
    """Return 500 points and the outputs of a fixed network whose 40 units have scales between 0.4 and 1.8."""
    rng = np.random.default_rng(631)
    x = rng.normal(size=(500, 8)).astype(np.float32)
    return x, np.asarray(spread(x) @ (HEAD * rng.uniform(0.4, 1.8, 40).astype(np.float32)))


INTO, HEAD = normal(632, 8, 40, size=0.4), normal(633, 40, size=0.5)


def spread(x: Any) -> Any:
    """Return the 40 units of a network that is not trained."""
    return (np if isinstance(x, np.ndarray) else jnp).maximum(x @ INTO, 0)


def scales_alone(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a network of which the scales alone are trained, in float32."""
    x, y = batch
    return models.squared(spread(x) @ (HEAD * params["scale"].astype(jnp.float32)), y)


ADAPTER = Problem(lambda: {"scale": jnp.ones(40, jnp.bfloat16)}, scales_alone, scaled)
