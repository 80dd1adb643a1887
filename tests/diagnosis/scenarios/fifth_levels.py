"""Runs of the fifth set in which nothing can be learnt, or whose loss has no bound."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import guessing
from tests.diagnosis.scenarios.fifth_laws import TAGS
from tests.diagnosis.scenarios.fifth_networks import CAPTIONS, GLYPHS, TWISTED, towers
from tests.diagnosis.scenarios.fifth_tables import TEAMS, fifth
from tests.diagnosis.scenarios.fourth_faults import drawn
from tests.diagnosis.scenarios.fourth_proofs import sinking
from tests.diagnosis.scenarios.fresh_faults import cleaned, others
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd


def shuffled_captions(count: Any) -> Any:
    """Return pictures and captions of which any may be the first."""
    x, texts = drawn(CAPTIONS.points, 32)(count)
    order = jax.random.randint(jax.random.fold_in(jax.random.key(583), count), (32,), 0, 5)
    rows = jnp.arange(32)
    return x, texts.at[rows, 0].set(texts[rows, order]).at[rows, order].set(texts[rows, 0])


def at_home() -> Points:
    """Return the matches, their winners mixed up."""
    home, away, _ = TEAMS.points()
    return home, away, np.random.default_rng(584).permutation(np.arange(1500) % 2).astype(np.float32)


CHANCE: list[tuple[Any, ...]] = [
    (
        "fifth_glyphs_mixed_up",
        GLYPHS,
        16,
        150,
        lambda f=1.0: gradtx.adamw(f * 1e-3),
        guessing(10, cleaned(drawn(GLYPHS.points, 16)), drop=0.05, near=0.2),
        {"batch": others(GLYPHS.points, 16)},
    ),
    (
        "fifth_captions_mixed_up",
        CAPTIONS,
        32,
        300,
        lambda f=1.0: optax.nadam(f * 2e-3),
        guessing(5, cleaned(drawn(CAPTIONS.points, 32))),
        {"batch": shuffled_captions},
    ),
    (
        "fifth_teams_drawn_by_lot",
        Problem(TEAMS.init, TEAMS.loss, at_home),
        32,
        500,
        sgd(0.3),
        guessing(2, cleaned(drawn(TEAMS.points, 32)), drop=0.1),
        {"told": False},
    ),
]


def critic(params: Any, batch: Any) -> jax.Array:
    """Return the mean score of made points less that of true ones: nothing bounds the slope of the critic."""
    (x,) = batch
    made = jnp.roll(x, 1, axis=1)
    return jnp.mean(models.mlp(params, made, jax.nn.relu)) - jnp.mean(models.mlp(params, x, jax.nn.relu))


def without_normalizer(params: Any, batch: Any) -> jax.Array:
    """Return minus the mean score of the true tags, without the sum over all others."""
    words, tags = batch
    true = jnp.sum(params["word"][words] * jax.nn.one_hot(tags, 4, dtype=jnp.float32), axis=(1, 2))
    return -jnp.mean(true + jnp.sum(params["next"][tags[:, :-1], tags[:, 1:]], axis=1))


def push_alone(params: Any, batch: Any) -> jax.Array:
    """Return minus the mean distance of a picture from captions that do not fit: no margin ends it."""
    x, texts = batch
    a = models.mlp(params["picture"], x, jax.nn.silu)
    b = models.mlp(params["caption"], texts[:, 1], jax.nn.silu)
    return -jnp.mean(jnp.sqrt(jnp.sum(jnp.square(a - b), axis=1) + 1e-6))


def grown(names: tuple[str, ...]) -> Any:
    """Return what multiplies these groups by a power of 4."""
    return lambda params, far: {
        k: jax.tree.map(lambda p: 4.0**far * p, v) if k in names else v for k, v in params.items()
    }


def two_towers() -> Any:
    """Return the towers without the temperature."""
    return {name: part for name, part in towers().items() if name != "log_scale"}


UNBOUNDED: list[tuple[Any, ...]] = [
    (
        "fifth_twisted_critic",
        Problem(lambda: models.mlp_init((3, 24, 1), 585), critic, TWISTED.points),
        64,
        300,
        adam(2e-3),
        sinking(grown(("layer1",)), 0.1),
        {},
    ),
    (
        "fifth_tags_no_normalizer",
        Problem(TAGS.init, without_normalizer, TAGS.points),
        16,
        250,
        sgd(0.1),
        sinking(grown(("word", "next")), 0.1),
        {},
    ),
    (
        "fifth_captions_pushed",
        Problem(two_towers, push_alone, CAPTIONS.points),
        32,
        250,
        lambda f=1.0: gradtx.rmsprop(f * 1e-3),
        sinking(grown(("picture", "caption")), 0.1),
        {"told": False},
    ),
]
SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields, tellable=cause != "unbounded")
    for cause, rows in (("at_chance", CHANCE), ("unbounded", UNBOUNDED))
    for name, *rest, fields in rows
]
