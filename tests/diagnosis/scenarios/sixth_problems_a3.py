"""Networks of the sixth set: sets, residual blocks, a student, patches, a picture, seizures, genes, views, votes."""

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
def sets() -> Points:
    """Return 1200 sets of 6 places in a plane, and how wide each is."""
    x = normal(641, 1200, 6, 2)
    return x, (x[:, :, 0].max(1) - x[:, :, 0].min(1)).astype(np.float32)


def wide(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a network on the sum and the largest of what it sees in each place."""
    x, width = batch
    seen = models.mlp(params["each"], x.reshape(-1, 2), jax.nn.relu).reshape(-1, 6, 12)
    pooled = jnp.concatenate([jnp.mean(seen, axis=1), jnp.max(seen, axis=1)], axis=1)
    return models.squared(models.mlp(params["all"], pooled, jax.nn.relu)[:, 0], width)


SETS = Problem(
    lambda: {"each": models.mlp_init((2, 16, 12), 642), "all": models.mlp_init((24, 16, 1), 643)}, wide, sets
)


@functools.cache
def minerals() -> Points:
    """Return 20 bands of 1200 stones and which of 6 minerals each is; two kinds of each, a few named wrongly."""
    rng = np.random.default_rng(644)
    kind, second = rng.integers(0, 6, 1200), rng.integers(0, 2, 1200)
    x = np.tanh(rng.normal(size=(2, 6, 20))[second, kind]) + 0.7 * rng.normal(size=(1200, 20))
    kind = np.where(rng.random(1200) < 0.05, rng.integers(0, 6, 1200), kind)
    return x.astype(np.float32), kind.astype(np.int32)


def residual_init() -> Any:
    """Return a first layer, three blocks and a head."""
    rng = np.random.default_rng(645)
    blocks = {f"block{i}": {"up": models.dense(rng, 24, 32), "down": models.dense(rng, 32, 24, 0.5)} for i in range(3)}
    return {"first": models.dense(rng, 20, 24), **blocks, "head": models.dense(rng, 24, 6, 0.3)}


def residual(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a network of residual blocks, each with normalized inputs."""
    x = models.affine(params["first"], batch[0])
    for i in range(3):
        block = params[f"block{i}"]
        x = x + models.affine(block["down"], jax.nn.gelu(models.affine(block["up"], models.normalized(x))))
    return models.cross_entropy(models.affine(params["head"], models.normalized(x)), batch[1])


MINERALS = Problem(residual_init, residual, minerals)


@functools.cache
def lessons() -> Points:
    """Return 1000 points and what a teacher holds of each: a chance for each of 5 classes."""
    x = normal(646, 1000, 10)
    scores = 2.5 * np.tanh(x @ normal(647, 10, 14, size=0.5)) @ normal(648, 14, 5, size=0.6)
    chance = np.exp(scores - scores.max(1, keepdims=True))
    return x, (chance / chance.sum(1, keepdims=True)).astype(np.float32)


def student(params: Any, batch: Any) -> jax.Array:
    """Return the distance of a student's chances from the teacher's: 0 at best."""
    x, chance = batch
    own = jax.nn.log_softmax(models.mlp(params, x, jax.nn.relu))
    return jnp.mean(jnp.sum(chance * (jnp.log(chance + 1e-9) - own), axis=1))


LESSONS = Problem(lambda: models.mlp_init((10, 20, 5), 649), student, lessons)


@functools.cache
def patches() -> Points:
    """Return 1000 patches of 25 values, each a sum of about 2 of 14 shapes."""
    rng = np.random.default_rng(650)
    used = (rng.random((1000, 14)) < 0.15) * rng.exponential(size=(1000, 14))
    return ((used @ rng.normal(size=(14, 25)) / 2 + 0.05 * rng.normal(size=(1000, 25))).astype(np.float32),)


def sparse(params: Any, batch: Any) -> jax.Array:
    """Return the squared error of patches written by few units, with a price on their use."""
    (x,) = batch
    code = jax.nn.relu(models.affine(params["in"], x))
    again = models.affine(params["out"], code)
    return jnp.mean(jnp.sum(jnp.square(again - x), axis=1)) + 0.05 * jnp.mean(jnp.sum(code, axis=1))


def coder() -> Any:
    """Return an encoder and a decoder of 20 units."""
    rng = np.random.default_rng(651)
    return {"in": models.dense(rng, 25, 20), "out": models.dense(rng, 20, 25)}


PATCHES = Problem(coder, sparse, patches)


@functools.cache
def pixels() -> Points:
    """Return 1600 places of a picture, as waves, and how bright each is."""
    x, y = (v.reshape(-1) for v in np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40)))
    bright = np.where(x**2 + y**2 < 0.5, 1.0, 0.0) + 0.5 * np.sin(6 * x * y) + 0.3 * (x > 0.4)
    waves = np.stack([x, y], axis=1) @ np.random.default_rng(652).normal(size=(2, 12)) * 3
    return np.concatenate([np.sin(waves), np.cos(waves)], axis=1).astype(np.float32), bright.astype(np.float32)


