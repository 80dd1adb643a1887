"""Problems of the eighth set that are tables: customers, flats, loans, damages, premiums."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem, fresh


def eighth(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the eighth set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="eighth")


def logistic(score: jax.Array, label: jax.Array) -> jax.Array:
    """Return the mean logistic loss."""
    return jnp.mean(jax.nn.softplus(score) - label * score)


@functools.cache
def customers(year: int = 0) -> Points:
    """Return 8 features of 1600 customers, and whether each left, as one in eight did; habits differ by year."""
    rng = np.random.default_rng(901 + year)
    months, spent, calls = rng.exponential(1, 1600), rng.normal(size=1600), rng.poisson(1.5, 1600)
    x = np.column_stack([months - 1, spent, calls - 1.5, rng.normal(size=(1600, 5))])
    score = -3 - 1.5 * x[:, 0] + 0.9 * x[:, 2] + (1.2 - 1.6 * year) * x[:, 1] + 0.6 * x[:, 3] * x[:, 4]
    left = rng.random(1600) < 1 / (1 + np.exp(-score))
    return x.astype(np.float32), left.astype(np.float32)


def leaving(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of a network of relu units."""
    return logistic(models.mlp(params, batch[0], jax.nn.relu)[:, 0], batch[1])


CUSTOMERS = Problem(lambda: models.mlp_init((8, 24, 12, 1), 903, 1.3), leaving, customers)


def products(x: np.ndarray) -> np.ndarray:
    """Return the columns, their products in pairs, and ones."""
    a, b = np.triu_indices(x.shape[1])
    return np.concatenate([x, x[:, a] * x[:, b] / 2, np.ones((len(x), 1), np.float32)], axis=1).astype(np.float32)


@functools.cache
def scorecard() -> np.ndarray:
    """Return the weights that fit last year's customers, found by Newton's method."""
    x, left = products(customers()[0]).astype(np.float64), customers()[1]
    w = np.zeros(x.shape[1])
    for _ in range(12):
        p = 1 / (1 + np.exp(-x @ w))
        w -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.eye(len(w)), x.T @ (p - left) + w)
    return w.astype(np.float32)


def this_year() -> Points:
    """Return the products of this year's columns, and whether each customer left."""
    x, left = customers(1)
    return products(x), left


SCORECARD = Problem(
    lambda: {"w": scorecard()}, lambda params, batch: logistic(batch[0] @ params["w"], batch[1]), this_year
)


@functools.cache
def flats(unit: float = 1.0) -> Points:
    """Return 6 features of 1200 flats, the district of each, and the price, of mean 3 and deviation 1 units."""
    rng = np.random.default_rng(904)
    x, district = rng.normal(size=(1200, 6)), rng.integers(0, 20, 1200)
    price = 0.5 * rng.normal(size=20)[district] + np.tanh(x[:, 0] + x[:, 1]) + 0.4 * x[:, 2] + 0.3 * x[:, 3] * x[:, 0]
    price = 3 + price + 0.2 * rng.standard_t(3, size=1200)
    return x.astype(np.float32), district.astype(np.int32), (unit * price).astype(np.float32)


def flat_init() -> Any:
    """Return a table of districts and a network."""
    return {"district": normal(905, 20, 3, size=0.3), "net": models.mlp_init((9, 24, 1), 906)}


def price(params: Any, batch: Any) -> jax.Array:
    """Return the price of each flat."""
    x, district, _ = batch
    return models.mlp(params["net"], jnp.concatenate([x, params["district"][district]], axis=1), jax.nn.gelu)[:, 0]


def huber(params: Any, batch: Any) -> jax.Array:
    """Return the Huber loss of the price."""
    gap = jnp.abs(price(params, batch) - batch[2])
    return jnp.mean(jnp.where(gap < 0.5, jnp.square(gap), gap - 0.25))


FLATS = Problem(flat_init, huber, flats)
LEVELS = np.array([6, 5, 8, 4])


@functools.cache
def loans(line: float = 0.7, pairs: float = 0.8) -> Points:
    """Return the kinds in 4 columns of 2000 loans, and whether each was paid late."""
    rng = np.random.default_rng(907)
    kinds = rng.integers(0, LEVELS, (2000, 4)) + np.cumsum([0, *LEVELS[:-1]])
    v = rng.normal(size=(23, 2))[kinds]
    both = np.square(v.sum(1)).sum(1) - np.square(v).sum((1, 2))
    score = -1 + line * rng.normal(size=23)[kinds].sum(1) + pairs * (both / 2 - np.mean(both / 2))
    return kinds.astype(np.int32), (rng.random(2000) < 1 / (1 + np.exp(-score))).astype(np.float32)


def machine_init(size: float) -> Any:
    """Return what makes the weights of kinds, and vectors whose products are weights of pairs."""
    return lambda: {"bias": np.float32(0), "line": np.zeros(23, np.float32), "vector": normal(908, 23, 4, size=size)}


def machine(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of a factorization machine."""
    kinds, late = batch
    v = params["vector"][kinds]
    pairs = jnp.sum(jnp.square(jnp.sum(v, axis=1)), axis=1) - jnp.sum(jnp.square(v), axis=(1, 2))
    return logistic(params["bias"] + jnp.sum(params["line"][kinds], axis=1) + 0.5 * pairs, late)


LOANS = Problem(machine_init(0.3), machine, loans)


@functools.cache
def damages() -> Points:
    """Return 6 features of 900 accidents, and the damage in millions, about a twentieth."""
    rng = np.random.default_rng(909)
    x = rng.normal(size=(900, 6))
    mean = np.exp(-3 + 0.4 * x @ rng.normal(size=6) + 0.4 * np.sin(2 * x[:, 0]))
    return x.astype(np.float32), (mean * rng.gamma(2, 0.5, 900)).astype(np.float32)


def gamma(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of the damage, of the gamma law, but for constants: below 0 in the end."""
    score = models.mlp(params, batch[0], jnp.tanh)[:, 0]
    return jnp.mean(batch[1] * jnp.exp(-score) + score)


DAMAGES = Problem(lambda: models.mlp_init((6, 16, 1), 910, 0.7), gamma, damages)


@functools.cache
def premiums() -> Points:
    """Return 5 features of 1500 policies and what each cost in a year: nothing, of three in four."""
    rng = np.random.default_rng(911)
    x = rng.normal(size=(1500, 5))
    cost = rng.gamma(2, 1.0, 1500) * (rng.random(1500) < 0.25) * np.exp(0.5 * x @ rng.normal(size=5))
    return x.astype(np.float32), cost.astype(np.float32)


def tweedie(params: Any, batch: Any) -> jax.Array:
    """Return the deviance of costs many of which are 0, of power 1.5."""
    half = 0.5 * models.mlp(params, batch[0], jax.nn.silu)[:, 0]
    return jnp.mean(2 * batch[1] * jnp.exp(-half) + 2 * jnp.exp(half))


PREMIUMS = Problem(lambda: models.mlp_init((5, 16, 1), 912), tweedie, premiums)
