"""Problems of the eighth set, part b: densities that are learnt, scores and flows, variances, graphs and sets."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.eighth_signals_b import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def panels() -> Points:
    """Return 600 rows of 10 small numbers that two hidden ones make, and noise for the code."""
    z = normal(9041, 600, 2)
    x = 0.2 * np.tanh(z @ normal(9042, 2, 10)) + normal(9043, 600, 10, size=0.03)
    return x.astype(np.float32), normal(9044, 600, 2)


def coder() -> Any:
    """Return an encoder, a decoder, and the deviation of each number."""
    return {
        "encoder": models.mlp_init((10, 24, 4), 9045),
        "decoder": models.mlp_init((2, 24, 10), 9046, 0.5),
        "log_std": np.full(10, -1, np.float32),
    }


def evidence(params: Any, batch: Any) -> jax.Array:
    """Return minus the bound on the evidence, for each number."""
    x, noise = batch
    code = models.mlp(params["encoder"], x / 0.2, jnp.tanh)
    mean, log_std = code[:, :2], code[:, 2:]
    guess = models.mlp(params["decoder"], mean + jnp.exp(log_std) * noise, jnp.tanh)
    z = (x - guess) * jnp.exp(-params["log_std"])[None, :]
    fit = jnp.sum(0.5 * jnp.square(z) + params["log_std"][None, :] + 0.919, axis=1)
    apart = jnp.sum(0.5 * (jnp.square(mean) + jnp.exp(2 * log_std) - 1) - log_std, axis=1)
    return jnp.mean(fit + apart) / 10


PANELS = Problem(coder, evidence, panels)


@functools.cache
def pinwheel() -> Points:
    """Return 1500 points on the arms of a wheel, noise of two kinds, and a number between 0 and 1 for each."""
    rng = np.random.default_rng(9047)
    arm, r = rng.integers(0, 4, 1500), rng.uniform(0.3, 2, 1500)
    angle = arm * np.pi / 2 + 0.9 * r
    x = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1) + 0.06 * rng.normal(size=(1500, 2))
    return tuple(part.astype(np.float32) for part in (x, rng.normal(size=(1500, 2)), rng.uniform(0.02, 1, (1500, 1))))


def scored(weigh: bool) -> Any:
    """Return the error of a score, of noise of many sizes; times the size from the start, or at the end."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, noise, u = batch
        size = 2 * jnp.square(u)
        seen = (x + size * noise) * jax.lax.rsqrt(1 + jnp.square(size))
        guess = models.mlp(params, jnp.concatenate([seen, 2 * u], axis=1), jax.nn.silu)
        if weigh:
            return jnp.mean(jnp.sum(jnp.square(guess + noise), axis=1))
        return jnp.mean(jnp.sum(jnp.square(size) * jnp.square(guess / size + noise / size), axis=1))

    return loss


SCORE = Problem(lambda: models.mlp_init((3, 32, 32, 2), 9048, 1.4), scored(weigh=True), pinwheel)


