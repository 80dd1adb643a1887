"""Problems of the eighth set, part b: signals, small pictures, fields and series; and how its runs are made."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_problems import Points, Problem, fresh


def eighth(*args: Any, **fields: Any) -> Scenario:
    """Return a scenario of the eighth set; its arguments are those of `fresh`."""
    return dataclasses.replace(fresh(*args, **fields), half="eighth")


def normal(seed: int, *shape: int, size: float = 1.0) -> np.ndarray:
    """Return normal numbers of this size."""
    return (size * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def taps(seed: int, width: int, n_in: int, n_out: int, gain: float = 1.4, bias: float = 0.0) -> dict[str, Any]:
    """Return a convolution along a line."""
    w = normal(seed, width, n_in, n_out, size=gain / np.sqrt(width * n_in))
    return {"w": w, "b": np.full(n_out, bias, np.float32)}


def along(layer: Any, x: jax.Array, before: int, dilation: int = 1) -> jax.Array:
    """Return the convolution of (batch, time, channel), with this many zeros before and the rest behind."""
    width, length = layer["w"].shape[0], x.shape[1]
    x = jnp.pad(x, ((0, 0), (before, (width - 1) * dilation - before), (0, 0)))
    patches = jnp.concatenate([x[:, i * dilation : i * dilation + length] for i in range(width)], axis=-1)
    return patches @ layer["w"].reshape(-1, layer["w"].shape[-1]) + layer["b"][None, None, :]


@functools.cache
def staircases() -> Points:
    """Return 300 noisy signals of 32 values that jump between levels, and the signals without the noise."""
    rng = np.random.default_rng(9001)
    edges = np.sort(rng.integers(2, 30, (300, 3)), axis=1)
    part = (np.arange(32)[None, :, None] >= edges[:, None, :]).sum(2)
    clean = np.take_along_axis(rng.normal(size=(300, 4)), part, axis=1)
    return (clean + 0.5 * rng.normal(size=clean.shape)).astype(np.float32), clean.astype(np.float32)


def denoiser(bias: float = 0.0) -> Any:
    """Return three convolutions of five taps; the first has this bias."""
    return {"conv1": taps(9002, 5, 1, 8, bias=bias), "conv2": taps(9003, 5, 8, 8), "conv3": taps(9004, 5, 8, 1, 0.5)}


def denoised(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the signal."""
    x, clean = batch
    h = jax.nn.relu(along(params["conv1"], x[:, :, None], 2))
    h = jax.nn.relu(along(params["conv2"], h, 2))
    return jnp.mean(jnp.square(along(params["conv3"], h, 2)[:, :, 0] - clean))


DENOISE = Problem(denoiser, denoised, staircases)


@functools.cache
def slides() -> Points:
    """Return 200 pictures of 10x10 of a cell and a fibre, and the kind of each pixel: nothing, cell, fibre."""
    rng = np.random.default_rng(9005)
    row, column = np.mgrid[:10, :10]
    middle, radius = rng.uniform(2, 8, (200, 2, 1, 1)), rng.uniform(1.5, 3, (200, 1, 1))
    cell = np.square(row - middle[:, 0]) + np.square(column - middle[:, 1]) < np.square(radius)
    angle, offset = rng.uniform(0, np.pi, (2, 200, 1, 1))
    fibre = np.abs(np.cos(angle) * (row - 4.5) + np.sin(angle) * (column - 4.5) + 2 * offset - 3) < 0.7
    kind = np.where(fibre, 2, np.where(cell, 1, 0))
    x = np.array([0.0, 0.8, 1.0])[kind] + 0.25 * rng.normal(size=kind.shape)
    return x.astype(np.float32), kind.astype(np.int32)


def segmenter() -> Any:
    """Return two convolutions of 3x3 and a score for each kind of pixel."""
    rng = np.random.default_rng(9006)
    return {
        "conv1": models.dense(rng, 9, 8, 1.4),
        "conv2": models.dense(rng, 72, 8, 1.4),
        "kind": models.dense(rng, 8, 3),
    }


def around(layer: Any, x: jax.Array) -> jax.Array:
    """Return the 3x3 convolution of pictures at full size."""
    n = x.shape[1]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return models.affine(
        layer, jnp.concatenate([x[:, i : i + n, j : j + n] for i in range(3) for j in range(3)], axis=-1)[..., None, :]
    )[..., 0, :]


