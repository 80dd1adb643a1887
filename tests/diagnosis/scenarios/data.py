"""Synthetic data from fixed seeds, in float32 and int32, and batches of them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LECTURE_X = np.array([338, 333, 328, 207, 226, 25, 179, 60, 208, 606], np.float32)
LECTURE_Y = np.array([640, 633, 619, 393, 428, 27, 193, 66, 226, 1591], np.float32)


def always(batch: Any) -> Callable[[Any], Any]:
    """Return the batch function of a full-batch run."""
    return lambda count: jax.tree.map(jnp.asarray, batch)


def minibatches(data: tuple[np.ndarray, ...], size: int, seed: int = 0) -> Callable[[Any], Any]:
    """Return the batch function that draws `size` samples at random at each step."""

    def batch(count: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(seed), count)
        rows = jax.random.randint(key, (size,), 0, len(data[0]), jnp.int32)
        return tuple(jnp.asarray(x)[rows] for x in data)

    return batch


@functools.cache
def linear(samples: int, features: int, seed: int, noise: float, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return features, the last of them `spread` times the first in size, and a noisy linear target."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, features)) * np.geomspace(1, spread, features)
    w = rng.normal(size=features) / np.geomspace(1, spread, features)
    return x.astype(np.float32), (x @ w + noise * rng.normal(size=samples)).astype(np.float32)


@functools.cache
def clusters(
    samples: int, features: int, classes: int, seed: int, apart: float, flipped: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return points round one centre per class, and labels of which a share is drawn at random."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    x = apart * rng.normal(size=(classes, features))[labels] + rng.normal(size=(samples, features))
    labels = np.where(rng.random(samples) < flipped, rng.integers(0, classes, samples), labels)
    return x.astype(np.float32), labels.astype(np.int32)


@functools.cache
def teacher(samples: int, features: int, seed: int, noise: float, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return points and the noisy outputs of a fixed tanh network."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, features))
    y = np.tanh(x @ rng.normal(size=(features, 8)) / np.sqrt(features) * 2) @ rng.normal(size=(8, outputs))
    return x.astype(np.float32), (y + noise * rng.normal(size=y.shape)).astype(np.float32)


@functools.cache
def images(samples: int, seed: int, noise: float, flipped: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return 8x8 images of waves in one of 4 directions, and the direction."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, samples)
    angle, phase = labels * np.pi / 4, rng.uniform(0, 2 * np.pi, samples)
    row, column = np.mgrid[:8, :8]
    along = np.cos(angle)[:, None, None] * row + np.sin(angle)[:, None, None] * column
    x = np.sin(1.4 * along + phase[:, None, None]) + noise * rng.normal(size=(samples, 8, 8))
    labels = np.where(rng.random(samples) < flipped, rng.integers(0, 4, samples), labels)
    return x.astype(np.float32), labels.astype(np.int32)


@functools.cache
def sequences(samples: int, seed: int, sharp: float, length: int = 13) -> tuple[np.ndarray]:
    """Return sequences of 8 tokens from a Markov chain; the larger `sharp`, the more certain the next token."""
    rng = np.random.default_rng(seed)
    table = np.exp(sharp * rng.normal(size=(8, 8)))
    edges = np.cumsum(table / table.sum(1, keepdims=True), axis=1)
    tokens = np.zeros((samples, length), np.int32)
    tokens[:, 0] = rng.integers(0, 8, samples)
    for t in range(1, length):
        tokens[:, t] = (rng.random((samples, 1)) > edges[tokens[:, t - 1]]).sum(1).clip(0, 7)
    return (tokens,)