def velocity(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the way from noise to a point, asked on the way."""
    x, noise, t = batch
    here = t * x + (1 - t) * noise
    guess = models.mlp(params, jnp.concatenate([here, 2 * t - 1], axis=1), jax.nn.gelu)
    return jnp.mean(jnp.square(guess - (x - noise)))


STREAM = Problem(lambda: models.mlp_init((3, 40, 40, 2), 9049, 1.4), velocity, pinwheel)


@functools.cache
def channels() -> Points:
    """Return 500 readings of 12 channels, in small units, that three things move."""
    x = normal(9050, 500, 3) @ normal(9051, 3, 12, size=0.08) + normal(9052, 500, 12, size=0.04)
    return (x.astype(np.float32),)


def loadings(size: float, level: float = -4.0) -> Any:
    """Return what makes the loadings, of this size, and the logarithm of what each channel has of its own."""
    return lambda: {"load": normal(9053, 3, 12, size=size), "log_own": np.full(12, level, np.float32)}


def likeness(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood under a few common factors and noise, for each number."""
    (x,) = batch
    cover = params["load"].T @ params["load"] + jnp.diag(jnp.exp(params["log_own"]))
    root = jnp.linalg.cholesky(cover)
    z = jax.scipy.linalg.solve_triangular(root, x.T, lower=True)
    return (0.5 * jnp.mean(jnp.sum(jnp.square(z), axis=0)) + jnp.sum(jnp.log(jnp.diagonal(root)))) / 12 + 0.919


CHANNELS = Problem(loadings(0.05), likeness, channels)


@functools.cache
def returns() -> Points:
    """Return 500 daily returns, whose spread follows itself."""
    rng = np.random.default_rng(9054)
    spread, out = 1e-4, []
    for _ in range(500):
        out.append(np.sqrt(spread) * rng.normal())
        spread = 5e-6 + 0.15 * out[-1] ** 2 + 0.8 * spread
    return (np.array(out, np.float32),)


def volatility(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of returns, whose variance is part of the last square and of itself."""
    (x,) = batch
    base, new, old = jnp.exp(params["log_base"] - 9), jax.nn.sigmoid(params["new"]), jax.nn.sigmoid(params["old"])

    def step(spread: jax.Array, r: jax.Array) -> tuple[jax.Array, jax.Array]:
        cost = 0.5 * (jnp.log(spread) + jnp.square(r) / spread)
        return base + (1 - old) * new * jnp.square(r) + old * spread, cost

    return jnp.mean(jax.lax.scan(step, jnp.mean(jnp.square(x)), x)[1]) + 0.919


RETURNS = Problem(lambda: {"log_base": np.float32(0), "new": np.float32(0), "old": np.float32(-1)}, volatility, returns)


@functools.cache
def papers() -> Points:
    """Return how 80 papers of 4 fields cite, by rows that average, 8 features, the fields, and which are known."""
    rng = np.random.default_rng(9055)
    field = np.arange(80) % 4
    link = np.triu(rng.random((80, 80)) < np.where(field[:, None] == field[None, :], 0.2, 0.03), 1)
    link = (link | link.T) + np.eye(80)
    degree = link.sum(1)
    x = 0.7 * rng.normal(size=(4, 8))[field] + rng.normal(size=(80, 8))
    return (
        (link / np.sqrt(degree[:, None] * degree[None, :])).astype(np.float32),
        x.astype(np.float32),
        field.astype(np.int32),
        (rng.random(80) < 0.6).astype(np.float32),
    )


def cited(activation: Any) -> Any:
    """Return the cross-entropy of the known fields, by layers that average over neighbours first."""

    def loss(params: Any, batch: Any) -> jax.Array:
        link, x, field, known = batch
        names = list(params)
        for name in names[:-1]:
            x = activation(models.affine(params[name], link @ x))
        log = jax.nn.log_softmax(models.affine(params[names[-1]], link @ x))
        own = jnp.sum(jax.nn.one_hot(field, 4, dtype=jnp.float32) * log, axis=1)
        return -jnp.sum(known * own) / jnp.sum(known)

    return loss


PAPERS = Problem(lambda: models.mlp_init((8, 16, 4), 9056), cited(jax.nn.relu), papers)


@functools.cache
def ties() -> Points:
    """Return all pairs of 50 people, and whether the two know each other."""
    rng = np.random.default_rng(9057)
    z = rng.normal(size=(50, 3))
    one, other = np.triu_indices(50, 1)
    knows = rng.random(len(one)) < 1 / (1 + np.exp(2 - 2 * np.sum(z[one] * z[other], axis=1)))
    return one.astype(np.int32), other.astype(np.int32), knows.astype(np.float32)


def tied(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of ties, by the product of two places and a level."""
    one, other, knows = batch
    score = jnp.sum(params["place"][one] * params["place"][other], axis=1) + params["level"]
    return jnp.mean(jax.nn.softplus(score) - knows * score)


def places(size: float) -> Any:
    """Return what makes a place for each person, of this size, and the level of all."""
    return lambda: {"place": normal(9058, 50, 3, size=size), "level": np.float32(0)}


TIES = Problem(places(0.5), tied, ties)


@functools.cache
def offers() -> Points:
    """Return 1500 sets of 8 offers of 4 numbers; what counts is the second number of the one whose first is largest."""
    x = normal(9059, 1500, 8, 4)
    return x, np.take_along_axis(x[:, :, 1], np.argmax(x[:, :, 0], axis=1)[:, None], axis=1)[:, 0]


def chosen(sharp: float) -> Any:
    """Return the mean squared error of what attention finds in the set; its scores are this sharp."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        score = jnp.tanh(models.affine(params["key"], x.reshape(-1, 4))) @ params["query"]
        weight = jax.nn.softmax(sharp * score.reshape(-1, 8))
        found = jnp.einsum("nk,nkd->nd", weight, x)
        return jnp.mean(jnp.square(models.affine(params["value"], found)[:, 0] - y))

    return loss


def chooser() -> Any:
    """Return the keys, the query and the read-out."""
    rng = np.random.default_rng(9060)
    return {"key": models.dense(rng, 4, 12), "query": normal(9061, 12, size=0.5), "value": models.dense(rng, 4, 1)}


OFFERS = Problem(chooser, chosen(1.0), offers)
