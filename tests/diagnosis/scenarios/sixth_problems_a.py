"""Problems of the sixth set that are tables: wines, claims, loans, clicks, topics, words, a market."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem, fresh


def sixth(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the sixth set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="sixth")


@functools.cache
def wines() -> Points:
    """Return 7 features of 600 wines and the mark of each, from 0 to 4."""
    rng = np.random.default_rng(601)
    x = rng.normal(size=(600, 7))
    taste = x @ rng.normal(size=7) * 0.8 + rng.logistic(size=600)
    return x.astype(np.float32), np.digitize(taste, [-2.2, -0.7, 0.8, 2.4]).astype(np.int32)


def marks(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of marks whose order counts: one score, four cuts."""
    x, mark = batch
    cuts = params["first"] + jnp.concatenate([jnp.zeros(1, jnp.float32), jnp.cumsum(jnp.exp(params["gaps"]))])
    below = jax.nn.sigmoid(cuts[None, :] - (x @ params["w"])[:, None])
    edge = jnp.ones((x.shape[0], 1), jnp.float32)
    chance = jnp.diff(jnp.concatenate([0 * edge, below, edge], axis=1), axis=1)
    return -jnp.mean(jnp.log(jnp.sum(chance * jax.nn.one_hot(mark, 5, dtype=jnp.float32), axis=1) + 1e-6))


WINES = Problem(
    lambda: {"w": np.zeros(7, np.float32), "first": np.float32(-1), "gaps": np.zeros(3, np.float32)}, marks, wines
)


@functools.cache
def claims() -> Points:
    """Return 6 features of 500 accidents and what each cost."""
    rng = np.random.default_rng(602)
    x = rng.normal(size=(500, 6))
    cost = np.exp(1 + 0.3 * x @ rng.normal(size=6)) * rng.gamma(2, 0.5, 500)
    return x.astype(np.float32), cost.astype(np.float32)


