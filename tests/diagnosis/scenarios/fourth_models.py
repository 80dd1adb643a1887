"""Networks of the fourth set: text, sums, pictures, and distributions."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fresh_problems import Points, Problem

TEXT = (
    "the river runs past the mill and under the bridge and then it turns to the north where the hills are high "
    "in the morning the miller opens the gate and the water turns the wheel and the wheel turns the stone "
    "the stone grinds the grain and the flour falls into the sack and the sack goes to the baker in the town "
    "the baker makes the bread before the sun is up and the children carry it home while it is still warm "
    "when the rain is long the river is high and the miller shuts the gate and waits for the water to fall "
    "then the children go to the bridge and throw sticks into the river and run to the other side to see them"
)


@functools.cache
def letters() -> Points:
    """Return all stretches of 17 letters of a text."""
    codes = np.array([0 if c == " " else ord(c) - 96 for c in TEXT], np.int32)
    return (np.stack([codes[i : i + 17] for i in range(len(codes) - 16)]),)


def next_letter(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of each next letter."""
    (tokens,) = batch
    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    scores = models.transformer(wide, tokens[:, :-1])
    return models.cross_entropy(scores.reshape(-1, 27), tokens[:, 1:].reshape(-1))


def transformer_init() -> Any:
    """Return a transformer for 27 letters."""
    return models.transformer_init(221, vocabulary=27, length=16)


LETTERS = Problem(transformer_init, next_letter, letters)


@functools.cache
def sums() -> Points:
    """Return 1024 series of 10 values, two of them marked, and the sum of those two."""
    rng = np.random.default_rng(222)
    values, marks = rng.uniform(-1, 1, (1024, 10)), np.zeros((1024, 10))
    for half in (0, 5):
        marks[np.arange(1024), half + rng.integers(0, 5, 1024)] = 1
    y = np.sum(values * marks, axis=1)
    return np.stack([values, marks], axis=2).astype(np.float32), y.astype(np.float32)


def lstm_init() -> Any:
    """Return a long short-term memory of 12 units and its read-out."""
    rng = np.random.default_rng(223)
    gates = models.dense(rng, 14, 48)
    gates["b"][12:24] = 1  # the forget gate starts open
    return {"gates": gates, "out": models.dense(rng, 12, 1)}


def memory(params: Any, x: jax.Array) -> jax.Array:
    """Return the last hidden state."""

    def cell(carry: Any, now: jax.Array) -> Any:
        h, c = carry
        i, f, o, g = jnp.split(models.affine(params["gates"], jnp.concatenate([now, h], axis=1)), 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), None

    zero = jnp.zeros((x.shape[0], 12), jnp.float32)
    return jax.lax.scan(cell, (zero, zero), jnp.swapaxes(x, 0, 1))[0][0]


def adding(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of the sum."""
    x, y = batch
    return models.squared(models.affine(params["out"], memory(params, x))[:, 0], y)


SUMS = Problem(lstm_init, adding, sums)


@functools.cache
def spots() -> Points:
    """Return pictures of 8x8 with one to four bright spots, and how many."""
    rng = np.random.default_rng(224)
    number = rng.integers(0, 4, 800)
    row, column = np.mgrid[:8, :8]
    x = 0.2 * rng.normal(size=(800, 8, 8))
    for i, n in enumerate(number):
        for cell in rng.choice(16, n + 1, replace=False):
            r, c = 2 * (cell // 4) + rng.random(), 2 * (cell % 4) + rng.random()
            x[i] += np.exp(-((row - r) ** 2) - (column - c) ** 2)
    return x.astype(np.float32), number.astype(np.int32)


def conv_init() -> Any:
    """Return a convolutional net with scales after each convolution."""
    params = models.conv_init(225)
    return {**params, "scale": {"one": np.ones(6, np.float32), "two": np.ones(12, np.float32)}}


def batch_norm(scale: jax.Array, x: jax.Array) -> jax.Array:
    """Return each channel with the mean 0 and the variance 1 over the batch, times its scale."""
    x = x - jnp.mean(x, axis=(0, 1, 2), keepdims=True)
    return scale[None, None, None, :] * x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=(0, 1, 2), keepdims=True) + 1e-5)


def counting(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the number of spots."""
    x, number = batch
    x = x[..., None]
    for conv, scale in (("conv1", "one"), ("conv2", "two")):
        x = jax.nn.relu(batch_norm(params["scale"][scale], models.convolve(params[conv], x)))
    return models.cross_entropy(models.affine(params["head"], x.reshape(x.shape[0], -1)), number)


SPOTS = Problem(conv_init, counting, spots)


@functools.cache
def bars() -> Points:
    """Return 512 pictures of 5x5 black and white bars or stripes, and the noise of the encoder for each."""
    rng = np.random.default_rng(226)
    lines, upright = rng.random((512, 5)) < 0.5, rng.random(512) < 0.5
    x = np.where(upright[:, None, None], lines[:, None, :], lines[:, :, None]).reshape(512, 25)
    return np.broadcast_to(x, (512, 25)).astype(np.float32), rng.normal(size=(512, 3)).astype(np.float32)


def vae_init() -> Any:
    """Return an encoder and a decoder."""
    return {"encoder": models.mlp_init((25, 32, 6), 227), "decoder": models.mlp_init((3, 32, 25), 228)}


def binary_vae(params: Any, batch: Any) -> jax.Array:
    """Return minus the bound on the log probability of the pictures."""
    x, noise = batch
    out = models.mlp(params["encoder"], x, jax.nn.relu)
    mean, log_std = out[:, :3], out[:, 3:]
    score = models.mlp(params["decoder"], mean + jnp.exp(log_std) * noise, jax.nn.relu)
    kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(2 * log_std) - 1 - 2 * log_std, axis=1)
    return jnp.mean(jnp.sum(jax.nn.softplus(score) - x * score, axis=1) + kl)


