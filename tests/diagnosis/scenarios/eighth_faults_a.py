"""Runs of the eighth set whose fault is in the data or the loss: nothing to learn, NaN, a bad batch, no bound."""

import functools
from typing import Any

import jax
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import data
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import guessing, thrown
from tests.diagnosis.scenarios.eighth_choices_a import OFFERS, weighed
from tests.diagnosis.scenarios.eighth_counts_a import demand, elasticity
from tests.diagnosis.scenarios.eighth_proofs_a import as_good_as_dead
from tests.diagnosis.scenarios.eighth_tables_a import CUSTOMERS, PREMIUMS, customers, eighth, premiums, tweedie
from tests.diagnosis.scenarios.eighth_texts_a import MESSAGES, messages
from tests.diagnosis.scenarios.fourth_faults import changed, drawn
from tests.diagnosis.scenarios.fourth_proofs import sinking
from tests.diagnosis.scenarios.fresh_faults import cleaned, others
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.proofs import both, clean_but_for_a_step
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_proofs import constant_best


def unknown() -> Points:
    """Return messages whose words are all looked up in capitals, and so all unknown, number 0."""
    words, about = messages()
    return 0 * words, about


def rare(points: Any) -> float:
    """Return the entropy of a label, from the share of customers that left."""
    share = float(np.mean(points[1]))
    return -share * np.log(share) - (1 - share) * np.log(1 - share)


def mean_alone(points: Any) -> float:
    """Return the least deviance of one cost for all, of power 1.5."""
    return 4 * float(np.mean(points[1])) ** 0.5


def wrong_join() -> Points:
    """Return the policies, each with what another one cost."""
    x, cost = premiums()
    return x, np.random.default_rng(981).permutation(cost)


CHANCE: list[tuple[Any, ...]] = [
    (
        "eighth_messages_all_unknown",
        Problem(MESSAGES.init, MESSAGES.loss, unknown),
        32,
        300,
        adam(3e-3),
        guessing(6, cleaned(drawn(MESSAGES.points, 32))),
        {},
    ),
    (
        "eighth_customers_of_another_list",
        CUSTOMERS,
        256,
        400,
        lambda f=1.0: optax.adamw(f * 1e-3),
        constant_best(rare, cleaned(drawn(CUSTOMERS.points, 256)), drop=0.2),
        {"batch": others(CUSTOMERS.points, 256)},
    ),
    (
        "eighth_premiums_wrong_join",
        Problem(PREMIUMS.init, tweedie, wrong_join),
        0,
        300,
        sgd(0.01),
        constant_best(mean_alone, cleaned(data.always(premiums())), drop=0.1),
        {"told": False},
    ),
]


def for_nothing(prices: jax.Array, sold: jax.Array) -> Any:
    """Return weeks in the first of which a rival's good was given away for nothing."""
    return prices.at[0, 3].set(0), sold


WEEKS = Problem(
    lambda: {"slope": np.zeros(6, np.float32), "level": np.float32(0)}, elasticity, functools.partial(demand, 0.5)
)
NOT_FINITE: list[tuple[Any, ...]] = [
    (
        "eighth_weeks_for_nothing",
        WEEKS,
        16,
        250,
        lambda f=1.0: gradtx.adam(f * 0.02),
        clean_but_for_a_step(cleaned(drawn(WEEKS.points, 16))),
        {"batch": changed(drawn(WEEKS.points, 16), 130, for_nothing)},
    ),
]

SPOILT = 250


def raw_units(x: jax.Array, left: jax.Array) -> Any:
    """Return customers whose features were not standardized: as if 400 times as large."""
    return 400 * x, left


THROWN: list[tuple[Any, ...]] = [
    (
        "eighth_customers_raw_units",
        CUSTOMERS,
        128,
        700,
        sgd(0.1, momentum=0.9),
        both(
            thrown(SPOILT, cleaned(drawn(CUSTOMERS.points, 128)), rise=1.15),
            as_good_as_dead(("layer0",), SPOILT, rare(customers())),
        ),
        {"batch": changed(drawn(CUSTOMERS.points, 128), SPOILT, raw_units), "also": ("vanishing_dead",)},
    ),
]


def surer(params: Any, far: float) -> Any:
    """Return the policy with larger scores of all offers."""
    return {**params, "layer1": jax.tree.map(lambda p: 4.0**far * p, params["layer1"])}


UNBOUNDED: list[tuple[Any, ...]] = [
    (
        "eighth_offers_signed_gains",
        Problem(OFFERS.init, weighed(lambda gain: gain), OFFERS.points),
        32,
        400,
        adam(3e-3),
        sinking(surer, 0.1),
        {"tellable": False},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (
        ("at_chance", CHANCE),
        ("non_finite", NOT_FINITE),
        ("collapsed", THROWN),
        ("unbounded", UNBOUNDED),
    )
    for name, *rest, fields in rows
]
