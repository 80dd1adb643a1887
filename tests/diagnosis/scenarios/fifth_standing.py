"""Runs of the fifth set in which params stand still, or are held by a decay."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import better_with
from tests.diagnosis.scenarios.fifth_laws import FACES, SPINS, TAGS
from tests.diagnosis.scenarios.fifth_networks import CAPTIONS, RECALL, REGIONS
from tests.diagnosis.scenarios.fifth_tables import MACHINES, fifth
from tests.diagnosis.scenarios.fresh_proofs import never_due
from tests.diagnosis.scenarios.rates import adam


def misspelt(factor: float = 1.0) -> Any:
    """Return Adam for groups called encoder; no group is, so all are frozen."""

    def labels(params: Any) -> Any:
        return {name: "learnt" if name.startswith("encoder") else "frozen" for name in params}

    return optax.multi_transform({"learnt": optax.adam(factor * 1e-3), "frozen": optax.set_to_zero()}, labels)


def whole_division(factor: float = 1.0) -> Any:
    """Return Adam whose warm-up divides whole numbers, so that the rate is 0 until it is over."""

    def eta(count: jax.Array) -> jax.Array:
        return factor * jnp.minimum(count // 1000, 1).astype(jnp.float32) * 0.01

    return optax.adam(eta)


def rarely(factor: float = 1.0) -> Any:
    """Return Adam that steps once in 4096 gradients."""
    return optax.MultiSteps(optax.adam(factor * 3e-3), 4096).gradient_transformation()


def three_phases(factor: float = 1.0) -> Any:
    """Return AdamW with a warm-up, a plateau, and nothing after step 100."""
    eta = optax.join_schedules(
        [optax.linear_schedule(0.0, 3e-3, 20), optax.constant_schedule(3e-3), optax.constant_schedule(0.0)], [20, 100]
    )
    return optax.adamw(lambda count: factor * eta(count))


def in_gradient(decay: float, factor: float = 1.0) -> Any:
    """Return nesterov descent with a decay in its gradient."""
    return optax.chain(optax.add_decayed_weights(decay), optax.sgd(factor * 0.05, momentum=0.9, nesterov=True))


STILL: list[tuple[Any, ...]] = [
    ("fifth_captions_misspelt", CAPTIONS, 32, 150, misspelt, never_due(adam(3e-3), 0), {}),
    ("fifth_machines_whole_division", MACHINES, 16, 400, whole_division, never_due(adam(0.01), 0), {}),
    ("fifth_faces_rarely", FACES, 32, 200, rarely, never_due(adam(3e-3), 0), {"told": False}),
    ("fifth_recall_three_phases", RECALL, 64, 250, three_phases, never_due(adam(3e-3), 105), {}),
]

HELD: list[tuple[Any, ...]] = [
    (
        "fifth_regions_decay",
        REGIONS,
        32,
        300,
        lambda f=1.0: optax.adamw(f * 0.01, weight_decay=3.0),
        better_with(adam(0.01)),
        {},
    ),
    (
        "fifth_tags_decay_in_gradient",
        TAGS,
        16,
        300,
        lambda f=1.0: in_gradient(1.0, f),
        better_with(lambda: in_gradient(0.0), drop=0.2),
        {"told": False},
    ),
    (
        "fifth_spins_lion_decay",
        SPINS,
        16,
        300,
        lambda f=1.0: gradtx.lion(f * 3e-3, weight_decay=20.0),
        better_with(lambda: gradtx.lion(3e-3, weight_decay=0.0), drop=0.15),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields)
    for cause, rows in (("not_moving", STILL), ("decay_bound", HELD))
    for name, *rest, fields in rows
]