def gamma(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of costs with a constant relative spread, but for a constant."""
    x, cost = batch
    score = x @ params["w"] + params["b"]
    return jnp.mean(cost * jnp.exp(-score) + score)


CLAIMS = Problem(lambda: {"w": np.zeros(6, np.float32), "b": np.float32(0)}, gamma, claims)


@functools.cache
def loans() -> Points:
    """Return age, income in thousands, share of debt and number of cards of 800 people, and who did not pay."""
    rng = np.random.default_rng(603)
    age, income = rng.uniform(20, 70, 800), rng.lognormal(3.8, 0.5, 800)
    debt, cards = rng.random(800), rng.integers(0, 7, 800)
    score = 4 * (debt - 0.5) + 0.5 * (cards - 3) - 0.03 * (age - 45) - 0.02 * (income - 50)
    failed = rng.random(800) < 1 / (1 + np.exp(-score))
    return np.stack([age, income, debt, cards], axis=1).astype(np.float32), failed.astype(np.float32)


def failing(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of a linear score of the features as they are."""
    x, failed = batch
    score = x @ params["w"] + params["b"]
    return jnp.mean(jax.nn.softplus(score) - failed * score)


LOANS = Problem(lambda: {"w": np.zeros(4, np.float32), "b": np.float32(0)}, failing, loans)

FIELDS = (30, 20, 12, 7)


@functools.cache
def clicks() -> Points:
    """Return 4000 visits, each a value of 4 fields, as rows of one table, and whether there was a click."""
    rng = np.random.default_rng(604)
    rows = np.stack([rng.integers(0, n, 4000) for n in FIELDS], axis=1) + np.cumsum((0, *FIELDS[:-1]))[None, :]
    vector, alone = rng.normal(size=(69, 3)), 0.4 * rng.normal(size=69)
    seen = vector[rows]
    pairs = 0.5 * (seen.sum(1) ** 2 - (seen**2).sum(1)).sum(1)
    clicked = rng.random(4000) < 1 / (1 + np.exp(1 - alone[rows].sum(1) - 0.5 * pairs))
    return rows.astype(np.int32), clicked.astype(np.float32)


def machine(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of a factorization machine: each value alone, and each pair."""
    rows, clicked = batch
    seen = params["vector"][rows]
    pairs = 0.5 * jnp.sum(jnp.square(jnp.sum(seen, axis=1)) - jnp.sum(jnp.square(seen), axis=1), axis=1)
    score = params["bias"] + jnp.sum(params["alone"][rows], axis=1) + pairs
    return jnp.mean(jax.nn.softplus(score) - clicked * score)


CLICKS = Problem(
    lambda: {"bias": np.float32(0), "alone": np.zeros(69, np.float32), "vector": normal(605, 69, 5, size=0.2)},
    machine,
    clicks,
)


@functools.cache
def texts() -> Points:
    """Return 6000 words of 50 texts, each text a mixture of 4 topics over 40 words: the text and the word."""
    rng = np.random.default_rng(606)
    share, topic = rng.dirichlet(np.full(4, 0.3), 50), rng.dirichlet(np.full(40, 0.15), 4)
    text = rng.integers(0, 50, 6000)
    word = [rng.choice(40, p=p / p.sum()) for p in (share @ topic)[text]]
    return text.astype(np.int32), np.array(word, np.int32)


def topics(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of words under topics."""
    text, word = batch
    share, topic = jax.nn.softmax(params["share"], axis=1), jax.nn.softmax(params["topic"], axis=1)
    return -jnp.mean(jnp.log(jnp.sum(share[text] * topic.T[word], axis=1)))


TOPICS = Problem(lambda: {"share": normal(607, 50, 4, size=0.5), "topic": normal(608, 4, 40, size=0.5)}, topics, texts)


@functools.cache
def together() -> Points:
    """Return all pairs of 30 words, the logarithm of how often they stand together, and the pair's weight."""
    rng = np.random.default_rng(609)
    i, j = np.divmod(np.arange(900), 30)
    v = rng.normal(size=(30, 3))
    often = 2 + (v @ v.T)[i, j] + 0.5 * rng.normal(size=30)[i] + 0.5 * rng.normal(size=30)[j]
    often = often + 0.2 * rng.normal(size=900)
    return (
        i.astype(np.int32),
        j.astype(np.int32),
        often.astype(np.float32),
        np.exp(np.minimum(often - 3, 0) / 2).astype(np.float32),
    )


def vectors(params: Any, batch: Any) -> jax.Array:
    """Return the weighted mean squared error of the logarithm by a product of vectors and two biases."""
    i, j, often, weight = batch
    word, near = params["word"], params["near"]
    guess = jnp.sum(word["v"][i] * near["v"][j], axis=1) + word["b"][i] + near["b"][j]
    return jnp.mean(weight * jnp.square(guess - often))


def part(seed: int) -> Any:
    """Return 30 vectors of 5 and as many biases."""
    return {"v": normal(seed, 30, 5, size=0.3), "b": np.zeros(30, np.float32)}


TOGETHER = Problem(lambda: {"word": part(610), "near": part(611)}, vectors, together)


@functools.cache
def market() -> Points:
    """Return what a share gained on each of 600 days, in percent: calm and wild days come in rows."""
    rng = np.random.default_rng(612)
    gains, variance = [], 1.0
    for _ in range(600):
        gains.append(np.sqrt(variance) * rng.normal())
        variance = 0.1 + 0.25 * gains[-1] ** 2 + 0.7 * variance
    return (np.array(gains, np.float32),)


def garch(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of gains whose variance follows the last gain and its own past."""
    base, shock, keep = jnp.exp(params["log_base"]), jax.nn.sigmoid(params["shock"]), jax.nn.sigmoid(params["keep"])

    def day(variance: jax.Array, gain: jax.Array) -> tuple[jax.Array, jax.Array]:
        loss = 0.5 * (jnp.log(variance) + jnp.square(gain) / variance)
        return base + shock * jnp.square(gain) + keep * variance, loss

    return jnp.mean(jax.lax.scan(day, jnp.float32(1), batch[0])[1])


MARKET = Problem(lambda: {"log_base": np.float32(0), "shock": np.float32(-3), "keep": np.float32(-1)}, garch, market)
