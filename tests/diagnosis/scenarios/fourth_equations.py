"""Problems of the fourth set that are seen whole at each step: equations, graphs, kernels, motions."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fresh_models import nothing
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def friends() -> tuple[np.ndarray, ...]:
    """Return a graph of 60 nodes in three groups, smoothed as a graph network does; features, groups, who is asked."""
    rng = np.random.default_rng(241)
    group = np.arange(60) % 3
    edges = np.triu(rng.random((60, 60)) < np.where(group[:, None] == group[None, :], 0.25, 0.04), 1)
    a = (edges | edges.T) + np.eye(60)
    degree = a.sum(1)
    x = 0.7 * np.eye(3)[group] @ rng.normal(size=(3, 8)) + rng.normal(size=(60, 8))
    return (a / np.sqrt(degree[:, None] * degree)).astype(np.float32), x.astype(np.float32), group.astype(np.int32)


def graph_points() -> Points:
    """Return the smoothed graph, the features, and the groups."""
    return friends()


def graph_net(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the groups of the first 40 nodes under a graph network of two layers."""
    a, x, group = batch
    h = jax.nn.relu(a @ models.affine(params["one"], x))
    scores = a @ models.affine(params["two"], h)
    return models.cross_entropy(scores[:40], group[:40])


def graph_init() -> Any:
    """Return two layers."""
    rng = np.random.default_rng(242)
    return {"one": models.dense(rng, 8, 16), "two": models.dense(rng, 16, 3)}


FRIENDS = Problem(graph_init, graph_net, graph_points)


def spots() -> Points:
    """Return 32 places between 0 and 1."""
    return (np.linspace(0, 1, 32, dtype=np.float32),)


def bending(params: Any, batch: Any) -> jax.Array:
    """Return how far a network is from u'' = -9 sin(3 x) with u = 0 at both ends."""

    def u(x: jax.Array) -> jax.Array:
        return models.mlp(params, x[:, None], jnp.tanh)[:, 0]

    (x,) = batch
    one = jnp.ones_like(x)
    second = jax.jvp(lambda x: jax.jvp(u, (x,), (one,))[1], (x,), (one,))[1]
    ends = u(jnp.array([0, 1], jnp.float32))
    return jnp.mean(jnp.square(second + 9 * jnp.sin(3 * x))) / 10 + 10 * jnp.mean(jnp.square(ends))


BENDING = Problem(lambda: models.mlp_init((1, 16, 16, 1), 243), bending, spots)


def tune() -> Points:
    """Return 96 times and the height of a wave with three frequencies."""
    t = np.linspace(-1, 1, 96)
    y = np.sin(9 * t) + 0.5 * np.sin(23 * t + 1) + 0.3 * np.cos(4 * t)
    return t[:, None].astype(np.float32), y[:, None].astype(np.float32)


