"""Runs of the eighth set, part b, at a saddle, or with a part that no gradient reaches."""

from typing import Any

import jax
import numpy as np

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.eighth_densities_b import (
    OFFERS,
    PANELS,
    PAPERS,
    TIES,
    chosen,
    cited,
    coder,
    panels,
    places,
)
from tests.diagnosis.scenarios.eighth_physics_b import PULSE, pulses
from tests.diagnosis.scenarios.eighth_signals_b import DENOISE, denoiser, eighth
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import dead, saddle
from tests.diagnosis.scenarios.rates import adam, sgd


def nearly_no_code() -> Any:
    """Return a coder that says nearly nothing, and is otherwise as good as can be."""
    params = coder()
    small = jax.tree.map(lambda p: np.float32(0.01) * p, (params["encoder"]["layer1"], params["decoder"]))
    small[1]["layer1"]["b"] = panels()[0].mean(0)
    spread = np.log(panels()[0].std(0)).astype(np.float32)
    return {"encoder": {**params["encoder"], "layer1": small[0]}, "decoder": small[1], "log_std": spread}


def nearly_one_place() -> Any:
    """Return people who are nearly at one place, and the true level."""
    return {"place": places(1e-4)()["place"], "level": np.float32(-1.0)}


SADDLES: list[tuple[Any, ...]] = [
    ("eighth_pulse_nearly_none", PULSE, 0, 60, sgd(0.01), saddle(steps=600), {"init": pulses(1e-8)}),
    (
        "eighth_panels_nearly_no_code",
        PANELS,
        0,
        150,
        lambda f=1.0: gradtx.sgd(f * 5e-3),
        saddle(steps=2000),
        {"init": nearly_no_code},
    ),
    (
        "eighth_ties_one_place",
        TIES,
        0,
        120,
        sgd(5.0),
        saddle(steps=2000),
        {"init": nearly_one_place, "also": ("at_chance",), "told": False},
    ),
]


def deep(activation: Any) -> Problem:
    """Return the papers, read by a network that averages over neighbours nine times."""
    return Problem(lambda: models.mlp_init((8, *[16] * 8, 4), 9072, 1.4), cited(activation), PAPERS.points)


DEAD: list[tuple[Any, ...]] = [
    (
        "eighth_denoise_cold_units",
        DENOISE,
        8,
        300,
        adam(3e-3),
        dead(("conv1",), instead(init=DENOISE.init)),
        {"init": lambda: denoiser(-20.0)},
    ),
    (
        "eighth_papers_nine_layers",
        deep(jax.nn.sigmoid),
        0,
        400,
        sgd(0.1, momentum=0.9),
        dead(("layer0", "layer1"), instead(loss=cited(jax.numpy.tanh)), ratio=1e-3),
        {"also": ("saddle_plateau",)},
    ),
    (
        "eighth_offers_cold_choice",
        Problem(OFFERS.init, chosen(1e5), OFFERS.points),
        32,
        500,
        lambda f=1.0: gradtx.adam(f * 0.03),
        dead(("key", "query"), instead(loss=chosen(4.0)), ratio=1e-3),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    eighth(name, cause, *rest, **fields)
    for cause, rows in (("saddle_plateau", SADDLES), ("vanishing_dead", DEAD))
    for name, *rest, fields in rows
]
