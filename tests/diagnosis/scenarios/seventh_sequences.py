"""Problems of the seventh set that are read in order: patches, lists to turn round, reviews, what was said first."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem

STENCILS = ("010111010", "101010101", "111101111", "000111000", "100100111")


def block_init(seed: int, width: int) -> dict[str, Any]:
    """Return an attention head and the two layers behind it."""
    names = ("q", "k", "v", "o")
    return {
        "attention": {n: normal(seed + i, width, width, size=width**-0.5) for i, n in enumerate(names)},
        "mlp": {
            "up": normal(seed + 4, width, 2 * width, size=width**-0.5),
            "down": normal(seed + 5, 2 * width, width, size=0.5 * width**-0.5),
        },
    }


def block(params: Any, x: jax.Array) -> jax.Array:
    """Return the vectors of all places after they have looked at each other."""
    h = models.normalized(x)
    q, k, v = (h @ params["attention"][name] for name in ("q", "k", "v"))
    weight = jax.nn.softmax(q @ jnp.swapaxes(k, 1, 2) / np.float32(np.sqrt(x.shape[-1])))
    x = x + weight @ v @ params["attention"]["o"]
    return x + jax.nn.gelu(models.normalized(x) @ params["mlp"]["up"]) @ params["mlp"]["down"]


@functools.cache
def patches() -> Points:
    """Return 600 noisy pictures of 8x8, as four patches of 16, with one of five signs in one of them, and which."""
    rng = np.random.default_rng(701)
    signs = np.array([[float(c) for c in s] for s in STENCILS]).reshape(5, 3, 3)
    kind, corner, shift = rng.integers(0, 5, 600), rng.integers(0, 4, 600), rng.integers(0, 2, (600, 2))
    x = 0.3 * rng.normal(size=(600, 4, 4, 4))
    for i, (k, c, (a, b)) in enumerate(zip(kind, corner, shift, strict=True)):
        x[i, c, a : a + 3, b : b + 3] += signs[k]
    return x.reshape(600, 4, 16).astype(np.float32), kind.astype(np.int32)


def patch_init() -> Any:
    """Return a vision transformer of one block."""
    ends = {"patch": normal(702, 16, 16, size=0.25), "place": normal(703, 4, 16, size=0.1)}
    return {**ends, **block_init(704, 16), "head": models.dense(np.random.default_rng(711), 16, 5)}


def sorting(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the sign, from the mean over the patches."""
    x, kind = batch
    x = block(params, x @ params["patch"] + params["place"][None])
    return models.cross_entropy(models.affine(params["head"], models.normalized(jnp.mean(x, axis=1))), kind)


PATCHES = Problem(patch_init, sorting, patches)


@functools.cache
def lists() -> Points:
    """Return 1500 lists of 6 of 8 tokens."""
    return (np.random.default_rng(712).integers(0, 8, (1500, 6)).astype(np.int32),)


def list_init() -> Any:
    """Return a transformer that sees the whole list."""
    ends = {"token": normal(713, 8, 20, size=0.5), "place": normal(714, 6, 20, size=0.5)}
    return {**ends, **block_init(715, 20), "head": normal(722, 20, 8, size=0.2)}