def sines(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a network of sines."""
    t, y = batch
    return models.squared(models.mlp(params, t, jnp.sin), y)


def sines_init() -> Any:
    """Return a network of sines whose first layer is fast."""
    params = models.mlp_init((1, 24, 24, 1), 244, 1.4)
    params["layer0"]["w"] = 8 * params["layer0"]["w"]
    return params


TUNE = Problem(sines_init, sines, tune)


@functools.cache
def measured() -> Points:
    """Return 30 places and a noisy smooth function of them."""
    rng = np.random.default_rng(245)
    x = np.sort(rng.uniform(0, 4, 30))
    return x.astype(np.float32), (np.sin(2 * x) + 0.1 * rng.normal(size=30)).astype(np.float32)


def evidence(params: Any, batch: Any) -> jax.Array:
    """Return the negative log marginal likelihood of a Gaussian process, by point: below 0 at its least."""
    x, y = batch
    gap = jnp.square(x[:, None] - x[None, :]) * jnp.exp(-2 * params["log_length"])
    noise = jnp.exp(2 * params["log_noise"]) + 1e-5
    k = jnp.exp(2 * params["log_size"] - 0.5 * gap) + noise * jnp.eye(30, dtype=jnp.float32)
    root = jnp.linalg.cholesky(k)
    half = jax.scipy.linalg.solve_triangular(root, y, lower=True)
    return (0.5 * jnp.sum(jnp.square(half)) + jnp.sum(jnp.log(jnp.diagonal(root)))) / 30 + np.float32(0.919)


def process() -> Any:
    """Return a process that is too short, too small and too noisy."""
    return {"log_length": np.float32(-2.0), "log_size": np.float32(-1.0), "log_noise": np.float32(0.0)}


MEASURED = Problem(process, evidence, measured)


@functools.cache
def orbits() -> Points:
    """Return 24 paths of 9 points that turn round the origin and fall in."""
    rng = np.random.default_rng(246)
    turn = np.exp(-0.1) * np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    path = [rng.normal(size=(24, 2))]
    for _ in range(8):
        path.append(path[-1] @ turn.T)
    return (np.stack(path, axis=1).astype(np.float32),)


def motion(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of paths that a network drives, by Heun's method with two steps a point."""
    (path,) = batch

    def speed(x: jax.Array) -> jax.Array:
        return models.mlp(params, x, jnp.tanh)

    def step(x: jax.Array, time: None) -> tuple[jax.Array, jax.Array]:
        for _ in range(2):
            k = speed(x)
            x = x + 0.25 * (k + speed(x + 0.5 * k))
        return x, x

    driven = jax.lax.scan(step, path[:, 0], None, length=8)[1]
    return models.squared(jnp.swapaxes(driven, 0, 1), path[:, 1:])


ORBITS = Problem(lambda: models.mlp_init((2, 16, 2), 247, 0.5), motion, orbits)


@functools.cache
def distances() -> Points:
    """Return the distances of 16 towns, with some error."""
    rng = np.random.default_rng(248)
    towns = rng.normal(size=(16, 2))
    d = np.linalg.norm(towns[:, None] - towns[None, :], axis=2)
    error = np.triu(0.1 * rng.normal(size=(16, 16)), 1)
    return ((d + error + error.T).astype(np.float32),)


def stress(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the squared distances on a map, whose middle is held at the origin."""
    (d,) = batch
    place = params["place"]
    gap = jnp.sum(jnp.square(place[:, None] - place[None, :]), axis=2)
    return jnp.mean(jnp.square(gap - jnp.square(d))) / 4 + jnp.sum(jnp.square(jnp.mean(place, axis=0)))


def map_init() -> Any:
    """Return towns at random."""
    return {"place": (0.5 * np.random.default_rng(249).normal(size=(16, 2))).astype(np.float32)}


MAP = Problem(map_init, stress, distances)


def needles(params: Any, batch: Any) -> jax.Array:
    """Return the energy of 10 compass needles in a ring, of which neighbours want to agree, in a weak field."""
    angle = params["angle"]
    return -jnp.mean(jnp.cos(angle - jnp.roll(angle, 1))) - 0.05 * jnp.mean(jnp.cos(angle))


def reaching(params: Any, batch: Any) -> jax.Array:
    """Return how far the hand of an arm of 4 joints is from a place it cannot reach at ease."""
    angle = jnp.cumsum(params["joint"])
    hand = jnp.stack([jnp.sum(jnp.cos(angle)), jnp.sum(jnp.sin(angle))])
    return jnp.sum(jnp.square(hand - jnp.array([1.0, 2.0], jnp.float32))) + 0.1 * jnp.sum(jnp.square(params["joint"]))


ARM = Problem(lambda: {"joint": np.array([0.3, -0.2, 0.1, 0.2], np.float32)}, reaching, nothing)


def himmelblau(params: Any, batch: Any) -> jax.Array:
    """Return Himmelblau's function, raised by 1: four minima, four saddles and a hill."""
    x, y = params["x"][0], params["x"][1]
    return 1 + jnp.square(x * x + y - 11) + jnp.square(x + y * y - 7)


HIMMELBLAU = Problem(lambda: {"x": np.array([0.5, -0.5], np.float32)}, himmelblau, nothing)


@functools.cache
def powers() -> Points:
    """Return the powers 0 to 8 of 50 numbers between -1 and 1, and a wave of them."""
    rng = np.random.default_rng(250)
    t = np.sort(rng.uniform(-1, 1, 50))
    return (t[:, None] ** np.arange(9)).astype(np.float32), (np.sin(4 * t) + 0.02 * rng.normal(size=50)).astype(
        np.float32
    )


def polynomial(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a polynomial."""
    x, y = batch
    return models.squared(x @ params["w"], y)


POWERS = Problem(lambda: {"w": np.zeros(9, np.float32)}, polynomial, powers)
