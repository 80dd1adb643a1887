"""Problems of the fifth set from physics and statistics: epidemics, sources, spins, phases, energies, beliefs."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_networks import unit
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def epidemic() -> Points:
    """Return the share of people who are ill on each of 60 days, in percent."""
    rng = np.random.default_rng(541)
    s, i, ill = 0.999, 0.001, []
    for _ in range(60):
        ill.append(100 * i)
        s, i = s - 0.4 * s * i, i + 0.4 * s * i - 0.1 * i
    return ((np.array(ill) * (1 + 0.05 * rng.normal(size=60))).astype(np.float32),)


def contagion(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of an epidemic whose two rates and start are to be found."""
    rate, end = jnp.exp(params["log_rate"]), jnp.exp(params["log_end"])
    first = jnp.exp(params["log_start"])

    def day(state: Any, _: Any) -> Any:
        s, i = state
        new = rate * s * i
        return (s - new, i + new - end * i), 100 * i

    _, ill = jax.lax.scan(day, (1 - first, first), None, length=60)
    return jnp.mean(jnp.square(ill - batch[0]))


EPIDEMIC = Problem(
    lambda: {"log_rate": np.float32(-1.2), "log_end": np.float32(-2), "log_start": np.float32(-6)}, contagion, epidemic
)


@functools.cache
def mixed() -> Points:
    """Return 1500 readings of 4 microphones that each hear 4 voices."""
    rng = np.random.default_rng(542)
    return ((rng.laplace(size=(1500, 4)) @ (np.eye(4) + 0.5 * rng.normal(size=(4, 4)))).astype(np.float32),)


