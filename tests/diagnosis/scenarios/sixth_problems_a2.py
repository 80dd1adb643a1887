"""Problems of the sixth set from physics: doses, peaks, decays, steering, atoms, a column, quakes, a tensor, a blur."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_models import nothing
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def doses() -> Points:
    """Return 300 doses, as powers of 10, and the share of cells that live on."""
    rng = np.random.default_rng(621)
    dose = rng.uniform(-3, 3, 300)
    alive = 0.9 - 0.75 / (1 + np.exp(-3 * (dose - 0.6)))
    return dose.astype(np.float32), (alive + 0.05 * rng.normal(size=300)).astype(np.float32)


def hill(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error, in percent, of a curve with two levels, a middle and a slope."""
    dose, alive = batch
    gone = jax.nn.sigmoid(jnp.exp(params["log_slope"]) * (dose - params["middle"]))
    return 100 * jnp.mean(jnp.square(params["high"] + (params["low"] - params["high"]) * gone - alive))


DOSES = Problem(
    lambda: {"log_slope": np.float32(0), "middle": np.float32(-0.5), "high": np.float32(0.6), "low": np.float32(0.4)},
    hill,
    doses,
)


@functools.cache
def spectrum() -> Points:
    """Return 160 channels of a spectrum with two peaks that are apart, and what each counted."""
    rng = np.random.default_rng(622)
    at = np.linspace(-4, 4, 160)
    y = 3 * np.exp(-0.5 * ((at + 1.2) / 0.5) ** 2) + 2 * np.exp(-0.5 * ((at - 1.5) / 0.6) ** 2)
    return at.astype(np.float32), (y + 0.1 * rng.normal(size=160)).astype(np.float32)


