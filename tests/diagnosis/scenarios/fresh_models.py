"""More problems of the third set of runs: text, signals, images of a kind, equations and distributions."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def echoes() -> Points:
    """Return 512 sequences of 13 tokens: 6 at random, the same 6 again, and the first of them."""
    half = np.random.default_rng(121).integers(0, 8, (512, 6))
    return (np.concatenate([half, half, half[:, :1]], axis=1).astype(np.int32),)


def language(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the tokens that can be known: those that are said again."""
    (tokens,) = batch
    scores = models.transformer(params, tokens[:, :-1])[:, 5:]
    return models.cross_entropy(scores.reshape(-1, 8), tokens[:, 6:].reshape(-1))


ECHOES = Problem(lambda: models.transformer_init(122), language, echoes)


@functools.cache
def signals(samples: int = 600, noise: float = 0.4, flipped: float = 0.0) -> Points:
    """Return signals of 24 values, a sine, a square or a saw of any phase, and which."""
    rng = np.random.default_rng(123)
    kind, phase = rng.integers(0, 3, samples), rng.uniform(0, 1, (samples, 1))
    t = (np.arange(24)[None, :] / 9.0 + phase) % 1.0
    shapes = np.stack([np.sin(2 * np.pi * t), np.sign(t - 0.5), 2 * t - 1])
    x = shapes[kind, np.arange(samples)] + noise * rng.normal(size=(samples, 24))
    kind = np.where(rng.random(samples) < flipped, rng.integers(0, 3, samples), kind)
    return x.astype(np.float32), kind.astype(np.int32)


def conv1d_init(gain: float = 1.4) -> Any:
    """Return two convolutions over time and a head."""
    rng = np.random.default_rng(124)
    return {
        "conv1": models.dense(rng, 5, 8, gain),
        "conv2": models.dense(rng, 24, 12, gain),
        "head": models.dense(rng, 12, 3),
    }


def windows(x: jax.Array, width: int) -> jax.Array:
    """Return each stretch of a signal: (signal, time, width times channel)."""
    length = x.shape[1] - width + 1
    return jnp.concatenate([x[:, i : i + length] for i in range(width)], axis=2)


def waveform(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a convolutional net that takes the mean over time."""
    x, kind = batch
    x = x.astype(params["head"]["w"].dtype)[:, :, None]
    for name, width in (("conv1", 5), ("conv2", 3)):
        w, b = params[name]["w"], params[name]["b"]
        x = jax.nn.relu(windows(x, width) @ w + b[None, None, :])
    return models.cross_entropy(models.affine(params["head"], jnp.mean(x, axis=1)).astype(jnp.float32), kind)


SIGNALS = Problem(conv1d_init, waveform, signals)


@functools.cache
def bags(flipped: float = 0.0) -> Points:
    """Return 2000 texts as the words in them, 60 words from frequent to rare, and an opinion."""
    rng = np.random.default_rng(125)
    x = (rng.random((2000, 60)) < 0.6 / np.arange(1, 61) ** 0.7).astype(np.float64)
    score = x @ rng.normal(size=60)
    y = (score > np.median(score)).astype(np.float64)
    y = np.where(rng.random(2000) < flipped, rng.integers(0, 2, 2000), y)
    return x.astype(np.float32), y.astype(np.float32)


def opinion(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss."""
    x, y = batch
    score = x @ params["words"] + params["offset"]
    return jnp.mean(jax.nn.softplus(score) - y * score)


def no_words() -> Any:
    """Return weights of 0."""
    return {"words": np.zeros(60, np.float32), "offset": np.float32(0)}


BAGS = Problem(no_words, opinion, bags)


@functools.cache
def bent() -> Points:
    """Return 1024 points of 8 numbers on a bent sheet, and the noise of the encoder for each."""
    rng = np.random.default_rng(126)
    z = rng.normal(size=(1024, 2))
    x = np.tanh(z @ rng.normal(size=(2, 8))) + 0.05 * rng.normal(size=(1024, 8))
    return x.astype(np.float32), rng.normal(size=(1024, 2)).astype(np.float32)


def vae_init() -> Any:
    """Return an encoder and a decoder."""
    return {"encoder": models.mlp_init((8, 24, 4), 127), "decoder": models.mlp_init((2, 24, 8), 128)}


def vae(params: Any, batch: Any) -> jax.Array:
    """Return minus the bound on the log density, at a standard deviation of a tenth: below 0 once it is learnt."""
    x, noise = batch
    out = models.mlp(params["encoder"], x, jax.nn.silu)
    mean, log_std = out[:, :2], out[:, 2:]
    error = (models.mlp(params["decoder"], mean + jnp.exp(log_std) * noise, jax.nn.silu) - x) / 0.1
    density = 0.5 * jnp.sum(jnp.square(error), axis=1) + np.float32(8 * np.log(0.1 * np.sqrt(2 * np.pi)))
    kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(2 * log_std) - 1 - 2 * log_std, axis=1)
    return jnp.mean(density + kl)