def turning(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the list from its end to its start."""
    (tokens,) = batch
    x = block(params, params["token"][tokens] + params["place"][None])
    return models.cross_entropy(models.normalized(x) @ params["head"], tokens[:, ::-1])


REVERSAL = Problem(list_init, turning, lists)


@functools.cache
def pairs() -> Points:
    """Return 1200 lists of 6 tokens, of which the tokens 6 and 7 come once each, and which of the two is first."""
    rng = np.random.default_rng(723)
    tokens = rng.integers(0, 6, (1200, 6))
    place = np.argsort(rng.random((1200, 6)), axis=1)[:, :2]
    rows = np.arange(1200)
    tokens[rows, place[:, 0]], tokens[rows, place[:, 1]] = 6, 7
    return tokens.astype(np.int32), (place[:, 0] < place[:, 1]).astype(np.int32)


def pair_init(places: bool) -> Any:
    """Return what makes a transformer with or without a vector for each place."""

    def init() -> Any:
        place = {"place": normal(724, 6, 16, size=0.5)} if places else {}
        return {"token": normal(725, 8, 16, size=0.5), **place, **block_init(726, 16), "head": normal(733, 16, 2)}

    return init


def which_first(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of which token was first, from the mean over the list."""
    tokens, first = batch
    x = params["token"][tokens]
    x = block(params, x + params["place"][None] if "place" in params else x)
    return models.cross_entropy(models.normalized(jnp.mean(x, axis=1)) @ params["head"], first)


NO_PLACES = Problem(pair_init(places=False), which_first, pairs)


@functools.cache
def reviews() -> Points:
    """Return 900 reviews of 3 to 7 of 28 words at the end of 10 places, 1 turns the next word round; and if good."""
    rng = np.random.default_rng(734)
    worth = np.concatenate([[0, 0], rng.normal(size=28)])
    words = rng.integers(2, 30, (900, 10))
    words = np.where(rng.random(words.shape) < 0.15, 1, words)
    words = np.where(np.arange(10)[None, :] < 10 - rng.integers(3, 8, (900, 1)), 0, words)
    turned = np.where(np.roll(words, 1, axis=1) == 1, -1, 1)
    return words.astype(np.int32), (np.sum(turned * worth[words], axis=1) > 0).astype(np.int32)


def lstm_init() -> Any:
    """Return vectors of the words, a long short-term memory of 8, and its read-out."""
    rng = np.random.default_rng(735)
    return {"word": normal(736, 30, 6, size=0.5), "cell": models.dense(rng, 14, 32), "out": models.dense(rng, 8, 1)}


def opinion(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of the last state."""
    words, good = batch

    def step(carry: Any, x: jax.Array) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(models.affine(params["cell"], jnp.concatenate([h, x], axis=1)), 4, axis=1)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros((words.shape[0], 8), jnp.float32)
    (h, _), _ = jax.lax.scan(step, (zero, zero), jnp.swapaxes(params["word"][words], 0, 1))
    score = models.affine(params["out"], h)[:, 0]
    return jnp.mean(jax.nn.softplus(score) - good.astype(jnp.float32) * score)


REVIEWS = Problem(lstm_init, opinion, reviews)


def pool_init() -> Any:
    """Return vectors of the words, what looks for those that count, and a head."""
    return {"word": normal(737, 30, 8, size=0.5), "look": normal(738, 8), "head": normal(739, 8, 2, size=0.5)}


def pooled(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the opinion, from the weighted mean over all words but the padding."""
    words, good = batch
    x = params["word"][words]
    weight = jax.nn.softmax(jnp.where(words > 0, x @ params["look"], -jnp.inf), axis=1)
    return models.cross_entropy(jnp.einsum("nt,ntd->nd", weight, x) @ params["head"], good)


POOLED = Problem(pool_init, pooled, reviews)


@functools.cache
def openings() -> Points:
    """Return 600 signals: one of 4 that opens each, and 40 numbers of noise that follow."""
    rng = np.random.default_rng(740)
    return rng.integers(0, 4, 600).astype(np.int32), rng.normal(size=(600, 40)).astype(np.float32)


def memory(gain: float | None) -> Any:
    """Return what makes a plain recurrent net: random weights of this size, or at first the identity."""

    def init() -> Any:
        back = np.eye(12, dtype=np.float32) if gain is None else normal(741, 12, 12, size=gain * 12**-0.5)
        signal = normal(742, 12, size=0.02 if gain is None else 0.5)
        return {"start": normal(743, 4, 12, size=0.5), "back": back, "in": signal, "head": normal(744, 12, 4, size=0.3)}

    return init


def opening(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the opening, asked after all the noise."""
    first, noise = batch

    def step(h: jax.Array, x: jax.Array) -> Any:
        return jnp.tanh(h @ params["back"] + x[:, None] * params["in"][None, :]), None

    h, _ = jax.lax.scan(step, params["start"][first], noise.T)
    return models.cross_entropy(h @ params["head"], first)


OPENINGS = Problem(memory(0.5), opening, openings)
