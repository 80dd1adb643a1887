"""Runs of the sixth set in which params stand still, or are held by a decay."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import better_with, rounded, unmoved
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.proofs import both
from tests.diagnosis.scenarios.rates import adam
from tests.diagnosis.scenarios.sixth_choices_b import ADAPTER
from tests.diagnosis.scenarios.sixth_networks_b import (
    CLOUDS,
    GAITS,
    ORDERS,
    RELIEF,
    STROKES,
    height,
)
from tests.diagnosis.scenarios.sixth_problems_b import CORPUS, GRADES, sixth
from tests.diagnosis.scenarios.sixth_proofs_b import held_down


def absolute_rates(factor: float = 1.0) -> Any:
    """Return descent by a schedule that multiplies, given the rates themselves: from step 120 on it is 2e-9."""
    eta = optax.piecewise_constant_schedule(factor * 0.1, {60: 0.02, 120: 1e-6})
    return optax.sgd(eta, momentum=0.9)


def narrow_gradients(factor: float = 1.0) -> Any:
    """Return Adam on gradients that were sent in float16, whose least number is 6e-8."""

    def send(updates: Any, params: Any = None) -> Any:
        return jax.tree.map(lambda g: g.astype(jnp.float16).astype(g.dtype), updates)

    return optax.chain(optax.stateless(send), optax.adam(factor * 3e-3, eps=1e-15))


def relative_steps(factor: float = 1.0) -> Any:
    """Return Adam whose steps are as large as the params they are for, so that params of 0 stay there."""
    return optax.chain(
        optax.scale_by_adam(), optax.scale_by_param_block_rms(min_scale=0.0), optax.scale_by_learning_rate(factor * 0.1)
    )


def all_zero() -> Any:
    """Return a model of grades whose params are all 0."""
    return jax.tree.map(np.zeros_like, GRADES.init())


def unfreezes_late(factor: float = 1.0) -> Any:
    """Return Adam that waits for step 20000, ten passes over the data in the run it was written for."""
    return optax.conditionally_mask(optax.adam(factor * 3e-3), lambda step: step >= 20_000)


def counted_on(factor: float = 1.0) -> Any:
    """Return AdamW on a line to 0 whose count goes on from the run before, which had reached its end."""
    eta = optax.polynomial_schedule(3e-3, 0.0, 1, 5000)
    return optax.adamw(lambda count: factor * eta(count + 5000))


STILL: list[tuple[Any, ...]] = [
    ("sixth_adapter_bfloat16", ADAPTER, 32, 400, adam(1e-3), rounded(0.2), {}),
    (
        "sixth_clouds_absolute_rates",
        CLOUDS,
        32,
        500,
        absolute_rates,
        unmoved(adam(3e-3), since=200, share=0.97),
        {},
    ),
    (
        "sixth_relief_float16_gradients",
        Problem(RELIEF.init, height(lambda score: score, 1e-4), RELIEF.points),
        32,
        300,
        narrow_gradients,
        never_due(lambda: gradtx.adam(3e-3, eps=1e-15), 0),
        {},
    ),
    (
        "sixth_grades_relative_steps",
        GRADES,
        32,
        200,
        relative_steps,
        never_due(adam(0.05), 0, drop=0.1),
        {"init": all_zero},
    ),
    ("sixth_orders_unfreezes_late", ORDERS, 32, 300, unfreezes_late, never_due(adam(3e-3), 0), {"told": False}),
    ("sixth_gaits_counted_on", GAITS, 32, 250, counted_on, unmoved(adam(3e-3), share=0.95), {}),
]


def shrunk(decay: float, factor: float = 1.0) -> Any:
    """Return nesterov descent with a decay in its gradient."""
    return gradtx.chain(gradtx.add_decayed_weights(decay), gradtx.sgd(factor * 0.1, momentum=0.8, nesterov=True))


def coupled(decay: float, factor: float = 1.0) -> Any:
    """Return Adam with a decay that goes through its scale."""
    return optax.chain(optax.add_decayed_weights(decay), optax.adam(factor * 3e-3))


def words_alone(decay: float, factor: float = 1.0) -> Any:
    """Return AdamW whose decay, meant for a mean of squares, is on the vectors and not on the biases."""
    mask = {"word": True, "context": True, "bias": False}
    return optax.adamw(factor * 0.03, weight_decay=decay, mask=mask)


HELD: list[tuple[Any, ...]] = [
    (
        "sixth_grades_decay",
        GRADES,
        64,
        400,
        lambda f=1.0: shrunk(0.3, f),
        both(better_with(lambda: shrunk(0.0), drop=0.1), held_down(lambda: shrunk(0.0))),
        {},
    ),
    (
        "sixth_gaits_adamax_decay",
        GAITS,
        32,
        400,
        lambda f=1.0: optax.adamaxw(f * 5e-3, weight_decay=4.0),
        both(
            better_with(lambda: optax.adamax(5e-3)),
            held_down(lambda: optax.adamax(5e-3)),
        ),
        {},
    ),
    (
        "sixth_corpus_words_decay",
        CORPUS,
        64,
        600,
        lambda f=1.0: words_alone(5.0, f),
        both(better_with(lambda: words_alone(0.0)), held_down(lambda: words_alone(0.0))),
        {},
    ),
    (
        "sixth_strokes_coupled_decay",
        STROKES,
        32,
        600,
        lambda f=1.0: coupled(1.0, f),
        both(better_with(lambda: coupled(0.0)), held_down(lambda: coupled(0.0))),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    sixth(name, cause, *rest, **fields)
    for cause, rows in (("not_moving", STILL), ("decay_bound", HELD))
    for name, *rest, fields in rows
]
