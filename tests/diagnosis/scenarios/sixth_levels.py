"""Runs of the sixth set in which nothing can be learnt, and healthy ones that look as if something were wrong."""

from typing import Any

import jax
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import data
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import guessing
from tests.diagnosis.scenarios.fifth_proofs import well
from tests.diagnosis.scenarios.fourth_faults import changed, drawn
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.proofs import both
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_choices_b import MARKET, market
from tests.diagnosis.scenarios.sixth_networks_b import (
    CLOUDS,
    GAITS,
    MOLECULES,
    ORDERS,
    RELIEF,
    TURNS,
    order_init,
    turns,
)
from tests.diagnosis.scenarios.sixth_problems_b import sixth
from tests.diagnosis.scenarios.sixth_proofs_b import constant_is_best, no_better


def sampled(whole: bool) -> Any:
    """Return recordings as numbers of 8 bits, divided by 256; `whole` divides as whole numbers do."""

    def points() -> Points:
        x, kind = GAITS.points()
        bits = np.clip(128 + 40 * x, 0, 255).astype(np.int32)
        return (bits // 256 if whole else bits / 256).astype(np.float32), kind

    return points


def other_energies(count: Any) -> Any:
    """Return molecules and the energies of others."""
    atom, bond, _ = drawn(MOLECULES.points, 32)(count)
    return atom, bond, data.minibatches(MOLECULES.points(), 32, seed=8)(count)[2]


CHANCE: list[tuple[Any, ...]] = [
    (
        "sixth_gaits_whole_division",
        Problem(GAITS.init, GAITS.loss, sampled(whole=True)),
        32,
        300,
        lambda f=1.0: optax.adamw(f * 5e-3),
        guessing(4, cleaned(drawn(sampled(whole=False), 32))),
        {"also": ("vanishing_dead",)},
    ),
    (
        "sixth_orders_no_positions",
        ORDERS,
        64,
        500,
        lambda f=1.0: gradtx.adam(f * 3e-3),
        guessing(2, instead(init=ORDERS.init)),
        {"init": lambda: order_init(placed=False)},
    ),
    (
        "sixth_market_tells_nothing",
        MARKET,
        64,
        500,
        sgd(0.02, momentum=0.9),
        guessing(2, cleaned(drawn(lambda: market(2.0), 64))),
        {"told": False},
    ),
    (
        "sixth_turns_from_lengths",
        Problem(TURNS.init, TURNS.loss, lambda: turns(seen=False)),
        32,
        500,
        lambda f=1.0: optax.rmsprop(f * 1e-3),
        guessing(2, cleaned(drawn(TURNS.points, 32))),
        {},
    ),
    (
        "sixth_molecules_mixed_up",
        MOLECULES,
        32,
        500,
        lambda f=1.0: optax.nadamw(f * 1e-3),
        constant_is_best(lambda: MOLECULES.points()[2], cleaned(drawn(MOLECULES.points, 32))),
        {"batch": other_energies},
    ),
]


def behind_adam(bound: float) -> Any:
    """Return the factory of Adam behind a clip that holds at every step: Adam takes out the length of gradients."""
    return lambda f=1.0: optax.chain(optax.clip_by_global_norm(bound), optax.adam(f * 2e-3))


def half_dark() -> Any:
    """Return the network of clouds, half of whose first units never light up."""
    params = CLOUDS.init()
    bias = np.where(np.arange(24) % 2 == 0, -30, 0).astype(np.float32)
    return {**params, "point0": {**params["point0"], "b": bias}}


def wrong_energies(atom: jax.Array, bond: jax.Array, energy: jax.Array) -> Any:
    """Return molecules with energies that are 30 times too large."""
    return atom, bond, 30 * energy


def first_layer_kept(factor: float = 1.0) -> Any:
    """Return Adam for all but the first layer, which keeps its random weights: most of the params."""
    labels = {"layer0": "kept", "layer1": "learnt", "layer2": "learnt"}
    return optax.multi_transform({"learnt": optax.adam(factor * 3e-3), "kept": optax.set_to_zero()}, labels)


HEALTHY: list[tuple[Any, ...]] = [
    (
        "sixth_orders_clip_before_adam",
        ORDERS,
        64,
        300,
        behind_adam(0.02),
        both(well(), no_better(instead(make_tx=adam(2e-3)))),
        {},
    ),
    (
        "sixth_clouds_half_dark",
        CLOUDS,
        32,
        300,
        adam(2e-3),
        both(well(), no_better(instead(init=CLOUDS.init))),
        {"init": half_dark},
    ),
    (
        "sixth_molecules_one_bad_batch",
        MOLECULES,
        32,
        140,
        adam(2e-3),
        both(well(), no_better(cleaned(drawn(MOLECULES.points, 32)))),
        {"batch": changed(drawn(MOLECULES.points, 32), 40, wrong_energies)},
    ),
    (
        "sixth_relief_first_layer_kept",
        RELIEF,
        32,
        60,
        first_layer_kept,
        both(well(), no_better(instead(make_tx=adam(3e-3)))),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    sixth(name, cause, *rest, **fields)
    for cause, rows in (("at_chance", CHANCE), ("healthy", HEALTHY))
    for name, *rest, fields in rows
]