def sources(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of an unmixing matrix."""
    y = batch[0] @ params["unmix"]
    return jnp.mean(jnp.sum(jnp.log(jnp.cosh(y)), axis=1)) - jnp.linalg.slogdet(params["unmix"])[1]


VOICES = Problem(lambda: {"unmix": 0.3 * np.eye(4, dtype=np.float32) + normal(543, 4, 4, size=0.05)}, sources, mixed)


@functools.cache
def spins() -> Points:
    """Return 1000 states of 10 spins that act on each other."""
    rng = np.random.default_rng(544)
    j = np.triu(0.4 * rng.normal(size=(10, 10)), 1)
    j, x = j + j.T, rng.choice([-1.0, 1.0], (1000, 10))
    for k in range(200):
        field = x @ j[k % 10]
        x[:, k % 10] = np.where(rng.random(1000) < 1 / (1 + np.exp(-2 * field)), 1, -1)
    return (x.astype(np.float32),)


def pseudo_likelihood(params: Any, batch: Any) -> jax.Array:
    """Return the mean negative log chance of each spin given the others."""
    (x,) = batch
    couple = params["couple"] * (1 - jnp.eye(10, dtype=jnp.float32))
    field = x @ (couple + couple.T) + params["field"][None, :]
    return jnp.mean(jax.nn.softplus(-2 * x * field))


SPINS = Problem(
    lambda: {"couple": np.zeros((10, 10), np.float32), "field": np.zeros(10, np.float32)}, pseudo_likelihood, spins
)


@functools.cache
def intensities() -> Points:
    """Return 200 directions in 12 dimensions and the square of a hidden vector along each."""
    rng = np.random.default_rng(545)
    a, hidden = rng.normal(size=(200, 12)), rng.normal(size=12) / np.sqrt(12)
    return a.astype(np.float32), np.square(a @ hidden).astype(np.float32)


def phaseless(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the squares."""
    a, seen = batch
    return 0.25 * jnp.mean(jnp.square(jnp.square(a @ params["x"]) - seen))


def vector(size: float) -> Any:
    """Return what makes a vector of 12 of this size."""
    return lambda: {"x": normal(546, 12, size=size)}


PHASES = Problem(vector(0.3), phaseless, intensities)


@functools.cache
def places() -> Points:
    """Return 2000 random places between 0 and 1."""
    return (np.random.default_rng(547).random(2000).astype(np.float32),)


def ritz(params: Any, batch: Any) -> jax.Array:
    """Return the energy of a string under a load, 0 at both ends: below 0 at its least."""

    def height(x: jax.Array) -> jax.Array:
        return x * (1 - x) * models.mlp(params, x[:, None], jnp.tanh)[:, 0]

    (x,) = batch
    u, slope = jax.jvp(height, (x,), (jnp.ones_like(x),))
    return jnp.mean(0.5 * jnp.square(slope) - 10 * jnp.sin(6 * x) * u)


STRING = Problem(lambda: models.mlp_init((1, 16, 1), 548, 2.0), ritz, places)


@functools.cache
def trials() -> Points:
    """Return 8 features of 500 patients, whether each got well, and noise for the belief."""
    rng = np.random.default_rng(549)
    x = rng.normal(size=(500, 8))
    well = rng.random(500) < 1 / (1 + np.exp(-x @ rng.normal(size=8)))
    return x.astype(np.float32), well.astype(np.float32), rng.normal(size=(500, 8)).astype(np.float32)


def evidence_bound(params: Any, batch: Any) -> jax.Array:
    """Return minus the bound on the evidence of a logistic regression with a normal belief, per patient."""
    x, well, noise = batch
    std = jnp.exp(params["log_std"])
    score = jnp.sum(x * (params["mean"][None, :] + std[None, :] * noise), axis=1)
    distance = 0.5 * jnp.sum(jnp.square(params["mean"]) + jnp.square(std) - 1 - 2 * params["log_std"])
    return jnp.mean(jax.nn.softplus(score) - well * score) + distance / 500


BELIEF = Problem(
    lambda: {"mean": np.zeros(8, np.float32), "log_std": np.full(8, -1, np.float32)}, evidence_bound, trials
)


@functools.cache
def heights() -> Points:
    """Return 900 heights of three kinds of plants."""
    rng = np.random.default_rng(550)
    kind = rng.choice(3, 900, p=[0.5, 0.3, 0.2])
    return (
        (np.array([-2.0, 0.5, 3.0])[kind] + np.array([0.5, 0.3, 0.8])[kind] * rng.normal(size=900)).astype(np.float32),
    )


def kinds(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of a mixture of three normal kinds."""
    z = (batch[0][:, None] - params["mean"][None, :]) * jnp.exp(-params["log_std"])[None, :]
    parts = jax.nn.log_softmax(params["weight"])[None, :] - params["log_std"][None, :] - 0.5 * jnp.square(z)
    return -jnp.mean(jax.nn.logsumexp(parts, axis=1))


PLANTS = Problem(
    lambda: {
        "weight": np.zeros(3, np.float32),
        "mean": np.array([-1, 0, 1], np.float32),
        "log_std": np.zeros(3, np.float32),
    },
    kinds,
    heights,
)


@functools.cache
def tagged() -> Points:
    """Return 400 sentences of 8 words (of 20), and a tag (of 4) for each word."""
    rng = np.random.default_rng(551)
    after, says = np.exp(1.5 * rng.normal(size=(4, 4))), np.exp(1.2 * rng.normal(size=(4, 20)))
    tags = np.zeros((400, 8), np.int32)
    tags[:, 0] = rng.integers(0, 4, 400)
    for t in range(1, 8):
        tags[:, t] = [rng.choice(4, p=after[k] / after[k].sum()) for k in tags[:, t - 1]]
    words = [[rng.choice(20, p=says[k] / says[k].sum()) for k in row] for row in tags]
    return np.array(words, np.int32), tags


def random_field(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of the tags under a chain, by the forward sums."""
    words, tags = batch
    score = params["word"][words]
    true = jnp.sum(score * jax.nn.one_hot(tags, 4, dtype=jnp.float32), axis=(1, 2))
    true = true + jnp.sum(params["next"][tags[:, :-1], tags[:, 1:]], axis=1)
    total = score[:, 0]
    for t in range(1, 8):
        total = jax.nn.logsumexp(total[:, :, None] + params["next"][None], axis=1) + score[:, t]
    return jnp.mean(jax.nn.logsumexp(total, axis=1) - true)


TAGS = Problem(
    lambda: {"word": normal(552, 20, 4, size=0.1), "next": normal(553, 4, 4, size=0.1)}, random_field, tagged
)


@functools.cache
def faces() -> Points:
    """Return 900 pictures of 12 numbers, of 15 people, and the person."""
    rng = np.random.default_rng(554)
    person = rng.integers(0, 15, 900)
    x = rng.normal(size=(15, 12))[person] + 0.6 * rng.normal(size=(900, 12))
    return x.astype(np.float32), person.astype(np.int32)


def proxies(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the person, by the angle between the picture's vector and each person's."""
    x, person = batch
    return models.cross_entropy(8 * unit(models.mlp(params["net"], x, jax.nn.relu)) @ unit(params["person"]).T, person)


FACES = Problem(lambda: {"net": models.mlp_init((12, 24, 5), 555), "person": normal(556, 15, 5)}, proxies, faces)
