"""Runs of the third set in which something stands still: a rate, a mask, rounding, a decay."""

from typing import Any

import jax
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import counterfactuals, fresh_models, models
from tests.diagnosis.scenarios.base import Scenario, plain
from tests.diagnosis.scenarios.fresh_models import ECHOES, SHEET, SIGNALS
from tests.diagnosis.scenarios.fresh_problems import PAIRS, RATINGS, SPIRALS, WAVES, fresh
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.rates import adam


def whole_thousands(factor: float = 1.0) -> Any:
    """Return Adam whose rate rises with whole thousands of steps: an integer division too many."""
    return optax.adam(lambda count: factor * 1e-3 * (count // 1000))


def half_signals() -> Any:
    """Return the convolutional net in bfloat16, no bias at 0: there no update is lost."""
    return models.half(jax.tree.map(lambda x: np.where(x == 0, np.float32(0.3), x), fresh_models.conv1d_init()))


def shrinking(decay: float, factor: float = 1.0) -> Any:
    """Return momentum descent whose decay is added to the gradient."""
    return gradtx.chain(gradtx.add_decayed_weights(decay), gradtx.sgd(factor * 0.05, momentum=0.9))


SCENARIOS: list[Scenario] = [
    fresh(
        "fresh_signals_whole_thousands",
        "not_moving",
        SIGNALS,
        32,
        400,
        whole_thousands,
        never_due(adam(1e-3), 0),
    ),
    fresh(
        "fresh_spirals_staircase_to_zero",
        "not_moving",
        SPIRALS,
        16,
        500,
        lambda f=1.0: gradtx.adamw(gradtx.schedules.piecewise(f * 2e-3, {80: 0.1, 160: 0.0}), weight_decay=0.01),
        never_due(adam(2e-3), 170),
    ),
    fresh(
        "fresh_pairs_never_due",
        "not_moving",
        PAIRS,
        16,
        400,
        lambda f=1.0: gradtx.accumulate(gradtx.adam(f * 1e-3), 1000),
        never_due(adam(1e-3), 0),
    ),
    fresh(
        "fresh_gru_frozen",
        "not_moving",
        WAVES,
        16,
        300,
        lambda f=1.0: gradtx.chain(gradtx.adam(f * 1e-3), gradtx.freeze(lambda p: jax.tree.map(lambda x: True, p))),
        never_due(adam(1e-3), 0),
    ),
    fresh(
        "fresh_signals_bfloat16",
        "not_moving",
        SIGNALS,
        32,
        1200,
        lambda f=1.0: gradtx.adamw(f * 1e-5, weight_decay=0.01),
        counterfactuals.rounded(0.02),
        init=plain(half_signals),
    ),
    fresh(
        "fresh_echoes_only_positions",
        "not_moving",
        ECHOES,
        16,
        400,
        lambda f=1.0: gradtx.partition(
            {"on": gradtx.adam(f * 0.003), "off": gradtx.set_to_zero()},
            {"embed": {"token": "off", "position": "on"}, "attention": "off", "mlp": "off", "head": "off"},
        ),
        counterfactuals.unmoved(adam(0.003), share=0.9),
    ),
    fresh(
        "fresh_ratings_decay",
        "decay_bound",
        RATINGS,
        32,
        600,
        lambda f=1.0: shrinking(0.1, f),
        counterfactuals.better_with(lambda: shrinking(0.0)),
    ),
    fresh(
        "fresh_echoes_adamw_decay",
        "decay_bound",
        ECHOES,
        16,
        500,
        lambda f=1.0: optax.adamw(f * 0.003, weight_decay=20.0),
        counterfactuals.better_with(lambda: optax.adamw(0.003, weight_decay=0.0)),
    ),
    fresh(
        "fresh_vae_decay",
        "decay_bound",
        SHEET,
        32,
        500,
        lambda f=1.0: gradtx.adamaxw(f * 0.005, weight_decay=5.0),
        counterfactuals.better_with(lambda: gradtx.adamaxw(0.005, weight_decay=0.0)),
    ),
]
