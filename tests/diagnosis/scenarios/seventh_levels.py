"""Runs of the seventh set in which nothing can be learnt, or whose loss has no bound."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import guessing
from tests.diagnosis.scenarios.fourth_faults import drawn
from tests.diagnosis.scenarios.fourth_proofs import sinking
from tests.diagnosis.scenarios.fresh_faults import cleaned, others
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import seventh
from tests.diagnosis.scenarios.seventh_pictures import BYTES, MASKS
from tests.diagnosis.scenarios.seventh_proofs import constant_best
from tests.diagnosis.scenarios.seventh_sequences import NO_PLACES, PATCHES, REVIEWS, opinion, pair_init, reviews
from tests.diagnosis.scenarios.seventh_teachers import COUNTER, MARKET, market, momentum_market


def cut_off(count: Any) -> Any:
    """Return reviews of which only the first three places are kept: all padding."""
    words, good = drawn(REVIEWS.points, 32)(count)
    return words[:, :3], good


def share_of_cells(points: Any) -> float:
    """Return the entropy of a pixel, from the share of all that are cells."""
    share = float(np.mean(points[1]))
    return -share * np.log(share) - (1 - share) * np.log(1 - share)


def variance(points: Any) -> float:
    """Return the variance of the target."""
    return float(np.var(points[1]))


CHANCE: list[tuple[Any, ...]] = [
    (
        "seventh_patches_mixed_up",
        PATCHES,
        32,
        250,
        lambda f=1.0: optax.adamw(f * 1e-3),
        guessing(5, cleaned(drawn(PATCHES.points, 32))),
        {"batch": others(PATCHES.points, 32)},
    ),
    (
        "seventh_pairs_no_places",
        NO_PLACES,
        32,
        400,
        adam(2e-3),
        guessing(2, instead(init=pair_init(places=True))),
        {},
    ),
    (
        "seventh_reviews_cut_off",
        REVIEWS,
        32,
        300,
        lambda f=1.0: gradtx.rmsprop(f * 0.01),
        guessing(2, cleaned(drawn(REVIEWS.points, 32))),
        {"batch": cut_off, "told": False},
    ),
    (
        "seventh_masks_of_others",
        MASKS,
        16,
        300,
        adam(3e-3),
        constant_best(share_of_cells, cleaned(drawn(MASKS.points, 16))),
        {"batch": others(MASKS.points, 16)},
    ),
    (
        "seventh_returns_at_random",
        MARKET,
        256,
        400,
        lambda f=1.0: optax.adam(f * 1e-3),
        constant_best(variance, cleaned(momentum_market(256, 833))),
        {"batch": market(256, 834)},
    ),
]


def one_or_two() -> Points:
    """Return reviews with the labels 1 and 2 instead of 0 and 1."""
    words, good = reviews()
    return words, good + 1


def lighter(params: Any, far: float) -> Any:
    """Return the autoencoder with larger scores of all pixels."""
    return {**params, "layer3": {**params["layer3"], "b": params["layer3"]["b"] + 10 * far}}


def better(params: Any, far: float) -> Any:
    """Return the memory with a larger score of all reviews."""
    return {**params, "out": {**params["out"], "b": params["out"]["b"] + 10 * far}}


def certain(params: Any, far: float) -> Any:
    """Return the law without error, and a smaller deviation."""
    w = jnp.array([2, -1, 1, 3], jnp.float32)
    return {"w": w, "b": jnp.float32(1), "log_std": jnp.float32(-4 * far)}


UNBOUNDED: list[tuple[Any, ...]] = [
    ("seventh_squeeze_bytes", BYTES, 32, 300, adam(2e-3), sinking(lighter, 0.1), {}),
    (
        "seventh_reviews_one_or_two",
        Problem(REVIEWS.init, opinion, one_or_two),
        32,
        300,
        sgd(0.3),
        sinking(better, 0.1),
        {},
    ),
    ("seventh_counter_certain", COUNTER, 0, 400, lambda f=1.0: optax.adam(f * 0.02), sinking(certain, 0.1), {}),
]
SCENARIOS: list[Scenario] = [
    seventh(name, cause, *rest, **fields, tellable=cause != "unbounded")
    for cause, rows in (("at_chance", CHANCE), ("unbounded", UNBOUNDED))
    for name, *rest, fields in rows
]
