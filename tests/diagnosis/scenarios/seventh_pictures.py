"""Problems of the seventh set that are pictures: masks, a narrow code, a portrait, twins, a book of codes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def cells() -> Points:
    """Return 300 noisy pictures of 8x8 with one or two cells, and the mask of the cells; opposite sides meet."""
    rng = np.random.default_rng(751)
    row, column = np.mgrid[:8, :8]
    mask = np.zeros((300, 8, 8), bool)
    for i in range(300):
        for _ in range(rng.integers(1, 3)):
            a, b = (np.minimum(far, 8 - far) for far in (np.abs(side - rng.uniform(0, 8)) for side in (row, column)))
            mask[i] |= a**2 + b**2 < 2
    x = mask + 0.6 * rng.normal(size=mask.shape)
    return x.astype(np.float32), mask.astype(np.float32)


def mask_init() -> Any:
    """Return two 3x3 convolutions and a read-out for each pixel."""
    rng = np.random.default_rng(752)
    return {
        "conv1": models.dense(rng, 9, 6, 1.4),
        "conv2": models.dense(rng, 54, 6, 1.4),
        "out": models.dense(rng, 6, 1),
    }


def stencil(layer: Any, x: jax.Array) -> jax.Array:
    """Return the 3x3 convolution of pictures that keeps their size."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    near = jnp.concatenate([padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)], axis=-1)
    return near @ layer["w"] + layer["b"][None, None, None, :]


def masking(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of each pixel."""
    x, mask = batch
    h = jax.nn.relu(stencil(params["conv1"], x[..., None]))
    h = jax.nn.relu(stencil(params["conv2"], h))
    score = (h @ params["out"]["w"] + params["out"]["b"][None, None, None])[..., 0]
    return jnp.mean(jax.nn.softplus(score) - mask * score)


def standardized(params: Any, batch: Any) -> jax.Array:
    """Return the loss on pictures less their mean, over their deviation, which of a blank one is 0."""
    x, mask = batch
    centred = x - jnp.mean(x, axis=(1, 2), keepdims=True)
    return masking(params, (centred / jnp.sqrt(jnp.mean(jnp.square(centred), axis=(1, 2), keepdims=True)), mask))


MASKS = Problem(mask_init, masking, cells)
STANDARDIZED = Problem(mask_init, standardized, cells)


@functools.cache
def spots() -> Points:
    """Return 400 pictures of 64 pixels between 0 and 1, each with a spot of its own place and width."""
    rng = np.random.default_rng(753)
    row, column = np.mgrid[:8, :8]
    (a, b), width = rng.uniform(1, 6, (2, 400, 1, 1)), rng.uniform(1, 2.5, (400, 1, 1))
    return (np.exp(-((row - a) ** 2 + (column - b) ** 2) / (2 * width**2)).reshape(400, 64).astype(np.float32),)


def squeeze_init() -> Any:
    """Return an autoencoder with a code of 4."""
    return models.mlp_init((64, 24, 4, 24, 64), 754, 1.2)


def squeezed(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the pixels, as if each were a chance."""
    (x,) = batch
    score = models.mlp(params, x, jnp.tanh)
    return jnp.mean(jax.nn.softplus(score) - x * score)


def bytes_of_spots() -> Points:
    """Return the pictures with pixels from 0 to 255, as they are stored."""
    return (255 * spots()[0],)


def squeezed_bytes(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of pixels of which only the inputs were divided by 255."""
    (x,) = batch
    score = models.mlp(params, x / 255, jnp.tanh)
    return jnp.mean(jax.nn.softplus(score) - x * score)


SQUEEZE = Problem(squeeze_init, squeezed, spots)
BYTES = Problem(squeeze_init, squeezed_bytes, bytes_of_spots)


@functools.cache
def portrait(scale: float = 1.0) -> Points:
    """Return waves over the 256 pixels of a picture, and how light each is."""
    row, column = np.mgrid[:16, :16].reshape(2, 256) / 16
    face = np.hypot(row - 0.5, column - 0.5) < 0.4
    eyes = np.minimum(np.hypot(row - 0.4, column - 0.35), np.hypot(row - 0.4, column - 0.65)) < 0.08
    light = 0.2 + 0.6 * face - 0.5 * eyes + 0.1 * np.sin(9 * column)
    turns = 2 * np.pi * np.random.default_rng(755).normal(size=(2, 12))
    angle = np.stack([row, column], axis=1) @ turns
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32), np.float32(scale * light)


def drawing(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the light."""
    x, light = batch
    return jnp.mean(jnp.square(models.mlp(params, x, jax.nn.relu)[:, 0] - light))


PORTRAIT = Problem(lambda: models.mlp_init((24, 32, 1), 756, 1.4), drawing, portrait)
BRIGHT = Problem(PORTRAIT.init, drawing, lambda: portrait(255.0))


@functools.cache
def twins() -> Points:
    """Return 1200 pairs of signatures of 8 people, and whether one person wrote both."""
    rng = np.random.default_rng(757)
    hand = rng.normal(size=(8, 10))
    first = rng.integers(0, 8, 1200)
    other = np.where(rng.random(1200) < 0.5, first, rng.integers(0, 8, 1200))
    x, y = (np.tanh(hand[who] + 0.5 * rng.normal(size=(1200, 10))) for who in (first, other))
    return x.astype(np.float32), y.astype(np.float32), (first == other).astype(np.float32)


def siamese(params: Any, batch: Any) -> jax.Array:
    """Return the contrastive loss with a margin of 1."""
    x, y, same = batch
    a, b = (models.mlp(params, part, jax.nn.silu) for part in (x, y))
    apart = jnp.sqrt(jnp.sum(jnp.square(a - b), axis=1) + 1e-6)
    return jnp.mean(same * jnp.square(apart) + (1 - same) * jnp.square(jnp.maximum(1 - apart, 0)))


TWINS = Problem(lambda: models.mlp_init((10, 16, 4), 758), siamese, twins)


@functools.cache
def sounds() -> Points:
    """Return 800 sounds of 8 numbers round 6 centres."""
    rng = np.random.default_rng(759)
    return ((rng.normal(size=(6, 8))[rng.integers(0, 6, 800)] + 0.2 * rng.normal(size=(800, 8))).astype(np.float32),)


def book_init() -> Any:
    """Return an encoder, a book of 10 codes, and a decoder."""
    rng = np.random.default_rng(760)
    return {
        "encoder": models.dense(rng, 8, 3),
        "book": normal(761, 10, 3, size=0.7),
        "decoder": models.mlp_init((3, 12, 8), 762),
    }


def quantized(through: bool) -> Any:
    """Return the loss of a quantized autoencoder, whose gradient may go straight through the choice of the code."""

    def loss(params: Any, batch: Any) -> jax.Array:
        (x,) = batch
        z = jnp.tanh(models.affine(params["encoder"], x))
        far = jnp.sum(jnp.square(z[:, None, :] - params["book"][None]), axis=2)
        code = params["book"][jnp.argmin(far, axis=1)]
        still = jax.lax.stop_gradient
        if not through:
            return jnp.mean(jnp.square(models.mlp(params["decoder"], code, jnp.tanh) - x))
        error = jnp.mean(jnp.square(models.mlp(params["decoder"], z + still(code - z), jnp.tanh) - x))
        return error + jnp.mean(jnp.square(code - still(z)) + 0.25 * jnp.square(still(code) - z))

    return loss


CODES = Problem(book_init, quantized(through=True), sounds)