SHEET = Problem(vae_init, vae, bent)


def times() -> Points:
    """Return 40 times between 0 and 3."""
    return (np.linspace(0, 3, 40, dtype=np.float32),)


def physics(params: Any, batch: Any) -> jax.Array:
    """Return how far a network is from u' = -2 u + 2 sin(3 t) and u(0) = 1."""

    def u(t: jax.Array) -> jax.Array:
        return models.mlp(params, t[:, None], jnp.tanh)[:, 0]

    (t,) = batch
    value, slope = jax.jvp(u, (t,), (jnp.ones_like(t),))
    start = u(jnp.zeros(1, jnp.float32))[0] - 1
    return jnp.mean(jnp.square(slope + 2 * value - 2 * jnp.sin(3 * t))) + jnp.square(start)


PHYSICS = Problem(lambda: models.mlp_init((1, 16, 16, 1), 129), physics, times)


@functools.cache
def thin() -> Points:
    """Return 400 points of 10 numbers, most of it in 3 directions."""
    rng = np.random.default_rng(130)
    basis = np.linalg.qr(rng.normal(size=(10, 10)))[0] * np.array([2, 1.5, 1, *[0.1] * 7])
    return ((rng.normal(size=(400, 10)) @ basis.T).astype(np.float32),)


def tied(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a linear autoencoder whose decoder is its encoder, turned round."""
    (x,) = batch
    return models.squared(x @ params["code"] @ params["code"].T, x)


def code(size: float) -> Any:
    """Return what makes a code of 3 numbers."""
    return lambda: {"code": (size * np.random.default_rng(131).normal(size=(10, 3))).astype(np.float32)}


THIN = Problem(code(0.3), tied, thin)


def nothing() -> Points:
    """Return no points: the loss is a function of the params alone."""
    return ()


def membrane(params: Any, batch: Any) -> jax.Array:
    """Return the energy of a string of 24 points under a load: condition number 254, below 0 at its minimum."""
    x = params["height"]
    ends = jnp.concatenate([jnp.zeros(1, jnp.float32), x, jnp.zeros(1, jnp.float32)])
    return 0.5 * jnp.sum(jnp.square(ends[1:] - ends[:-1])) - 0.1 * jnp.sum(x)


STRING = Problem(lambda: {"height": np.zeros(24, np.float32)}, membrane, nothing)


@functools.cache
def thirds() -> Points:
    """Return 300 numbers from three groups."""
    rng = np.random.default_rng(132)
    return ((rng.choice([-2.0, 0.5, 3.0], 300) + 0.4 * rng.normal(size=300)).astype(np.float32),)


def mixture(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of a mixture of three normal distributions."""
    (x,) = batch
    z = (x[:, None] - params["mean"][None, :]) * jnp.exp(-params["log_std"])[None, :]
    parts = jax.nn.log_softmax(params["weight"])[None, :] - params["log_std"][None, :] - 0.5 * jnp.square(z)
    return np.float32(0.5 * np.log(2 * np.pi)) - jnp.mean(jax.nn.logsumexp(parts, axis=1))


def three(mean: tuple[float, ...] = (-1.0, 0.0, 1.0)) -> Any:
    """Return what makes a mixture with these means."""
    return lambda: {
        "mean": np.array(mean, np.float32),
        "log_std": np.zeros(3, np.float32),
        "weight": np.zeros(3, np.float32),
    }


THIRDS = Problem(three(), mixture, thirds)


@functools.cache
def waits() -> Points:
    """Return 800 features and times of waiting."""
    rng = np.random.default_rng(133)
    x = rng.normal(size=(800, 7)) @ np.diag(np.geomspace(0.3, 1.5, 7))
    return x.astype(np.float32), (0.1 * np.exp(x @ rng.normal(size=7) / 2) * rng.exponential(size=800)).astype(
        np.float32
    )


def waiting(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of exponential times, whose mean is exp(x w + b)."""
    x, y = batch
    log_mean = x @ params["w"] + params["b"]
    return jnp.mean(y * jnp.exp(-log_mean) + log_mean)


WAITS = Problem(lambda: {"w": np.zeros(7, np.float32), "b": np.float32(0)}, waiting, waits)


@functools.cache
def counts() -> Points:
    """Return 12 counts that nobody has centred or scaled, and a number that goes with them."""
    rng = np.random.default_rng(169)
    x = rng.poisson(rng.uniform(3, 9, 12), (500, 12))
    y = 5 + x @ rng.normal(size=12) / 6 + 0.1 * rng.normal(size=500)
    return x.astype(np.float32), y[:, None].astype(np.float32)


COUNTS = Problem(
    lambda: models.mlp_init((12, 24, 1), 170),
    lambda p, b: models.squared(models.mlp(p, b[0], jax.nn.relu), b[1]),
    counts,
)
