"""Problems of the eighth set about choices: liked things, sessions, ranked lists, shelves, prices, orders, offers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def liked() -> Points:
    """Return 5000 triples: one of 100 users, a thing of 60 that was liked, and one drawn at random."""
    rng = np.random.default_rng(921)
    taste = 1.2 * rng.normal(size=(100, 3)) @ rng.normal(size=(3, 60)) + 0.7 * rng.normal(size=(1, 60))
    user = rng.integers(0, 100, 5000)
    good = np.argmax(taste[user] + rng.gumbel(size=(5000, 60)), axis=1)
    return tuple(part.astype(np.int32) for part in (user, good, rng.integers(0, 60, 5000)))


def ranked(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of how far the liked thing is above the other, with a small penalty."""
    user, good, other = batch
    u = params["user"][user]
    gap = jnp.sum(u * (params["thing"][good] - params["thing"][other]), axis=1)
    gap = gap + params["bias"][good] - params["bias"][other]
    return jnp.mean(jax.nn.softplus(-gap)) + 1e-4 * models.penalty(params)


LIKED = Problem(
    lambda: {
        "user": normal(922, 100, 6, size=0.3),
        "thing": normal(923, 60, 6, size=0.3),
        "bias": np.zeros(60, np.float32),
    },
    ranked,
    liked,
)


@functools.cache
def buyers() -> Points:
    """Return 10 features of 800 buyers and 8 of what each bought."""
    rng = np.random.default_rng(924)
    want = rng.normal(size=(800, 4))
    x = np.tanh(want @ rng.normal(size=(4, 10))) + 0.2 * rng.normal(size=(800, 10))
    return x.astype(np.float32), (want @ rng.normal(size=(4, 8)) + 0.3 * rng.normal(size=(800, 8))).astype(np.float32)


def tower_init() -> Any:
    """Return a network for buyers and one for goods."""
    return {"buyer": models.mlp_init((10, 16, 6), 925, 1.2), "good": models.mlp_init((8, 16, 6), 926, 1.2)}


def unit(v: jax.Array) -> jax.Array:
    """Return rows of length 1."""
    return v * jax.lax.rsqrt(jnp.sum(jnp.square(v), axis=-1, keepdims=True) + 1e-6)