def peaks(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a sum of peaks on a flat ground."""
    at, y = batch
    z = (at[:, None] - params["place"][None, :]) * jnp.exp(-params["log_width"])[None, :]
    return jnp.mean(jnp.square(jnp.exp(-0.5 * jnp.square(z)) @ params["height"] + params["ground"] - y))


def two_peaks(places: tuple[float, float]) -> Any:
    """Return what makes two peaks that are alike but for where they are."""
    return lambda: {
        "place": np.array(places, np.float32),
        "height": np.ones(2, np.float32),
        "log_width": np.zeros(2, np.float32),
        "ground": np.float32(0),
    }


PEAKS = Problem(two_peaks((-0.5, 0.5)), peaks, spectrum)


@functools.cache
def glow() -> Points:
    """Return 250 times and the glow of two isotopes that die away, one four times as quickly."""
    rng = np.random.default_rng(623)
    t = np.sort(rng.uniform(0, 8, 250))
    y = 2 * np.exp(-1.6 * t) + 1.5 * np.exp(-0.4 * t)
    return t.astype(np.float32), (y + 0.02 * rng.normal(size=250)).astype(np.float32)


def dying(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a sum of two exponentials."""
    t, y = batch
    curves = jnp.exp(-t[:, None] * jnp.exp(params["log_rate"])[None, :])
    return jnp.mean(jnp.square(curves @ params["amount"] - y))


GLOW = Problem(lambda: {"log_rate": np.array([-0.3, 0.1], np.float32), "amount": np.ones(2, np.float32)}, dying, glow)


@functools.cache
def starts() -> Points:
    """Return 500 carts: place and speed in two directions."""
    return (normal(624, 500, 4),)


def steering(params: Any, batch: Any) -> jax.Array:
    """Return the mean cost of 15 steps of a cart that a small network pushes towards 0."""

    def step(x: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        push = models.mlp(params, x, jnp.tanh)
        speed = x[:, 2:] + 0.2 * push - 0.1 * x[:, 2:] * jnp.abs(x[:, 2:])
        x = jnp.concatenate([x[:, :2] + 0.2 * speed, speed], axis=1)
        return x, jnp.mean(jnp.sum(jnp.square(x), axis=1) + 0.05 * jnp.sum(jnp.square(push), axis=1))

    return jnp.mean(jax.lax.scan(step, batch[0], None, length=15)[1])


CARTS = Problem(lambda: models.mlp_init((4, 16, 2), 625, 0.5), steering, starts)


def bonds(params: Any, batch: Any) -> jax.Array:
    """Return the energy of 7 atoms in a plane, each pair at rest at a distance of 1: about -12 at its least."""
    x = params["x"]
    square = jnp.sum(jnp.square(x[:, None, :] - x[None, :, :]), axis=2) + 2 * jnp.eye(7, dtype=jnp.float32)
    six = square**-3
    return 0.5 * jnp.sum((jnp.square(six) - 2 * six) * (1 - jnp.eye(7, dtype=jnp.float32)))


def ring() -> Any:
    """Return an atom and six round it, somewhat out of place."""
    angle = np.arange(6) * np.pi / 3
    x = np.concatenate([np.zeros((1, 2)), 1.15 * np.stack([np.cos(angle), np.sin(angle)], axis=1)])
    return {"x": x.astype(np.float32) + normal(626, 7, 2, size=0.05)}


ATOMS = Problem(ring, bonds, nothing)


def column(params: Any, batch: Any) -> jax.Array:
    """Return the energy of a column of 16 links, fixed below, under a load that is twice what it can bear straight."""
    angle = jnp.concatenate([jnp.zeros(1, jnp.float32), params["angle"]])
    return 16 * jnp.sum(jnp.square(jnp.diff(angle))) * 0.5 + 5.0 * jnp.mean(jnp.cos(angle))


COLUMN = Problem(lambda: {"angle": normal(627, 16, size=1e-4)}, column, nothing)


@functools.cache
def quakes() -> Points:
    """Return the gaps between 400 quakes, each of which makes more of them likely for a while."""
    rng = np.random.default_rng(628)
    gaps, excited = [], 0.0
    for _ in range(400):
        gap = 0.0
        while True:
            most = 0.5 + excited
            wait = rng.exponential(1 / most)
            excited, gap = excited * np.exp(-2 * wait), gap + wait
            if rng.random() < (0.5 + excited) / most:
                break
        gaps.append(gap)
        excited += 1.2
    return (np.array(gaps, np.float32),)


def hawkes(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of the gaps, per quake: a base, a jump after each quake, and its decay."""
    base, jump, decay = jnp.exp(params["log_base"]), jnp.exp(params["log_jump"]), jnp.exp(params["log_decay"])

    def quake(excited: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
        left = excited * jnp.exp(-decay * gap)
        return left + jump, base * gap + (excited - left) / decay - jnp.log(base + left)

    return jnp.mean(jax.lax.scan(quake, jnp.float32(0), batch[0])[1])


QUAKES = Problem(
    lambda: {"log_base": np.float32(-2), "log_jump": np.float32(-2), "log_decay": np.float32(0)}, hawkes, quakes
)


@functools.cache
def cube() -> Points:
    """Return all numbers of a 10 by 9 by 8 tensor that is a sum of 3 products, and where each stands."""
    rng = np.random.default_rng(629)
    place = np.stack(np.unravel_index(np.arange(720), (10, 9, 8)), axis=1)
    a, b, c = (rng.normal(size=(n, 3)) for n in (10, 9, 8))
    full = np.einsum("ir,jr,kr->ijk", a, b, c).reshape(-1) + 0.1 * rng.normal(size=720)
    return place.astype(np.int32), full.astype(np.float32)


def products(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a sum of 3 products of three vectors."""
    place, value = batch
    parts = params["a"][place[:, 0]] * params["b"][place[:, 1]] * params["c"][place[:, 2]]
    return jnp.mean(jnp.square(jnp.sum(parts, axis=1) - value))


def thirds(size: float) -> Any:
    """Return what makes the three tables of vectors of this size."""
    return lambda: {k: normal(630 + i, n, 3, size=size) for i, (k, n) in enumerate(zip("abc", (10, 9, 8), strict=True))}


CUBE = Problem(thirds(0.5), products, cube)


@functools.cache
def blurred() -> Points:
    """Return a blur as a 40 by 40 matrix, and a line of 40 values seen through it."""
    at = np.arange(40)
    blur = np.exp(-0.5 * ((at[:, None] - at[None, :]) / 0.9) ** 2)
    blur /= blur.sum(1, keepdims=True)
    truth = np.where((at > 8) & (at < 15), 1.0, 0.0) + np.where((at > 24) & (at % 2 == 0), 1.5, 0.0)
    return blur.astype(np.float32), (blur @ truth).astype(np.float32)


def sharpening(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a line seen through a blur, with a small penalty."""
    blur, seen = batch
    return jnp.mean(jnp.square(blur @ params["line"] - seen)) + 1e-4 * models.penalty(params)


LINE = Problem(lambda: {"line": np.zeros(40, np.float32)}, sharpening, blurred)
