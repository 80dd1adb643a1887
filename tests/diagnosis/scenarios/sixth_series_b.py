"""Problems of the sixth set that go on in time: hares and lynxes, weather that nobody sees."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


def chase(law: Any, now: Any) -> Any:
    """Return how fast the logarithms of hares and lynxes change."""
    return jnp.stack([law[0] - law[1] * jnp.exp(now[1]), law[3] * jnp.exp(now[0]) - law[2]])


def years(params: Any) -> jax.Array:
    """Return the logarithms of hares and lynxes over 12 years, by Runge and Kutta's midpoint rule."""
    law = jnp.exp(params["law"])

    def ahead(now: Any, _: Any) -> Any:
        after = now + 0.2 * chase(law, now + 0.1 * chase(law, now))
        return after, after

    return jax.lax.scan(ahead, params["start"], None, length=60)[1]


@functools.cache
def exact_prey() -> Points:
    """Return the logarithms of hares and lynxes at 60 times."""
    law, now, seen = np.array([1.0, 0.6, 0.9, 0.4]), np.array([0.5, -0.3]), []
    for _ in range(60):
        half = now + 0.1 * np.array([law[0] - law[1] * np.exp(now[1]), law[3] * np.exp(now[0]) - law[2]])
        now = now + 0.2 * np.array([law[0] - law[1] * np.exp(half[1]), law[3] * np.exp(half[0]) - law[2]])
        seen.append(now)
    return (np.array(seen, np.float32),)


def prey() -> Points:
    """Return a count of hares and lynxes at 60 times."""
    return (exact_prey()[0] + normal(606, 60, 2, size=0.03),)


def hunt(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the logarithms of hares and lynxes."""
    return jnp.mean(jnp.square(years(params) - batch[0]))


PREY = Problem(
    lambda: {"law": np.log([0.8, 0.5, 0.7, 0.3]).astype(np.float32), "start": np.array([0.3, 0.0], np.float32)},
    hunt,
    prey,
)


@functools.cache
def weather() -> Points:
    """Return 300 series of 100 days of one of 8 kinds of sky, by three kinds of weather that nobody sees."""
    rng = np.random.default_rng(607)
    show = rng.dirichlet(np.full(8, 0.7), 3)
    hidden, sky = rng.integers(0, 3, 300), np.zeros((300, 100), np.int32)
    for day in range(100):
        sky[:, day] = (rng.random((300, 1)) > np.cumsum(show, axis=1)[hidden]).sum(1).clip(0, 7)
        hidden = np.where(rng.random(300) < 0.1, rng.integers(0, 3, 300), hidden)
    return sky, np.full(300, 100, np.int32)


def hidden_weather(logarithms: bool) -> Any:
    """Return the loss of a hidden Markov model, by chances or by their logarithms."""

    def loss(params: Any, batch: Any) -> jax.Array:
        sky, days = batch
        move, show = jax.nn.log_softmax(params["move"], axis=1), jax.nn.log_softmax(params["show"], axis=1).T[sky]
        now = jax.nn.log_softmax(params["start"])[None, :] + show[:, 0]
        if not logarithms:
            move, show, now = jnp.exp(move), jnp.exp(show), jnp.exp(now)

        def ahead(now: Any, day: Any) -> Any:
            if logarithms:
                after = jax.nn.logsumexp(now[:, :, None] + move[None], axis=1) + show[:, day]
            else:
                after = (now @ move) * show[:, day]
            return jnp.where((day < days)[:, None], after, now), None

        now, _ = jax.lax.scan(ahead, now, jnp.arange(1, 100))
        total = jax.nn.logsumexp(now, axis=1) if logarithms else jnp.log(jnp.sum(now, axis=1))
        return -jnp.mean(total / days.astype(jnp.float32))

    return loss


WEATHER = Problem(
    lambda: {
        "start": normal(608, 3),
        "move": normal(609, 3, 3) + 2 * np.eye(3, dtype=np.float32),
        "show": normal(610, 3, 8),
    },
    hidden_weather(logarithms=True),
    weather,
)