def in_batch(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of what was bought among all that the others of the batch bought."""
    a, b = (unit(models.mlp(params[name], x, jax.nn.relu)) for name, x in zip(("buyer", "good"), batch, strict=True))
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(8 * a @ b.T)))


BUYERS = Problem(tower_init, in_batch, buyers)


@functools.cache
def sessions() -> Points:
    """Return the last 4 pages of 1500 sessions, each one of 40, and the next."""
    rng = np.random.default_rng(927)
    theme = rng.integers(0, 8, 1500)
    pages = np.where(rng.random((1500, 5)) < 0.75, theme[:, None] * 5 + rng.integers(0, 5, (1500, 5)), 0)
    pages = np.where(pages == 0, rng.integers(0, 40, (1500, 5)), pages)
    after = np.where(rng.random(1500) < 0.5, (pages[:, 3] + 1) % 5 + theme * 5, pages[:, 4])
    return pages[:, :4].astype(np.int32), after.astype(np.int32)


def session_init(size: float) -> Any:
    """Return what makes a table of pages, a mix of places and an output."""
    return lambda: {
        "page": normal(928, 40, 12, size=size),
        "place": np.full(4, 0.5, np.float32),
        "out": {"w": normal(929, 12, 40, size=size), "b": np.zeros(40, np.float32)},
    }


def next_page(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the next page, of a weighted sum of the last ones."""
    pages, after = batch
    seen = jnp.einsum("ntd,t->nd", params["page"][pages], params["place"])
    return models.cross_entropy(models.affine(params["out"], seen), after)


SESSIONS = Problem(session_init(0.3), next_page, sessions)


@functools.cache
def searches() -> Points:
    """Return 7 features of the 6 results of 500 searches, and how good each was, 0 to 2."""
    rng = np.random.default_rng(930)
    x = rng.normal(size=(500, 6, 7))
    worth = x @ rng.normal(size=7) / 2 + np.sin(2 * x[..., 0]) * x[..., 1] + 0.4 * rng.normal(size=(500, 6))
    return x.astype(np.float32), np.digitize(worth, [0.3, 1.2]).astype(np.float32)


def pairwise(params: Any, batch: Any) -> jax.Array:
    """Return the logistic loss of all pairs of results of which one was better."""
    x, good = batch
    score = models.mlp(params, x.reshape(-1, 7), jnp.tanh)[:, 0].reshape(good.shape)
    better = (good[:, :, None] > good[:, None, :]).astype(jnp.float32)
    gap = score[:, :, None] - score[:, None, :]
    return jnp.sum(better * jax.nn.softplus(-gap)) / jnp.sum(better)


SEARCHES = Problem(lambda: models.mlp_init((7, 20, 1), 931), pairwise, searches)


@functools.cache
def shelves() -> Points:
    """Return 5 properties of the 4 goods on a shelf, 1000 times, and which was taken."""
    rng = np.random.default_rng(932)
    x = rng.normal(size=(1000, 4, 5))
    taken = np.argmax(x @ np.array([-1.2, 0.8, 0.5, 0, 0.3]) + rng.gumbel(size=(1000, 4)), axis=1)
    return x.astype(np.float32), taken.astype(np.int32)


def taking(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of what was taken."""
    return models.cross_entropy(batch[0] @ params["taste"], batch[1])


SHELVES = Problem(lambda: {"taste": np.zeros(5, np.float32)}, taking, shelves)


@functools.cache
def visitors() -> Points:
    """Return 5 features of 1000 visitors and what a room is worth to each."""
    rng = np.random.default_rng(933)
    x = rng.normal(size=(1000, 5))
    return x.astype(np.float32), np.exp(0.8 + 0.5 * np.tanh(x @ rng.normal(size=5)) + 0.1 * x[:, 0]).astype(np.float32)


def revenue(price: Any) -> Any:
    """Return minus the mean revenue of prices made from scores; a room is let by chance, if it is worth more."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, worth = batch
        asked = price(models.mlp(params, x, jnp.tanh)[:, 0])
        return -jnp.mean((asked - 0.2) * jax.nn.sigmoid(5 * (worth - asked)))

    return loss


ROOMS = Problem(lambda: models.mlp_init((5, 16, 1), 934), revenue(jnp.exp), visitors)


@functools.cache
def weeks() -> Points:
    """Return what was asked for on each of 12 days, of 400 shops of different sizes."""
    rng = np.random.default_rng(935)
    mean = rng.uniform(1, 4, (400, 1)) * (1 + 0.4 * np.sin(np.arange(12) * 2 * np.pi / 6))
    return (rng.gamma(6, mean / 6).astype(np.float32),)


def ordering(unit_of_cost: float) -> Any:
    """Return the mean daily cost of goods that are left over or missing, of a policy that orders each day."""

    def loss(params: Any, batch: Any) -> jax.Array:
        (asked,) = batch
        stock, before, cost = (
            jnp.full(asked.shape[0], 2.0, jnp.float32),
            jnp.full(asked.shape[0], 2.0, jnp.float32),
            0.0,
        )
        for day in range(12):
            season = jnp.full(asked.shape[0], np.sin(day * np.pi / 3), jnp.float32)
            x = jnp.stack([stock, before, season, season * before], axis=1) / 2
            stock = stock + jax.nn.softplus(models.mlp(params, x, jnp.tanh)[:, 0]) - asked[:, day]
            before = asked[:, day]
            cost = cost + jax.nn.softplus(4 * stock) / 4 + 3 * jax.nn.softplus(-4 * stock) / 4
        return unit_of_cost * jnp.mean(cost) / 12

    return loss


STOCK = Problem(lambda: models.mlp_init((4, 12, 1), 936), ordering(1.0), weeks)


@functools.cache
def offers() -> Points:
    """Return 6 features of 1500 calls, which of 5 offers was made at random, and how much better it did than usual."""
    rng = np.random.default_rng(937)
    x, offer = rng.normal(size=(1500, 6)), rng.integers(0, 5, 1500)
    gain = (x @ rng.normal(size=(6, 5)) / 2)[np.arange(1500), offer] + 0.5 * rng.normal(size=1500)
    return x.astype(np.float32), offer.astype(np.int32), (gain - gain.mean()).astype(np.float32)


def weighed(weight: Any) -> Any:
    """Return minus the mean log chance of the offers that were made, weighed by how well each did."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, offer, gain = batch
        log = jax.nn.log_softmax(models.mlp(params, x, jax.nn.relu))
        return -jnp.mean(weight(gain) * jnp.sum(log * jax.nn.one_hot(offer, 5, dtype=jnp.float32), axis=1))

    return loss


OFFERS = Problem(lambda: models.mlp_init((6, 20, 5), 938), weighed(lambda gain: jnp.exp(gain)), offers)
