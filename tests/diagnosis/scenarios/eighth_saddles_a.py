"""Runs of the eighth set at a saddle, or with a part that no gradient reaches."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import cut
from tests.diagnosis.scenarios.eighth_choices_a import ROOMS, revenue
from tests.diagnosis.scenarios.eighth_proofs_a import as_good_as_dead
from tests.diagnosis.scenarios.eighth_tables_a import (
    customers,
    eighth,
    flats,
    loans,
    logistic,
    machine,
    machine_init,
)
from tests.diagnosis.scenarios.eighth_texts_a import MEETINGS, SEGMENTS, segment_init, word_init
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.fresh_proofs import died
from tests.diagnosis.scenarios.proofs import both, saddle
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_proofs import mute

PAIRS_ALONE = Problem(machine_init(1e-3), machine, functools.partial(loans, 0.0, 1.2))

SADDLES: list[tuple[Any, ...]] = [
    ("eighth_loans_pairs_alone", PAIRS_ALONE, 0, 200, sgd(0.3), saddle(), {"also": ("at_chance",)}),
    ("eighth_meetings_small_start", MEETINGS, 400, 150, sgd(0.5), saddle(), {"init": word_init(1e-4)}),
    (
        "eighth_segments_alike",
        SEGMENTS,
        0,
        50,
        sgd(0.3, momentum=0.5),
        saddle(),
        {"init": segment_init(1e-4)},
    ),
]


def in_thousands(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of the price in thousands, which is about 300."""
    return models.squared(models.mlp(params, batch[0], jax.nn.relu)[:, 0], batch[2])


THOUSANDS = Problem(lambda: models.mlp_init((6, 24, 12, 1), 961, 1.4), in_thousands, functools.partial(flats, 100.0))


def spread_of_prices() -> float:
    """Return half the variance of the prices in thousands."""
    return 0.5 * float(np.var(flats(100.0)[2]))


def tree(hard: bool) -> Any:
    """Return the logistic loss of a tree of 3 questions to all, 8 leaves, asked firmly or softly."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, label = batch
        score = x @ params["ask"]["w"] + params["ask"]["b"][None, :]
        yes = (score > 0).astype(jnp.float32) if hard else jax.nn.sigmoid(2 * score)
        leaf = jnp.ones((x.shape[0], 1), jnp.float32)
        for k in range(3):
            leaf = jnp.concatenate([leaf * yes[:, k : k + 1], leaf * (1 - yes[:, k : k + 1])], axis=1)
        return logistic(leaf @ params["leaf"], label)

    return loss


def tree_init() -> Any:
    """Return random questions and leaves that are all 0."""
    return {"ask": models.dense(np.random.default_rng(962), 8, 3, 2.0), "leaf": np.zeros(8, np.float32)}


def dear() -> Any:
    """Return the policy of prices with a last bias far above the limit."""
    params = ROOMS.init()
    return {**params, "layer1": {**params["layer1"], "b": np.full(1, 12, np.float32)}}


DEAD: list[tuple[Any, ...]] = [
    (
        "eighth_flats_in_thousands",
        THOUSANDS,
        32,
        800,
        sgd(1e-3, momentum=0.9),
        both(
            died(("layer0",), instead(make_tx=sgd(1e-5, momentum=0.9))),
            as_good_as_dead(("layer0",), 1, spread_of_prices()),
        ),
        {"also": ("at_chance",)},
    ),
    (
        "eighth_customers_firm_tree",
        Problem(tree_init, tree(hard=True), customers),
        32,
        400,
        adam(0.02),
        cut(("ask",), tree(hard=False), drop=0.15),
        {},
    ),
    (
        "eighth_rooms_dear",
        Problem(dear, revenue(lambda score: jnp.clip(score, 0.5, 5.0)), ROOMS.points),
        16,
        250,
        lambda f=1.0: gradtx.adamw(f * 3e-3, weight_decay=0.0),
        mute(instead(init=ROOMS.init)),
        {"also": ("not_moving",)},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("saddle_plateau", SADDLES), ("vanishing_dead", DEAD))
    for name, *rest, fields in rows
]
