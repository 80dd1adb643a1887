"""Networks of the fifth set: convolutions, a recurrent unit, attention, experts, a flow, metrics, a field of tags."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem

SEGMENTS = (
    "1110111",
    "0010010",
    "1011101",
    "1011011",
    "0111010",
    "1101011",
    "1101111",
    "1010010",
    "1111111",
    "1111011",
)


@functools.cache
def glyphs(noise: float = 0.4) -> Points:
    """Return 400 noisy 8x8 pictures of digits with seven segments, and the digit."""
    rng = np.random.default_rng(521)
    bars = np.zeros((7, 8, 8))
    for k, (row, column, upright) in enumerate(
        [(0, 1, 0), (0, 1, 1), (0, 4, 1), (3, 1, 0), (3, 1, 1), (3, 4, 1), (6, 1, 0)]
    ):
        bars[k, row : row + (4 if upright else 1), column : column + (1 if upright else 4)] = 1
    shapes = np.minimum(np.einsum("dk,kij->dij", np.array([[int(c) for c in s] for s in SEGMENTS]), bars), 1)
    digit, shift = rng.integers(0, 10, 400), rng.integers(0, 3, 400)
    x = np.stack([np.roll(shapes[d], s, axis=1) for d, s in zip(digit, shift, strict=True)])
    return (x + noise * rng.normal(size=x.shape)).astype(np.float32), digit.astype(np.int32)


def glyph_init() -> Any:
    """Return two convolutions and a head for 10 digits."""
    return models.conv_init(522, (4, 8), 10)


def reading(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a net whose channels are normalized after each convolution."""
    images, digit = batch
    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    x = jax.nn.relu(models.normalized(models.convolve(wide["conv1"], images[..., None])))
    x = jax.nn.relu(models.normalized(models.convolve(wide["conv2"], x)))
    return models.cross_entropy(models.affine(wide["head"], x.reshape(x.shape[0], -1)), digit)


GLYPHS = Problem(glyph_init, reading, glyphs)


@functools.cache
def waves() -> Points:
    """Return 400 series of 17 values that swing with a period of their own."""
    rng = np.random.default_rng(523)
    t, phase, speed = np.arange(17)[None, :], rng.uniform(0, 6.3, (400, 1)), rng.uniform(0.3, 1.0, (400, 1))
    return ((np.sin(speed * t + phase) + 0.1 * rng.normal(size=(400, 17))).astype(np.float32),)


def gru_init() -> Any:
    """Return a gated recurrent unit of 10 and its read-out."""
    rng = np.random.default_rng(524)
    return {"gates": models.dense(rng, 11, 20), "new": models.dense(rng, 11, 10), "out": models.dense(rng, 10, 1)}


