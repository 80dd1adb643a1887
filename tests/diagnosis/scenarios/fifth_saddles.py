"""Runs of the fifth set at a saddle, or with a part that no gradient reaches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import cut
from tests.diagnosis.scenarios.fifth_ends import TABLE
from tests.diagnosis.scenarios.fifth_laws import PHASES, PLANTS, vector
from tests.diagnosis.scenarios.fifth_networks import RECALL, WAVES, recall_init, recalling
from tests.diagnosis.scenarios.fifth_tables import DEMAND, FACTS, OFFERS, fifth, normal
from tests.diagnosis.scenarios.fresh_models import nothing
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import dead, saddle
from tests.diagnosis.scenarios.rates import adam, sgd


def quotient(params: Any, batch: Any) -> jax.Array:
    """Return minus the variance along a direction of 10, of which the largest is 3."""
    w = params["w"]
    spread = jnp.linspace(3, 0.3, 10, dtype=jnp.float32)
    return -jnp.sum(spread * jnp.square(w)) / jnp.sum(jnp.square(w))


def second_axis() -> Any:
    """Return the second best direction, but for a millionth."""
    return {"w": np.eye(10, dtype=np.float32)[1] + normal(571, 10, size=1e-6)}


AXES = Problem(second_axis, quotient, nothing)


def all_alike() -> Any:
    """Return three kinds of plants that start alike, but for a hundred-thousandth."""
    zero = np.zeros(3, np.float32)
    return {"weight": zero, "mean": normal(572, 3, size=1e-5), "log_std": zero}


def small_table() -> Any:
    """Return the two thin tables, nearly 0."""
    return {"left": normal(578, 20, 2, size=1e-4), "right": normal(579, 15, 2, size=1e-4)}


def small_recall() -> Any:
    """Return the tables of keys, values and queries, small."""
    return jax.tree.map(lambda p: np.float32(0.02) * p, recall_init())


def small_places() -> Any:
    """Return things that all start at one place, but for a thousandth."""
    return {"thing": normal(574, 40, 6, size=1e-3), "shift": normal(575, 4, 6, size=1e-3)}


# Told apart from minima by the recorded steps where the gradient grows again; that of plants still shrinks.
SADDLES: list[tuple[Any, ...]] = [
    ("fifth_axes_second", AXES, 0, 60, sgd(0.05), saddle(steps=600), {}),
    (
        "fifth_plants_alike",
        PLANTS,
        0,
        150,
        lambda f=1.0: optax.sgd(f * 0.1),
        saddle(steps=600),
        {"init": all_alike, "tellable": False},
    ),
    ("fifth_phases_small_start", PHASES, 0, 60, sgd(0.05), saddle(steps=600), {"init": vector(1e-4), "told": False}),
    ("fifth_recall_small_start", RECALL, 64, 300, sgd(0.1), saddle(), {"init": small_recall, "also": ("at_chance",)}),
    ("fifth_facts_one_place", FACTS, 64, 200, sgd(0.3), saddle(), {"init": small_places, "also": ("at_chance",)}),
    ("fifth_table_small_start", TABLE, 400, 150, sgd(0.3), saddle(steps=600), {"init": small_table, "told": False}),
]


def cold_units() -> Any:
    """Return the policy with the first biases far below 0."""
    params = OFFERS.init()
    return {**params, "layer0": {**params["layer0"], "b": np.full(20, -30, np.float32)}}


def shut() -> Any:
    """Return the recurrent unit with a gate that keeps all of its empty memory."""
    params = WAVES.init()
    bias = np.concatenate([np.full(10, 40), np.zeros(10)]).astype(np.float32)
    return {**params, "gates": {**params["gates"], "b": bias}}


def hard(params: Any, batch: Any) -> jax.Array:
    """Return the loss of attention that takes the best fit alone."""
    keys, values, asked, answer = batch
    scores = jnp.einsum("nd,nkd->nk", params["asked"][asked], params["key"][keys])
    weight = jax.nn.one_hot(jnp.argmax(scores, axis=1), 4, dtype=jnp.float32)
    found = jnp.einsum("nk,nkd->nd", weight, params["value"][values])
    return models.cross_entropy(found @ params["head"], answer)


def warmth(activation: Any) -> Any:
    """Return the mean squared error of the power used, of a network of seven layers."""
    return lambda params, batch: models.squared(models.mlp(params, batch[0], activation)[:, 0], batch[1])


DEEP = Problem(lambda: models.mlp_init((2, *[12] * 6, 1), 576), warmth(jax.nn.sigmoid), DEMAND.points)

DEAD: list[tuple[Any, ...]] = [
    (
        "fifth_offers_cold_units",
        OFFERS,
        32,
        300,
        adam(3e-3),
        dead(("layer0",), instead(init=OFFERS.init)),
        {"init": cold_units},
    ),
    (
        "fifth_waves_shut_gate",
        WAVES,
        32,
        200,
        adam(0.01),
        dead(("gates", "new"), instead(init=WAVES.init)),
        {"init": shut},
    ),
    ("fifth_recall_hard", RECALL, 64, 400, adam(3e-3), cut(("key", "asked"), recalling), {"loss": hard}),
    (
        "fifth_demand_seven_sigmoids",
        DEEP,
        32,
        400,
        lambda f=1.0: gradtx.sgd(f * 0.1, momentum=0.9),
        dead(("layer0", "layer1"), instead(loss=warmth(jnp.tanh)), ratio=1e-3),
        {"also": ("saddle_plateau",)},
    ),
]
SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields)
    for cause, rows in (("saddle_plateau", SADDLES), ("vanishing_dead", DEAD))
    for name, *rest, fields in rows
]
