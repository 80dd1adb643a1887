"""Networks of the sixth set: gaits, molecules, clouds of points, strokes, relief, orders of tokens, turns."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fresh_models import windows
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def gaits(noise: float = 0.5) -> Points:
    """Return 800 recordings of 20 times and 3 axes of one of 4 ways to move, as many of each, and which."""
    rng = np.random.default_rng(641)
    kind = rng.permutation(np.arange(800) % 4)
    t, phase = np.arange(20)[None, :, None], rng.uniform(0, 2 * np.pi, (800, 1, 1))
    speed = np.array([0.3, 0.6, 0.9, 1.3])[kind][:, None, None]
    x = np.sin(speed * t + phase + np.array([0, 1, 2])) * rng.uniform(0.7, 1.3, (800, 1, 3))
    return (x + noise * rng.normal(size=(800, 20, 3))).astype(np.float32), kind.astype(np.int32)


def gait_init(gain: float = 1.4) -> Any:
    """Return two convolutions over time and a head."""
    rng = np.random.default_rng(642)
    sizes = {"conv1": (15, 12, gain), "conv2": (60, 16, gain), "head": (16, 4, 1.0)}
    return {name: models.dense(rng, *size) for name, size in sizes.items()}


def moving(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the way to move."""
    x, kind = batch
    for name in ("conv1", "conv2"):
        layer = params[name]
        x = windows(x.astype(layer["w"].dtype), 5)
        x = jax.nn.relu(x @ layer["w"] + layer["b"][None, None, :])
    return models.cross_entropy(models.affine(params["head"], jnp.mean(x, axis=1)).astype(jnp.float32), kind)


GAITS = Problem(gait_init, moving, gaits)


@functools.cache
def molecules() -> Points:
    """Return kind of atom and bonds of 700 molecules of 8 atoms, and the energy of each."""
    rng = np.random.default_rng(643)
    kind = rng.integers(0, 3, (700, 8))
    bond = np.triu(rng.random((700, 8, 8)) < 0.3, 1)
    bond = (bond | bond.transpose(0, 2, 1)).astype(np.float64)
    atom = np.eye(3)[kind]
    table = rng.normal(size=(3, 3))
    pairs = np.einsum("nia,ab,njb,nij->n", atom, table + table.T, atom, bond) / 4
    energy = pairs + 0.1 * np.sum(np.square(bond.sum(2) - 2), axis=1)
    energy = (energy - energy.mean()) / energy.std() + 0.1 * rng.normal(size=700)
    return atom.astype(np.float32), bond.astype(np.float32), energy.astype(np.float32)


def molecule_init() -> Any:
    """Return two rounds of messages and a head."""
    rng = np.random.default_rng(644)
    sizes = {"round0": (6, 16, 1.4), "round1": (32, 16, 1.0), "head": (16, 1, 1.0)}
    return {name: models.dense(rng, *size) for name, size in sizes.items()}


def messages(params: Any, atom: jax.Array, bond: jax.Array) -> jax.Array:
    """Return the energies that a network of two rounds of messages gives to molecules."""
    for name in ("round0", "round1"):
        layer = params[name]
        both = jnp.concatenate([atom, bond @ atom / 2], axis=2)
        atom = jax.nn.relu(both @ layer["w"] + layer["b"][None, None, :])
    return models.affine(params["head"], jnp.mean(atom, axis=1))[:, 0]


def binding(scale: float) -> Any:
    """Return half the mean squared error of the energy in units of which there are `scale` in the network's own."""

    def loss(params: Any, batch: Any) -> jax.Array:
        atom, bond, energy = batch
        return models.squared(messages(params, atom, bond), scale * energy)

    return loss


MOLECULES = Problem(molecule_init, binding(1.0), molecules)


@functools.cache
def clouds() -> Points:
    """Return 900 sets of 12 points on a circle, a square or a cross of any size, and which."""
    rng = np.random.default_rng(645)
    kind = rng.permutation(np.arange(900) % 3)
    angle, side, along = (rng.uniform(-1, 1, (900, 12)) for _ in range(3))
    circle = np.stack([np.cos(np.pi * angle), np.sin(np.pi * angle)], axis=2)
    edge = np.where(side > 0, 1.0, -1.0)
    flip = (angle > 0)[..., None]
    square = np.where(flip, np.stack([edge, along], axis=2), np.stack([along, edge], axis=2))
    cross = np.where(flip, np.stack([along, 0 * along], axis=2), np.stack([0 * along, along], axis=2))
    x = np.stack([circle, square, cross])[kind, np.arange(900)]
    x = x * rng.uniform(0.7, 1.4, (900, 1, 1)) + 0.05 * rng.normal(size=(900, 12, 2))
    return x.astype(np.float32), kind.astype(np.int32)