def painting(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the picture by a network of the place."""
    return models.squared(models.mlp(params, batch[0], jax.nn.silu)[:, 0], batch[1])


PIXELS = Problem(lambda: models.mlp_init((24, 32, 32, 1), 653), painting, pixels)


@functools.cache
def seizures() -> Points:
    """Return 400 series of 32 values with a quick swing in part of them, and in which part."""
    rng = np.random.default_rng(654)
    t, start, length = np.arange(32)[None, :], rng.integers(0, 24, (400, 1)), rng.integers(4, 12, (400, 1))
    within = (t >= start) & (t < start + length)
    x = np.sin(0.3 * t + rng.uniform(0, 6, (400, 1))) + within * np.sin(2.4 * t + rng.uniform(0, 6, (400, 1)))
    return (x + 0.3 * rng.normal(size=x.shape)).astype(np.float32), within.astype(np.float32)


def dilated_init() -> Any:
    """Return three convolutions of width 3 and a read-out."""
    rng = np.random.default_rng(655)
    sizes = ((3, 8), (24, 8), (24, 8), (8, 1))
    return {f"layer{i}": models.dense(rng, a, b, 1.3) for i, (a, b) in enumerate(sizes)}


def detecting(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss at each time of convolutions that reach 1, 2 and 4 steps to both sides."""
    x, within = batch
    h = x[:, :, None]
    for i, reach in enumerate((1, 2, 4)):
        p = jnp.pad(h, ((0, 0), (reach, reach), (0, 0)))
        h = jnp.concatenate([p[:, k * reach : k * reach + 32] for k in range(3)], axis=2)
        h = jax.nn.relu(models.affine({"w": params[f"layer{i}"]["w"], "b": params[f"layer{i}"]["b"][None]}, h))
    score = (h @ params["layer3"]["w"])[:, :, 0] + params["layer3"]["b"][0]
    return jnp.mean(jax.nn.softplus(score) - within * score)


SEIZURES = Problem(dilated_init, detecting, seizures)


@functools.cache
def genes() -> Points:
    """Return 800 strings of 20 letters (of 4), and whether a word of 5 stands in it, up to one letter."""
    rng = np.random.default_rng(656)
    letters, has = rng.integers(0, 4, (800, 20)), rng.integers(0, 2, 800)
    word, at, wrong = np.array([0, 2, 3, 3, 1]), rng.integers(0, 16, 800), rng.integers(0, 5, 800)
    for i in np.flatnonzero(has):
        letters[i, at[i] : at[i] + 5] = np.where(np.arange(5) == wrong[i], letters[i, at[i] : at[i] + 5], word)
    return letters.astype(np.int32), has.astype(np.float32)


def motifs(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of the best fits of 10 filters of width 5."""
    letters, has = batch
    hot = jax.nn.one_hot(letters, 4, dtype=jnp.float32)
    windows = jnp.concatenate([hot[:, k : k + 16] for k in range(5)], axis=2)
    best = jnp.max(jax.nn.relu(windows @ params["filter"] + params["shift"][None, None, :]), axis=1)
    score = models.affine(params["head"], best)[:, 0]
    return jnp.mean(jax.nn.softplus(score) - has * score)


def filters() -> Any:
    """Return 10 filters and a head."""
    head = models.dense(np.random.default_rng(657), 10, 1)
    return {"filter": normal(658, 20, 10, size=0.5), "shift": np.zeros(10, np.float32), "head": head}


GENES = Problem(filters, motifs, genes)


@functools.cache
def views() -> Points:
    """Return two views of 12 values each of 600 things."""
    rng = np.random.default_rng(659)
    thing = rng.normal(size=(600, 5)) @ rng.normal(size=(5, 12)) / 2
    return tuple((np.tanh(thing) + 0.4 * rng.normal(size=(600, 12))).astype(np.float32) for _ in range(2))


def nearest(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the other view of a thing among those of the next seven things as well."""
    a, b = (unit(models.mlp(params, x, jax.nn.gelu)) for x in batch)
    scores = 5 * jnp.stack([jnp.sum(a * jnp.roll(b, k, axis=0), axis=1) for k in range(8)], axis=1)
    return -jnp.mean(jax.nn.log_softmax(scores)[:, 0])


VIEWS = Problem(lambda: models.mlp_init((12, 24, 6), 660), nearest, views)


@functools.cache
def votes() -> Points:
    """Return 900 rows of 9 votes for one of 3, and who got the most."""
    vote = np.random.default_rng(661).integers(0, 3, (900, 9))
    count = np.stack([(vote == k).sum(1) for k in range(3)], axis=1)
    return vote.astype(np.int32), count.argmax(1).astype(np.int32)


def counting(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the winner by a plain recurrent network that reads vote after vote."""
    vote, won = batch

    def read(h: jax.Array, seen: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(params["vote"][seen] + models.affine(params["own"], h)), None

    h, _ = jax.lax.scan(read, jnp.zeros((vote.shape[0], 14), jnp.float32), vote.T)
    return models.cross_entropy(models.affine(params["head"], h), won)


def reader() -> Any:
    """Return the vectors of votes, the recurrent layer and the head."""
    rng = np.random.default_rng(662)
    return {"vote": normal(663, 3, 14, size=0.5), "own": models.dense(rng, 14, 14), "head": models.dense(rng, 14, 3)}


VOTES = Problem(reader, counting, votes)
