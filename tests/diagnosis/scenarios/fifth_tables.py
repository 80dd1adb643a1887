"""Problems of the fifth set that are tables: ratings, matches, facts, failures, visits, prices, choices."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_problems import Points, Problem, fresh


def fifth(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the fifth set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="fifth")


def normal(seed: int, *shape: int, size: float = 1.0) -> np.ndarray:
    """Return normal numbers of this size."""
    return (size * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@functools.cache
def ratings() -> Points:
    """Return 5000 ratings of 50 films by 80 users: user, film, stars."""
    rng = np.random.default_rng(501)
    taste = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 50)) * 0.6
    level = 3.5 + 0.5 * rng.normal(size=(80, 1)) + 0.5 * rng.normal(size=(1, 50))
    user, film = rng.integers(0, 80, 5000), rng.integers(0, 50, 5000)
    stars = (taste + level)[user, film] + 0.4 * rng.normal(size=5000)
    return user.astype(np.int32), film.astype(np.int32), stars.astype(np.float32)


def factors(size: float, mean: float = 3.5) -> Any:
    """Return what makes the vectors and biases of users and films."""
    return lambda: {
        "user": {"vector": normal(502, 80, 4, size=size), "bias": np.zeros(80, np.float32)},
        "film": {"vector": normal(503, 50, 4, size=size), "bias": np.zeros(50, np.float32)},
        "mean": np.float32(mean),
    }


def stars(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of biases and a product of vectors."""
    user, film, given = batch
    u, f = params["user"], params["film"]
    guess = jnp.sum(u["vector"][user] * f["vector"][film], axis=1) + u["bias"][user] + f["bias"][film]
    return jnp.mean(jnp.square(guess + params["mean"] - given))


RATINGS = Problem(factors(0.3), stars, ratings)


@functools.cache
def matches() -> Points:
    """Return 1500 matches of 24 teams: at home, away, and whether the first won."""
    rng = np.random.default_rng(504)
    strength = rng.normal(size=24)
    home = rng.integers(0, 24, 1500)
    away = (home + rng.integers(1, 24, 1500)) % 24
    won = rng.random(1500) < 1 / (1 + np.exp(strength[away] - strength[home] - 0.4))
    return home.astype(np.int32), away.astype(np.int32), won.astype(np.float32)