def shape_of(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the shape, from the mean and the largest of each unit over the points."""
    x, kind = batch
    for name in ("point0", "point1"):
        x = jax.nn.relu(x @ params[name]["w"] + params[name]["b"][None, None, :])
    whole = jnp.concatenate([jnp.mean(x, axis=1), jnp.max(x, axis=1)], axis=1)
    return models.cross_entropy(models.affine(params["head"], whole), kind)


def cloud_init() -> Any:
    """Return two layers for each point and a head."""
    rng = np.random.default_rng(646)
    return {name: models.dense(rng, *size) for name, size in CLOUD_SIZES.items()}


CLOUD_SIZES = {"point0": (2, 24, 1.4), "point1": (24, 16, 1.4), "head": (32, 3, 1.0)}
CLOUDS = Problem(cloud_init, shape_of, clouds)


@functools.cache
def strokes() -> Points:
    """Return 600 pictures of 8x8 with a row and a column of strokes that fade, from 0 to 1."""
    rng = np.random.default_rng(647)
    row, column = (rng.integers(0, 8, (600, 1, 1)) for _ in range(2))
    fade = rng.uniform(0.3, 1, (2, 600, 8))
    grid = np.arange(8)
    x = (grid[None, :, None] == row) * fade[0][:, None, :] + (grid[None, None, :] == column) * fade[1][:, :, None]
    return (np.minimum(x, 1).reshape(600, 64).astype(np.float32),)


def copying(scale: float, activation: Any = jax.nn.gelu) -> Any:
    """Return the error of an autoencoder, summed over the pixels, of pictures that go from 0 to `scale`."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x = scale * batch[0]
        return jnp.mean(jnp.sum(jnp.square(models.mlp(params, x, activation) - x), axis=1))

    return loss


STROKES = Problem(lambda: models.mlp_init((64, 32, 12, 32, 64), 648), copying(1.0), strokes)


@functools.cache
def relief() -> Points:
    """Return 700 places of a map, as waves of both coordinates, and the height there, 0 to 1."""
    rng = np.random.default_rng(649)
    place = rng.uniform(-1, 1, (700, 2))
    turned = place @ rng.normal(0, 2, (2, 10))
    hills = sum(np.exp(-8 * np.sum((place - peak) ** 2, axis=1)) for peak in rng.uniform(-0.8, 0.8, (5, 2)))
    return np.concatenate([np.sin(turned), np.cos(turned)], 1).astype(np.float32), (hills / hills.max()).astype(
        np.float32
    )


def height(outcome: Any, scale: float = 1.0) -> Any:
    """Return half the mean squared error of the height, of what `outcome` makes of a score, in units of 1 / scale."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, true = batch
        return models.squared(scale * outcome(models.mlp(params, x, jax.nn.gelu)[:, 0]), scale * true)

    return loss


RELIEF = Problem(lambda: models.mlp_init((20, 24, 16, 1), 650), height(lambda score: score), relief)


@functools.cache
def orders() -> Points:
    """Return 3000 lines of 8 tokens, one of them 0 and one 1, and whether the 0 comes first."""
    rng = np.random.default_rng(651)
    token = rng.integers(2, 10, (3000, 8))
    place = np.argsort(rng.random((3000, 8)), axis=1)[:, :2]
    rows = np.arange(3000)
    token[rows, place[:, 0]], token[rows, place[:, 1]] = 0, 1
    return token.astype(np.int32), (place[:, 0] < place[:, 1]).astype(np.int32)


def order_init(placed: bool = True) -> Any:
    """Return tokens, a layer of attention, a hidden layer and a head; with or without positions."""
    rng = np.random.default_rng(652)
    token, position = (rng.normal(0, 0.5, size).astype(np.float32) for size in ((10, 12), (8, 12)))
    parts = {name: models.dense(rng, 12, 12, 1.0)["w"] for name in ("q", "k", "v")}
    start = {"token": token, "attention": parts, "up": models.dense(rng, 12, 24), "head": models.dense(rng, 24, 2)}
    return {**start, "position": position} if placed else start


def came_first(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of which of the two marked tokens came first."""
    token, first = batch
    x = jax.nn.one_hot(token, 10, dtype=jnp.float32) @ params["token"]
    if "position" in params:
        x = x + params["position"][None]
    q, k, v = (x @ params["attention"][name] for name in ("q", "k", "v"))
    x = x + jax.nn.softmax(q @ jnp.swapaxes(k, 1, 2) / np.float32(12**0.5), axis=-1) @ v
    x = jax.nn.relu(x @ params["up"]["w"] + params["up"]["b"][None, None, :])
    return models.cross_entropy(models.affine(params["head"], jnp.mean(x, axis=1)), first)


ORDERS = Problem(order_init, came_first, orders)


@functools.cache
def turns(seen: bool = True) -> Points:
    """Return two steps of 2000 walks, and whether the second goes left; or of the steps their lengths and angle."""
    rng = np.random.default_rng(653)
    a, b = rng.normal(size=(2, 2000, 2))
    left = a[:, 0] * b[:, 1] > a[:, 1] * b[:, 0]
    lengths = [np.sum(p * q, axis=1) for p, q in ((a, a), (a, b), (b, a), (b, b))]
    x = np.concatenate([a, b], axis=1) if seen else np.stack(lengths, axis=1)
    return x.astype(np.float32), left.astype(np.int32)


TURNS = Problem(lambda: models.mlp_init((4, 24, 2), 654), models.classify(jax.nn.relu), turns)