def painted(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the kind of each pixel."""
    x, kind = batch
    h = jax.nn.relu(around(params["conv1"], x[..., None]))
    h = jax.nn.relu(around(params["conv2"], h))
    hot = jax.nn.one_hot(kind, 3, dtype=jnp.float32)
    scores = h @ params["kind"]["w"] + params["kind"]["b"][None, None, None, :]
    return -jnp.mean(jnp.sum(hot * jax.nn.log_softmax(scores), axis=-1))


CELLS = Problem(segmenter, painted, slides)


@functools.cache
def chirps(seed: int = 9007, noise: float = 0.6, drop: float = 1.0, samples: int = 2000) -> Points:
    """Return signals of 40 values whose tone rises or, turned round, falls, and which."""
    rng = np.random.default_rng(seed)
    t, start = np.arange(40)[None, :] / 40, rng.uniform(3, 6, (samples, 1))
    x = np.sin(2 * np.pi * (start * t + 0.5 * 8 * drop * t**2) + rng.uniform(0, 2 * np.pi, (samples, 1)))
    falls = np.arange(samples) % 2
    x = np.where(falls[:, None] == 1, x[:, ::-1], x) + noise * rng.normal(size=x.shape)
    return x.astype(np.float32), falls.astype(np.int32)


def listener() -> Any:
    """Return a convolution of seven taps and a head on four parts of the signal."""
    rng = np.random.default_rng(9009)
    return {"conv": taps(9008, 7, 1, 12), "hidden": models.dense(rng, 48, 16, 1.4), "head": models.dense(rng, 16, 2)}


def heard(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of rising and falling, from the energy of each channel in each part."""
    x, falls = batch
    h = jnp.square(along(params["conv"], x[:, :, None], 3)).reshape(x.shape[0], 4, 10, 12)
    h = jnp.log1p(jnp.mean(h, axis=2)).reshape(x.shape[0], 48)
    return models.cross_entropy(models.affine(params["head"], jax.nn.relu(models.affine(params["hidden"], h))), falls)


CHIRPS = Problem(listener, heard, chirps)


@functools.cache
def melody() -> Points:
    """Return 200 times and the height of a sound at each."""
    t = np.linspace(-1, 1, 200)
    y = np.sin(25 * t) * np.exp(-2 * np.square(t - 0.3)) + 0.5 * np.sin(60 * t + 1) * np.exp(-4 * np.square(t + 0.4))
    return t[:, None].astype(np.float32), y.astype(np.float32)


def sines_init() -> Any:
    """Return a field of two layers of sines."""
    rng = np.random.default_rng(9010)
    return {
        "first": {
            "w": rng.uniform(-1, 1, (1, 32)).astype(np.float32),
            "b": rng.uniform(-1, 1, 32).astype(np.float32),
        },
        "second": models.dense(rng, 32, 32, 1.4),
        "out": models.dense(rng, 32, 1),
    }


def sines(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the sound."""
    t, y = batch
    h = jnp.sin(30 * models.affine(params["first"], t))
    return jnp.mean(jnp.square(models.affine(params["out"], jnp.sin(models.affine(params["second"], h)))[:, 0] - y))


MELODY = Problem(sines_init, sines, melody)


@functools.cache
def henon(windows: int = 300, length: int = 24) -> Points:
    """Return windows of a series in which each value follows from the two before, without noise."""
    x = np.zeros(windows * length + 100)
    for t in range(2, len(x)):
        x[t] = 1 - 1.4 * x[t - 1] ** 2 + 0.3 * x[t - 2]
    return (x[100:].reshape(windows, length).astype(np.float32),)


def causal_init() -> Any:
    """Return three convolutions that look back, ever further apart."""
    return {
        "near": taps(9011, 2, 1, 12),
        "far": taps(9012, 2, 12, 12),
        "farther": taps(9013, 2, 12, 12),
        "out": taps(9014, 1, 12, 1, 1.0),
    }


def causal(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of each next value, but for the first three."""
    (x,) = batch
    h = jnp.tanh(along(params["near"], x[:, :-1, None], 1))
    h = h + jnp.tanh(along(params["far"], h, 2, 2))
    h = h + jnp.tanh(along(params["farther"], h, 4, 4))
    return jnp.mean(jnp.square(along(params["out"], h, 0)[:, 3:, 0] - x[:, 4:]))


HENON = Problem(causal_init, causal, henon)


@functools.cache
def readings() -> Points:
    """Return 48 readings of a line of light, each blurred over its neighbours."""
    rng = np.random.default_rng(9015)
    x = np.zeros(48)
    x[[8, 20, 23, 35, 36, 37]] = [2.0, 1.5, -1.0, 1.0, 1.2, 0.8]
    return ((blurring() @ x + 0.01 * rng.normal(size=48)).astype(np.float32),)


@functools.cache
def blurring() -> np.ndarray:
    """Return what blurs a line of 48 values by a bell of width 1.2."""
    i = np.arange(48)
    bell = np.exp(-0.5 * np.square((i[:, None] - i[None, :]) / 1.2))
    return (bell / bell[24].sum()).astype(np.float32)


def sharpened(params: Any, batch: Any) -> jax.Array:
    """Return the summed squared error of the line, blurred again."""
    return 0.5 * jnp.sum(jnp.square(jnp.asarray(blurring()) @ params["line"] - batch[0]))


BLUR = Problem(lambda: {"line": np.zeros(48, np.float32)}, sharpened, readings)