def bradley_terry(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of the difference of two strengths, with a small penalty."""
    home, away, won = batch
    score = params["strength"][home] - params["strength"][away] + params["home"]
    return jnp.mean(jax.nn.softplus(score) - won * score) + 1e-3 * models.penalty(params)


TEAMS = Problem(lambda: {"strength": np.zeros(24, np.float32), "home": np.float32(0)}, bradley_terry, matches)


@functools.cache
def facts() -> Points:
    """Return 2000 facts on 40 things in a ring: one, how far the other is (4 kinds), the other."""
    rng = np.random.default_rng(505)
    head, kind = rng.integers(0, 40, 2000), rng.integers(0, 4, 2000)
    tail = (head + np.array([1, 5, 11, 20])[kind]) % 40
    tail = np.where(rng.random(2000) < 0.1, rng.integers(0, 40, 2000), tail)
    return head.astype(np.int32), kind.astype(np.int32), tail.astype(np.int32)


def translation(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the other thing, by its distance from the first after a shift."""
    head, kind, tail = batch
    place = params["thing"][head] + params["shift"][kind]
    gap = jnp.sum(jnp.square(place[:, None, :] - params["thing"][None, :, :]), axis=2)
    return models.cross_entropy(-gap, tail)


FACTS = Problem(
    lambda: {"thing": normal(506, 40, 6, size=0.5), "shift": normal(507, 4, 6, size=0.5)}, translation, facts
)


@functools.cache
def failures() -> Points:
    """Return 5 features of 500 machines, how long each ran, and whether it failed."""
    rng = np.random.default_rng(508)
    x = rng.normal(size=(500, 5))
    life = np.exp(1 + x @ rng.normal(size=5) / 2) * rng.weibull(2, 500)
    end = 8 * rng.random(500)
    return x.astype(np.float32), np.minimum(life, end).astype(np.float32), (life < end).astype(np.float32)


def weibull(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of lifetimes that may be cut off."""
    x, time, failed = batch
    shape = jnp.exp(params["log_shape"])
    score = shape * (jnp.log(time) - x @ params["w"] - params["b"])
    return jnp.mean(jnp.exp(score) - failed * (params["log_shape"] + score - jnp.log(time)))


MACHINES = Problem(
    lambda: {"w": np.zeros(5, np.float32), "b": np.float32(0), "log_shape": np.float32(0)}, weibull, failures
)


@functools.cache
def visits() -> Points:
    """Return 7 features of 600 shops, some of them large, and their visitors in a day, about 60."""
    rng = np.random.default_rng(509)
    x = rng.normal(size=(600, 7))
    return x.astype(np.float32), rng.poisson(np.exp(4 + 0.3 * x @ rng.normal(size=7))).astype(np.float32)


def poisson(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of counts but for the factorial: far below 0."""
    x, seen = batch
    score = models.mlp(params, x, jnp.tanh)[:, 0] + 4
    return jnp.mean(jnp.exp(score) - seen * score)


VISITS = Problem(lambda: models.mlp_init((7, 12, 1), 510, 0.5), poisson, visits)


@functools.cache
def houses() -> Points:
    """Return 8 features of 700 houses and their prices in dollars."""
    rng = np.random.default_rng(511)
    x = rng.normal(size=(700, 8))
    price = 3e5 + 8e4 * x @ rng.normal(size=8) / np.sqrt(8) + 3e4 * x[:, 0] * x[:, 1] + 3e4 * rng.normal(size=700)
    return x.astype(np.float32), price.astype(np.float32)


def dollars(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a linear guess, in square dollars."""
    x, price = batch
    return jnp.mean(jnp.square(x @ params["w"] + params["b"] - price))


HOUSES = Problem(lambda: {"w": np.zeros(8, np.float32), "b": np.float32(0)}, dollars, houses)


@functools.cache
def returns() -> Points:
    """Return what 8 shares gained on each of 1000 days."""
    rng = np.random.default_rng(512)
    drift, size = rng.uniform(-2e-4, 1.5e-3, 8), rng.uniform(0.005, 0.03, 8)
    return ((drift + size * (0.5 * rng.normal(size=(1000, 1)) + rng.normal(size=(1000, 8)))).astype(np.float32),)


def growth(params: Any, batch: Any) -> jax.Array:
    """Return minus the mean logarithmic growth of a portfolio, about -5e-4."""
    return -jnp.mean(jnp.log1p(batch[0] @ jax.nn.softmax(params["weight"])))


SHARES = Problem(lambda: {"weight": np.zeros(8, np.float32)}, growth, returns)


@functools.cache
def logged() -> Points:
    """Return 6 features of 1500 visitors, which of 4 offers each was shown at random, and whether it was taken."""
    rng = np.random.default_rng(513)
    x = rng.normal(size=(1500, 6))
    offer = rng.integers(0, 4, 1500)
    liking = 1 / (1 + np.exp(1 - 3 * np.tanh(x @ rng.normal(size=(6, 4)))))
    taken = rng.random(1500) < liking[np.arange(1500), offer]
    return x.astype(np.float32), offer.astype(np.int32), taken.astype(np.float32)


def off_policy(params: Any, batch: Any) -> jax.Array:
    """Return minus the reward of a policy, estimated by weights from the offers that were shown."""
    x, offer, taken = batch
    chance = jax.nn.softmax(models.mlp(params, x, jax.nn.relu))
    shown = jnp.sum(chance * jax.nn.one_hot(offer, 4, dtype=jnp.float32), axis=1)
    return -jnp.mean(4 * shown * taken)


OFFERS = Problem(lambda: models.mlp_init((6, 20, 4), 514), off_policy, logged)


@functools.cache
def demand() -> Points:
    """Return the hour and the day's warmth of 1200 hours, and the power used then."""
    rng = np.random.default_rng(515)
    hour, warm = rng.uniform(-1, 1, 1200), rng.normal(size=1200)
    used = 3 + np.sin(3 * hour) + 0.5 * warm**2 + (0.2 + 0.3 * np.abs(hour)) * rng.standard_t(3, size=1200)
    return np.stack([hour, warm], axis=1).astype(np.float32), used.astype(np.float32)


def quantiles(params: Any, batch: Any) -> jax.Array:
    """Return the pinball loss of three quantiles from one network."""
    x, used = batch
    share = jnp.array([0.1, 0.5, 0.9], jnp.float32)[None, :]
    error = used[:, None] - models.mlp(params, x, jnp.tanh)
    return jnp.mean(jnp.maximum(share * error, (share - 1) * error))


DEMAND = Problem(lambda: models.mlp_init((2, 24, 3), 516, 1.5), quantiles, demand)