def forecast(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the next value of each series."""
    (series,) = batch

    def step(h: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        gates = jax.nn.sigmoid(models.affine(params["gates"], jnp.concatenate([h, x[:, None]], axis=1)))
        keep, reset = gates[:, :10], gates[:, 10:]
        new = jnp.tanh(models.affine(params["new"], jnp.concatenate([reset * h, x[:, None]], axis=1)))
        h = keep * h + (1 - keep) * new
        return h, models.affine(params["out"], h)[:, 0]

    start = jnp.zeros((series.shape[0], 10), jnp.float32)
    _, guess = jax.lax.scan(step, start, series[:, :-1].T)
    return jnp.mean(jnp.square(guess - series[:, 1:].T))


WAVES = Problem(gru_init, forecast, waves)


@functools.cache
def recalls() -> Points:
    """Return 1500 lists of 4 pairs of a key (of 8) and a value (of 6), one of the keys, and its value."""
    rng = np.random.default_rng(525)
    keys = np.argsort(rng.random((1500, 8)), axis=1)[:, :4]
    values, which = rng.integers(0, 6, (1500, 4)), rng.integers(0, 4, 1500)
    asked, answer = (part[np.arange(1500), which] for part in (keys, values))
    return tuple(part.astype(np.int32) for part in (keys, values, asked, answer))


def recall_init() -> Any:
    """Return the tables of keys and values, the query and the head."""
    return {
        "key": normal(526, 8, 12, size=0.5),
        "asked": normal(527, 8, 12, size=0.5),
        "value": normal(528, 6, 12, size=0.5),
        "head": normal(529, 12, 6, size=0.3),
    }


def recalling(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the value that attention finds."""
    keys, values, asked, answer = batch
    weight = jax.nn.softmax(jnp.einsum("nd,nkd->nk", params["asked"][asked], params["key"][keys]))
    found = jnp.einsum("nk,nkd->nd", weight, params["value"][values])
    return models.cross_entropy(found @ params["head"], answer)


RECALL = Problem(recall_init, recalling, recalls)


@functools.cache
def regions() -> Points:
    """Return 1000 places in a plane and a height that follows another slope in each of four quarters."""
    rng = np.random.default_rng(530)
    x = rng.uniform(-1, 1, (1000, 2))
    slope, level = rng.normal(size=(4, 2)), rng.normal(size=4)
    part = 2 * (x[:, 0] > 0) + (x[:, 1] > 0)
    y = np.sum(slope[part] * x, axis=1) + level[part] + 0.05 * rng.normal(size=1000)
    return x.astype(np.float32), y.astype(np.float32)


def mixture_init() -> Any:
    """Return a gate and four linear experts."""
    rng = np.random.default_rng(531)
    return {"gate": models.dense(rng, 2, 4, 0.5), "experts": models.dense(rng, 2, 4, 0.5)}


def mixture(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of the height under the gated experts, each with a deviation of 0.3."""
    x, y = batch
    gate = jax.nn.log_softmax(models.affine(params["gate"], x).astype(jnp.float32))
    error = (y[:, None] - models.affine(params["experts"], x)).astype(jnp.float32) / 0.3
    return -jnp.mean(jax.nn.logsumexp(gate - 0.5 * jnp.square(error), axis=1))


REGIONS = Problem(mixture_init, mixture, regions)


@functools.cache
def twisted() -> Points:
    """Return 1500 points in three dimensions, each number bent by those before it."""
    rng = np.random.default_rng(532)
    a, b, c = rng.normal(size=(3, 1500))
    b = 0.5 * b + np.sin(2 * a)
    return (np.stack([a, b, 0.3 * c * np.exp(0.5 * a) + 0.5 * a * b], axis=1).astype(np.float32),)


def chain_init() -> Any:
    """Return two networks: for the second number from the first, and for the third from both."""
    return {"second": models.mlp_init((1, 16, 2), 533), "third": models.mlp_init((2, 16, 2), 534)}


def autoregressive(params: Any, batch: Any) -> jax.Array:
    """Return the negative log density of an affine autoregressive flow."""
    (x,) = batch
    total = 0.5 * jnp.square(x[:, 0])
    for i, name in ((1, "second"), (2, "third")):
        out = models.mlp(params[name], x[:, :i], jnp.tanh)
        total = total + 0.5 * jnp.square((x[:, i] - out[:, 0]) * jnp.exp(-out[:, 1])) + out[:, 1]
    return jnp.mean(total)


TWISTED = Problem(chain_init, autoregressive, twisted)


@functools.cache
def captions() -> Points:
    """Return 800 pictures, for each a caption that fits, and four that do not."""
    rng = np.random.default_rng(535)
    idea = rng.normal(size=(800, 4))
    first, other = rng.normal(size=(4, 10)), rng.normal(size=(4, 8))
    fits = idea @ other + 0.3 * rng.normal(size=(800, 8))
    texts = np.stack([fits, *(np.roll(fits, k, axis=0) for k in (1, 2, 3, 4))], axis=1)
    return np.tanh(idea @ first).astype(np.float32), np.tanh(texts).astype(np.float32)


def towers() -> Any:
    """Return a tower for pictures, one for captions, and a temperature."""
    return {
        "picture": models.mlp_init((10, 16, 5), 536),
        "caption": models.mlp_init((8, 16, 5), 537),
        "log_scale": np.float32(0.5),
    }


def unit(x: jax.Array) -> jax.Array:
    """Return rows of length 1."""
    return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-6)


def contrast(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the caption that fits among five."""
    x, texts = batch
    a = unit(models.mlp(params["picture"], x, jax.nn.silu))
    b = unit(models.mlp(params["caption"], texts.reshape(-1, 8), jax.nn.silu)).reshape(-1, 5, 5)
    scores = jnp.exp(params["log_scale"]) * jnp.einsum("nd,nkd->nk", a, b)
    return -jnp.mean(jax.nn.log_softmax(scores)[:, 0])


CAPTIONS = Problem(towers, contrast, captions)