BARS = Problem(vae_init, binary_vae, bars)


@functools.cache
def diffused() -> Points:
    """Return 4096 points of a ring of 6 clusters, a time of diffusion for each, and the noise."""
    rng = np.random.default_rng(229)
    angle = 2 * np.pi * rng.integers(0, 6, 4096) / 6
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 1.5 + 0.1 * rng.normal(size=(4096, 2))
    return x.astype(np.float32), rng.random(4096).astype(np.float32), rng.normal(size=(4096, 2)).astype(np.float32)


def denoising(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the noise that a network finds in a diffused point."""
    x, time, noise = batch
    angle = (np.pi / 2 * time)[:, None].astype(jnp.float32)
    seen = jnp.cos(angle) * x + jnp.sin(angle) * noise
    found = models.mlp(params, jnp.concatenate([seen, jnp.cos(angle), jnp.sin(angle)], axis=1), jax.nn.silu)
    return jnp.mean(jnp.square(found - noise))


DIFFUSED = Problem(lambda: models.mlp_init((4, 32, 32, 2), 230), denoising, diffused)


@functools.cache
def triplets() -> Points:
    """Return points, others of the same of 8 classes, and others of another class."""
    rng = np.random.default_rng(231)
    centres = rng.normal(size=(8, 10))
    one = rng.integers(0, 8, 1500)
    two = (one + rng.integers(1, 8, 1500)) % 8
    return tuple((centres[k] + 0.7 * rng.normal(size=(1500, 10))).astype(np.float32) for k in (one, one, two))


def triplet(params: Any, batch: Any) -> jax.Array:
    """Return the triplet loss with a margin of 1."""
    a, same, other = (models.mlp(params, x, jax.nn.relu) for x in batch)
    near, far = (jnp.sum(jnp.square(a - b), axis=1) for b in (same, other))
    return jnp.mean(jax.nn.relu(near - far + 1))


TRIPLETS = Problem(lambda: models.mlp_init((10, 24, 4), 232), triplet, triplets)


@functools.cache
def branches() -> Points:
    """Return 800 values and one of up to three numbers that belong to each."""
    rng = np.random.default_rng(233)
    y = rng.uniform(0, 1, 800)
    x = y + 0.3 * np.sin(2 * np.pi * y) + 0.02 * rng.normal(size=800)
    return x.astype(np.float32), y.astype(np.float32)


def mixture_density(params: Any, batch: Any) -> jax.Array:
    """Return the negative log density of a mixture of three whose parts a network names."""
    x, y = batch
    out = models.mlp(params, x[:, None], jnp.tanh)
    weight, mean, log_std = out[:, :3], out[:, 3:6], out[:, 6:] - 1
    z = (y[:, None] - mean) * jnp.exp(-log_std)
    parts = jax.nn.log_softmax(weight) - log_std - 0.5 * jnp.square(z)
    return np.float32(0.5 * np.log(2 * np.pi)) - jnp.mean(jax.nn.logsumexp(parts, axis=1))


BRANCHES = Problem(lambda: models.mlp_init((1, 20, 9), 234), mixture_density, branches)
