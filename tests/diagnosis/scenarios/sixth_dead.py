"""Runs of the sixth set in which units, or a part of the network, get no gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import dead
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_choices_b import WAGES, wide_and_deep
from tests.diagnosis.scenarios.sixth_networks_b import RELIEF, height
from tests.diagnosis.scenarios.sixth_problems_b import TIDES, bells, sixth


def limited(score: jax.Array) -> jax.Array:
    """Return a height between 0 and 1: whatever is below 0 has no derivative."""
    return jnp.clip(score, 0, 1)


def deep_below() -> Any:
    """Return the network of heights with a last bias below 0, as if it were the logarithm of an odds."""
    params = RELIEF.init()
    return {**params, "layer2": {**params["layer2"], "b": params["layer2"]["b"] - 4}}


def small_weights() -> Any:
    """Return a network of ten layers with all weights of a fiftieth, as is usual behind a normalization."""
    sizes = [(20, 16), *[(16, 16)] * 8, (16, 1)]
    return {
        f"layer{i}": {"w": normal(660 + i, *size, size=0.02), "b": normal(0, size[1], size=0.0)}
        for i, size in enumerate(sizes)
    }


def usual_weights() -> Any:
    """Return the same network with weights that keep the size of what goes through."""
    return {
        name: {**layer, "w": layer["w"] * (70 / layer["w"].shape[0] ** 0.5)} for name, layer in small_weights().items()
    }


def guarded(params: Any, batch: Any) -> jax.Array:
    """Return the negative log likelihood of heights whose spread a layer of its own tells, kept within bounds."""
    x, true = batch
    guess = models.mlp({name: part for name, part in params.items() if name != "spread"}, x, jax.nn.gelu)[:, 0]
    log_std = jnp.clip(models.affine(params["spread"], x)[:, 0], -5, 2)
    return jnp.mean(0.5 * jnp.square((true - guess) * jnp.exp(-log_std)) + log_std)


def spread_from(bias: float) -> Any:
    """Return what makes a network of heights and of the logarithm of their spread, which starts near `bias`."""
    told = {"w": normal(671, 20, 1, size=0.05), "b": np.full(1, bias, np.float32)}
    return lambda: {**RELIEF.init(), "spread": told}


DEAD: list[tuple[Any, ...]] = [
    (
        "sixth_tides_far_bells",
        TIDES,
        32,
        600,
        adam(0.03),
        dead(("centre", "width", "height"), instead(init=TIDES.init)),
        {"init": bells(0.0, 30.0)},
    ),
    (
        "sixth_wages_as_they_are",
        WAGES,
        32,
        500,
        lambda f=1.0: gradtx.adamw(f * 5e-3, weight_decay=0.0),
        dead(("layer0",), instead(loss=wide_and_deep(standardized=True))),
        {},
    ),
    (
        "sixth_relief_limited",
        Problem(deep_below, height(limited), RELIEF.points),
        32,
        300,
        sgd(0.1, momentum=0.9),
        dead(("layer0", "layer1", "layer2"), instead(init=RELIEF.init)),
        {"also": ("not_moving",)},
    ),
    (
        "sixth_relief_ten_layers",
        Problem(small_weights, height(lambda score: score), RELIEF.points),
        32,
        400,
        sgd(0.1, momentum=0.9, nesterov=True),
        dead(tuple(f"layer{i}" for i in range(6)), instead(init=usual_weights), ratio=1e-3),
        {"also": ("saddle_plateau",)},
    ),
    (
        "sixth_relief_clamped_spread",
        Problem(spread_from(4.0), guarded, RELIEF.points),
        32,
        400,
        adam(3e-3),
        dead(("spread",), instead(init=spread_from(0.0))),
        {},
    ),
]

SCENARIOS: list[Scenario] = [sixth(name, "vanishing_dead", *rest, **fields) for name, *rest, fields in DEAD]
