"""Runs of the fourth set whose loss has no bound, or in which nothing can be learnt."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import fourth_models, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import bottomless, guessing
from tests.diagnosis.scenarios.fourth_faults import drawn
from tests.diagnosis.scenarios.fourth_models import BARS, SPOTS, TRIPLETS
from tests.diagnosis.scenarios.fourth_problems import LISTS, PARITY, SHOP, WORDS, fourth
from tests.diagnosis.scenarios.fourth_proofs import sinking
from tests.diagnosis.scenarios.fresh_faults import cleaned, others
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd


def either_way(count: Any) -> Any:
    """Return what was bought and what was left, swapped for half of the users."""
    users, bought, left = drawn(SHOP.points, 32)(count)
    swap = jax.random.bernoulli(jax.random.fold_in(jax.random.key(305), count), 0.5, (32,))
    return users, jnp.where(swap, left, bought), jnp.where(swap, bought, left)


CHANCE: list[tuple[Any, ...]] = [
    (
        "fourth_parity_no_hidden_layer",
        PARITY,
        32,
        400,
        lambda f=1.0: gradtx.adamw(f * 3e-3),
        guessing(2, instead(init=PARITY.init)),
        {"init": lambda: models.mlp_init((6, 2), 306, 0.3)},
    ),
    (
        "fourth_spots_mixed_up",
        SPOTS,
        32,
        400,
        sgd(0.01, momentum=0.9),
        guessing(4, cleaned(drawn(SPOTS.points, 32))),
        {"batch": others(SPOTS.points, 32)},
    ),
    (
        "fourth_shop_either_way",
        SHOP,
        32,
        600,
        adam(2e-3),
        guessing(2, cleaned(drawn(SHOP.points, 32)), drop=0.1),
        {"batch": either_way},
    ),
    (
        "fourth_lists_mixed_up",
        LISTS,
        32,
        400,
        lambda f=1.0: optax.rmsprop(f * 1e-3),
        guessing(8, cleaned(drawn(LISTS.points, 32)), drop=0.1),
        {"batch": others(LISTS.points, 32)},
    ),
    (
        "fourth_words_mixed_up",
        WORDS,
        64,
        600,
        lambda f=1.0: optax.adafactor(f * 0.01),
        guessing(2, cleaned(drawn(WORDS.points, 64)), drop=0.02),
        {"batch": others(WORDS.points, 64)},
    ),
]


def explorer(params: Any, batch: Any) -> jax.Array:
    """Return minus the reward of a policy, which is between 0 and 1, and minus too much for its entropy."""
    state, noise = batch
    action = state @ params["w"] + jnp.exp(params["log_std"]) * noise
    reward = jnp.exp(-0.5 * jnp.square(action - jnp.sum(state, axis=1)))
    loss: jax.Array = -jnp.mean(reward) - 0.5 * params["log_std"]
    return loss


def rooms() -> Points:
    """Return 512 states and the noise of the action in each."""
    rng = np.random.default_rng(307)
    return rng.normal(size=(512, 4)).astype(np.float32), rng.normal(size=512).astype(np.float32)


def energy(params: Any, batch: Any) -> jax.Array:
    """Return the mean energy of true points: nothing keeps up the energy of others."""
    return jnp.mean(models.mlp(params, batch[0], jax.nn.softplus))


def margin(params: Any, batch: Any) -> jax.Array:
    """Return minus the mean gap of scores: the logistic function was forgotten."""
    users, bought, left = batch
    return -jnp.mean(jnp.sum(params["user"][users] * (params["item"][bought] - params["item"][left]), axis=1))


def wrong_sign_of_kl(params: Any, batch: Any) -> jax.Array:
    """Return the loss of the autoencoder whose divergence is taken off, not added."""
    x, _ = batch
    out = models.mlp(params["encoder"], x, jax.nn.relu)
    mean, log_std = out[:, :3], out[:, 3:]
    kl = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(2 * log_std) - 1 - 2 * log_std, axis=1)
    return fourth_models.binary_vae(params, batch) - 2 * jnp.mean(kl)


def wider(params: Any, far: float) -> Any:
    """Return the policy with a larger deviation."""
    return {**params, "log_std": params["log_std"] + far}


def lower(params: Any, far: float) -> Any:
    """Return the network of energies with a lower last bias."""
    return {**params, "layer1": {**params["layer1"], "b": params["layer1"]["b"] - far}}


EXPLORER = Problem(lambda: {"w": np.zeros(4, np.float32), "log_std": np.float32(-1)}, explorer, rooms)
ENERGY = Problem(lambda: models.mlp_init((10, 24, 1), 308), energy, lambda: TRIPLETS.points()[:1])

UNBOUNDED: list[tuple[Any, ...]] = [
    ("fourth_explorer_entropy", EXPLORER, 32, 600, adam(0.01), sinking(wider, 0.1), {}),
    ("fourth_energy_of_truth", ENERGY, 32, 400, sgd(0.01), sinking(lower, 0.1), {}),
    ("fourth_shop_margin", Problem(SHOP.init, margin, SHOP.points), 32, 400, adam(5e-3), bottomless(), {}),
    (
        "fourth_bars_wrong_sign",
        Problem(BARS.init, wrong_sign_of_kl, BARS.points),
        32,
        250,
        adam(1e-3),
        bottomless(2.0),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest, **fields, tellable=cause != "unbounded")
    for cause, rows in (("at_chance", CHANCE), ("unbounded", UNBOUNDED))
    for name, *rest, fields in rows
]
