"""Runs of the fourth set in which params stand still, or are held by a decay."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import better_with, rounded, unmoved
from tests.diagnosis.scenarios.fourth_equations import ORBITS
from tests.diagnosis.scenarios.fourth_healthy import LETTERS_HALF
from tests.diagnosis.scenarios.fourth_models import BARS, BRANCHES, LETTERS, SUMS, TRIPLETS
from tests.diagnosis.scenarios.fourth_problems import SHOP, WORDS, fourth
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.rates import adam


def cosine_over(factor: float = 1.0) -> Any:
    """Return Adam whose cosine ends at step 120."""
    eta = optax.cosine_decay_schedule(2e-3, 120)
    return optax.adam(lambda count: factor * eta(count))


def line_over(factor: float = 1.0) -> Any:
    """Return AdamW with a decay, whose rate goes down a line that ends at step 100."""
    return gradtx.adamw(gradtx.schedules.linear(factor * 2e-3, 0.0, 100), weight_decay=0.1)


def mask_of_all(factor: float = 1.0) -> Any:
    """Return Adam behind a mask that was meant for the encoder, and takes all."""
    return optax.chain(
        optax.adam(factor * 1e-3), optax.masked(optax.set_to_zero(), lambda p: jax.tree.map(lambda x: True, p))
    )


def all_skipped(factor: float = 1.0) -> Any:
    """Return Adam that skips large gradients, by a bound that all of them are above."""
    skip = functools.partial(optax.skip_large_updates, max_squared_norm=1e-6)
    return optax.MultiSteps(optax.adam(factor * 3e-3), 1, should_skip_update_fn=skip).gradient_transformation()


def impatient(factor: float = 1.0) -> Any:
    """Return Adam whose rate is cut to a tenth whenever one noisy loss in five is no record."""
    return optax.chain(optax.adam(factor * 1e-3), optax.contrib.reduce_on_plateau(factor=0.1, patience=5))


def injected(factor: float = 1.0) -> Any:
    """Return AdamW whose rate is a number in its state, and is 0 until somebody sets it."""
    return optax.inject_hyperparams(optax.adamw)(learning_rate=0.0 * factor)


def only_last_bias(factor: float = 1.0) -> Any:
    """Return Adam for the last bias alone: all else was taken for a part that is given."""
    labels = {"layer0": "given", "layer1": {"w": "given", "b": "learnt"}}
    return gradtx.partition({"given": gradtx.set_to_zero(), "learnt": gradtx.adam(factor * 3e-3)}, labels)


def metres() -> Points:
    """Return 200 readings of a place, in metres from far away."""
    return ((5e6 + 40 + 5 * np.random.default_rng(281).normal(size=(200, 2))).astype(np.float32),)


PLACE = Problem(
    lambda: {"place": np.full(2, 5e6, np.float32)},
    lambda p, b: jnp.mean(jnp.sum(jnp.square((b[0] - p["place"][None, :]) / 10), axis=1)),
    metres,
)


def shrunk(decay: float, factor: float = 1.0) -> Any:
    """Return momentum descent with a decay in its gradient."""
    return optax.chain(optax.add_decayed_weights(decay), optax.sgd(factor * 0.005, momentum=0.9))


def apart(decay: float, factor: float = 1.0) -> Any:
    """Return Adam and after it a decay that its rate does not multiply."""
    return optax.chain(optax.adam(factor * 1e-3), optax.add_decayed_weights(-decay))


STILL: list[tuple[Any, ...]] = [
    ("fourth_place_in_metres", PLACE, 0, 300, adam(0.01), never_due(adam(1.0), 0)),
    ("fourth_bars_cosine_over", BARS, 32, 500, cosine_over, never_due(adam(2e-3), 130, drop=0.1)),
    ("fourth_letters_line_over", LETTERS, 16, 300, line_over, never_due(adam(2e-3), 105)),
    ("fourth_bars_mask_of_all", BARS, 16, 300, mask_of_all, never_due(adam(5e-3), 0, drop=0.1)),
    ("fourth_branches_all_skipped", BRANCHES, 32, 400, all_skipped, never_due(adam(3e-3), 0)),
    ("fourth_shop_rate_injected", SHOP, 32, 300, injected, never_due(adam(1e-2), 0)),
    ("fourth_words_impatient", WORDS, 16, 800, impatient, never_due(adam(1e-2), 600)),
    ("fourth_orbits_only_last_bias", ORBITS, 8, 400, only_last_bias, unmoved(adam(3e-3), share=0.9)),
    ("fourth_letters_bfloat16_lost", LETTERS_HALF, 16, 600, lambda f=1.0: optax.adamw(f * 3e-5), rounded(0.05)),
]

HELD: list[tuple[Any, ...]] = [
    ("fourth_triplets_decay", TRIPLETS, 32, 500, lambda f=1.0: shrunk(0.5, f), better_with(lambda: shrunk(0.0))),
    (
        "fourth_sums_adamw_decay",
        SUMS,
        32,
        500,
        lambda f=1.0: optax.adamw(f * 0.01, weight_decay=5.0),
        better_with(adam(0.01)),
    ),
    (
        "fourth_words_lion_decay",
        WORDS,
        64,
        600,
        lambda f=1.0: gradtx.lion(f * 1e-3, weight_decay=20.0),
        better_with(lambda: gradtx.lion(1e-3, weight_decay=0.0), drop=0.2),
    ),
    ("fourth_bars_decay_apart", BARS, 32, 500, lambda f=1.0: apart(0.02, f), better_with(adam(1e-3), drop=0.1)),
]
SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest) for cause, rows in (("not_moving", STILL), ("decay_bound", HELD)) for name, *rest in rows
]
