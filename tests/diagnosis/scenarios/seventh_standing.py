"""Runs of the seventh set in which params stand still, or are held by a decay."""

from typing import Any

import jax
import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario, plain
from tests.diagnosis.scenarios.counterfactuals import better_with, rounded, unmoved
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.rates import adam
from tests.diagnosis.scenarios.seventh_people import BASKETS, seventh
from tests.diagnosis.scenarios.seventh_pictures import MASKS, SQUEEZE, squeeze_init
from tests.diagnosis.scenarios.seventh_sequences import PATCHES, REVERSAL, REVIEWS
from tests.diagnosis.scenarios.seventh_teachers import DISTIL


def in_epochs(factor: float = 1.0) -> Any:
    """Return Adam on a cosine over 30 steps, where 30 epochs were meant."""
    eta = optax.cosine_decay_schedule(1e-3, 30)
    return optax.adam(lambda count: factor * eta(count))


def places_alone(factor: float = 1.0) -> Any:
    """Return Adam for what is called head or place; the head was meant, but its labels are those of its parts."""

    def label(path: Any, leaf: jax.Array) -> str:
        return "learnt" if path[-1].key in ("head", "place") else "frozen"

    return optax.multi_transform(
        {"learnt": optax.adam(factor * 3e-3), "frozen": optax.set_to_zero()},
        lambda params: jax.tree_util.tree_map_with_path(label, params),
    )


def halved(factor: float = 1.0) -> Any:
    """Return Adam whose rate is halved at each step, not at each epoch."""
    return optax.adam(optax.exponential_decay(factor * 0.01, 1, 0.5))


def no_peak(factor: float = 1.0) -> Any:
    """Return AdamW on a warm-up and a cosine whose peak was left at 0."""
    eta = optax.warmup_cosine_decay_schedule(0.0, 0.0, 50, 400)
    return optax.adamw(lambda count: factor * eta(count), weight_decay=0.01)


SQUEEZE_HALF = Problem(plain(lambda: models.half(squeeze_init())), SQUEEZE.loss, SQUEEZE.points)

STILL: list[tuple[Any, ...]] = [
    ("seventh_reversal_in_epochs", REVERSAL, 32, 250, in_epochs, never_due(adam(3e-3), 33), {}),
    ("seventh_patches_places_alone", PATCHES, 32, 250, places_alone, unmoved(adam(3e-3), share=0.95), {}),
    ("seventh_reviews_halved", REVIEWS, 32, 250, halved, never_due(adam(0.02), 60), {"told": False}),
    ("seventh_masks_no_peak", MASKS, 16, 150, no_peak, never_due(adam(3e-3), 0), {}),
    ("seventh_squeeze_bfloat16_lost", SQUEEZE_HALF, 32, 1000, lambda f=1.0: optax.adam(f * 3e-5), rounded(0.05), {}),
]


def in_gradient(decay: float, factor: float = 1.0) -> Any:
    """Return momentum descent with a decay in its gradient."""
    return gradtx.chain(gradtx.add_decayed_weights(decay), gradtx.sgd(factor * 0.05, momentum=0.9))


HELD: list[tuple[Any, ...]] = [
    (
        "seventh_distil_adamw_decay",
        DISTIL,
        32,
        400,
        lambda f=1.0: optax.adamw(f * 0.01, weight_decay=3.0),
        better_with(adam(0.01)),
        {},
    ),
    (
        "seventh_masks_decay",
        MASKS,
        16,
        300,
        lambda f=1.0: in_gradient(0.1, f),
        better_with(lambda: in_gradient(0.0)),
        {},
    ),
    (
        "seventh_baskets_lion_decay",
        BASKETS,
        32,
        400,
        lambda f=1.0: optax.lion(f * 2e-3, weight_decay=3.0),
        better_with(lambda: optax.lion(2e-3, weight_decay=0.0)),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    seventh(name, cause, *rest, **fields)
    for cause, rows in (("not_moving", STILL), ("decay_bound", HELD))
    for name, *rest, fields in rows
]
