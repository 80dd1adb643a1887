"""Runs of the seventh set at a saddle, or with a part that no gradient reaches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import cut
from tests.diagnosis.scenarios.proofs import dead, saddle
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import BASKETS, WEATHER, seasons, seventh, span
from tests.diagnosis.scenarios.seventh_physics import CORNER, CUBE, factors
from tests.diagnosis.scenarios.seventh_pictures import CODES, quantized
from tests.diagnosis.scenarios.seventh_proofs import mute
from tests.diagnosis.scenarios.seventh_sequences import OPENINGS, memory

SADDLES: list[tuple[Any, ...]] = [
    (
        "seventh_weather_alike",
        WEATHER,
        0,
        200,
        sgd(2.0),
        saddle(steps=3000, drop=0.03),
        {"init": seasons(1e-4, 0.0), "tellable": False},
    ),
    ("seventh_circuit_wrong_corner", CORNER, 0, 60, sgd(0.05), saddle(steps=600), {}),
    ("seventh_cube_small_start", CUBE, 0, 150, sgd(0.1), saddle(), {"init": factors(0.01)}),
]


def rounded_span(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the span in whole numbers, which has no slope."""
    return jnp.mean(jnp.square(jnp.round(span(params, batch[0])) - batch[1]))


def relu_span(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the span, of which nothing below 0 is let through."""
    return jnp.mean(jnp.square(jax.nn.relu(span(params, batch[0])) - batch[1]))


def below() -> Any:
    """Return the network of sets with a last bias so low that its span is below 0 for every basket."""
    params = BASKETS.init()
    return {**params, "out": {**params["out"], "b": np.full(1, -12, np.float32)}}


DEAD: list[tuple[Any, ...]] = [
    (
        "seventh_openings_forgotten",
        OPENINGS,
        32,
        300,
        sgd(0.1),
        dead(("start",), instead(init=memory(None)), ratio=1e-3),
        {"also": ("at_chance",)},
    ),
    (
        "seventh_codes_not_through",
        CODES,
        32,
        400,
        adam(3e-3),
        cut(("encoder",), CODES.loss),
        {"loss": quantized(through=False)},
    ),
    (
        "seventh_baskets_rounded",
        BASKETS,
        32,
        200,
        adam(3e-3),
        mute(instead(loss=BASKETS.loss)),
        {"loss": rounded_span, "also": ("not_moving",)},
    ),
    (
        "seventh_baskets_relu_at_the_end",
        BASKETS,
        32,
        200,
        adam(3e-3),
        mute(instead(init=BASKETS.init)),
        {"loss": relu_span, "init": below, "also": ("not_moving",), "told": False},
    ),
]
SCENARIOS: list[Scenario] = [
    seventh(name, cause, *rest, **fields)
    for cause, rows in (("saddle_plateau", SADDLES), ("vanishing_dead", DEAD))
    for name, *rest, fields in rows
]
