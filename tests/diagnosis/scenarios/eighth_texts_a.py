"""Problems of the eighth set that are text: messages, order codes, words that meet, titles, hidden kinds of answers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def messages() -> Points:
    """Return 1200 messages of 10 words of 60, and what each is about, one of 6 in equal numbers."""
    rng = np.random.default_rng(941)
    about = rng.permutation(np.arange(1200) % 6)
    words = np.where(rng.random((1200, 10)) < 0.3, 1 + about[:, None] * 5 + rng.integers(0, 5, (1200, 10)), 0)
    return np.where(words == 0, rng.integers(31, 60, (1200, 10)), words).astype(np.int32), about.astype(np.int32)


def message_init() -> Any:
    """Return a table of words, a question that weighs them, and an output."""
    head = models.dense(np.random.default_rng(942), 8, 6)
    return {"word": normal(943, 60, 8, size=0.5), "ask": normal(944, 8, size=0.3), "head": head}


def intent(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of what a message is about, of its words weighed by attention."""
    words, about = batch
    x = params["word"][words]
    weight = jax.nn.softmax(x @ params["ask"], axis=1)
    return models.cross_entropy(models.affine(params["head"], jnp.einsum("nt,ntd->nd", weight, x)), about)


MESSAGES = Problem(message_init, intent, messages)


@functools.cache
def codes() -> Points:
    """Return 600 order codes of 12 signs of 10: one of 6 patterns from any place on, with a slip now and then."""
    rng = np.random.default_rng(945)
    patterns = rng.integers(0, 10, (6, 20))
    which, first = rng.integers(0, 6, 600), rng.integers(0, 8, 600)
    signs = patterns[which[:, None], first[:, None] + np.arange(12)]
    return (np.where(rng.random((600, 12)) < 0.05, rng.integers(0, 10, (600, 12)), signs).astype(np.int32),)


def memory_init() -> Any:
    """Return a memory with three gates, of 16 units, and an output."""
    rng = np.random.default_rng(946)
    gates = models.dense(rng, 26, 64)
    gates["b"][16:32] = 1
    return {"gates": gates, "out": models.dense(rng, 16, 10)}


def next_sign(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of each next sign."""
    signs = jax.nn.one_hot(batch[0], 10, dtype=jnp.float32)

    def step(carry: Any, sign: jax.Array) -> Any:
        h, c = carry
        i, f, o, new = jnp.split(models.affine(params["gates"], jnp.concatenate([sign, h], axis=1)), 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(new)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((signs.shape[0], 16), jnp.float32)
    _, h = jax.lax.scan(step, (zero, zero), jnp.swapaxes(signs[:, :-1], 0, 1))
    scores = models.affine(params["out"], jnp.swapaxes(h, 0, 1).reshape(-1, 16))
    return models.cross_entropy(scores, batch[0][:, 1:].reshape(-1))


CODES = Problem(memory_init, next_sign, codes)


@functools.cache
def meetings(noise: float = 0.3) -> Points:
    """Return 40 words by 40: the logarithm of how often each pair meets, less what the words alone say."""
    rng = np.random.default_rng(947)
    log = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 40)) + noise * rng.normal(size=(40, 40))
    first, other = (i.ravel().astype(np.int32) for i in np.mgrid[:40, :40])
    return first, other, log.ravel().astype(np.float32), rng.uniform(0.2, 1, 1600).astype(np.float32)


def word_init(size: float, width: int = 4) -> Any:
    """Return what makes two tables of words."""
    return lambda: {"word": normal(948, 40, width, size=size), "context": normal(949, 40, width, size=size)}


def meeting(params: Any, batch: Any) -> jax.Array:
    """Return the weighted mean squared error of a product of vectors."""
    first, other, log, weight = batch
    guess = jnp.sum(params["word"][first] * params["context"][other], axis=1)
    return jnp.mean(weight * jnp.square(guess - log))


MEETINGS = Problem(word_init(0.3), meeting, meetings)
EXACT = Problem(word_init(0.5, 3), meeting, functools.partial(meetings, 0.0))


@functools.cache
def titles() -> Points:
    """Return 1000 pairs of titles as counts of 30 groups of letters, and whether both are of one thing."""
    rng = np.random.default_rng(950)
    things = rng.gamma(0.5, 1.0, (120, 30))
    one = rng.integers(0, 120, 1000)
    same = rng.random(1000) < 0.5
    other = np.where(same, one, (one + rng.integers(1, 120, 1000)) % 120)
    a, b = rng.poisson(things[one]), rng.poisson(things[other])
    return a.astype(np.float32), b.astype(np.float32), same.astype(np.float32)


def margin(params: Any, batch: Any) -> jax.Array:
    """Return the squared distance of titles of one thing, and how much those of two are nearer than 1."""
    a, b, same = batch
    gap = models.mlp(params, a, jnp.tanh) - models.mlp(params, b, jnp.tanh)
    square = jnp.sum(jnp.square(gap), axis=1)
    apart = jnp.square(jax.nn.relu(1 - jnp.sqrt(square + 1e-6)))
    return jnp.mean(same * square + (1 - same) * apart)


TITLES = Problem(lambda: models.mlp_init((30, 16, 6), 951, 0.6), margin, titles)


@functools.cache
def segments() -> Points:
    """Return yes or no to 12 questions, of 500 people of three hidden kinds."""
    rng = np.random.default_rng(952)
    chance = rng.choice([0.1, 0.9], (3, 12))
    return ((rng.random((500, 12)) < chance[rng.integers(0, 3, 500)]).astype(np.float32),)


def segment_init(size: float) -> Any:
    """Return what makes three kinds of people who answer as all do, but for this much."""

    def make() -> Any:
        share = segments()[0].mean(0)
        return {"share": np.zeros(3, np.float32), "yes": np.log(share / (1 - share)) + normal(953, 3, 12, size=size)}

    return make


def latent(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of the answers, of people of three kinds."""
    (said,) = batch
    yes, no = jax.nn.log_sigmoid(params["yes"]), jax.nn.log_sigmoid(-params["yes"])
    log = said @ yes.T + (1 - said) @ no.T + jax.nn.log_softmax(params["share"])[None, :]
    return -jnp.mean(jax.nn.logsumexp(log, axis=1))


SEGMENTS = Problem(segment_init(0.5), latent, segments)
