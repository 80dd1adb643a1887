"""Runs of the eighth set held back or thrown by the transform: clips, a sigma that is forgotten, no warm-up."""

from typing import Any

import jax
import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_choices_a import STOCK, ordering
from tests.diagnosis.scenarios.eighth_tables_a import PREMIUMS, eighth, flat_init, flats, price
from tests.diagnosis.scenarios.eighth_texts_a import CODES, EXACT
from tests.diagnosis.scenarios.fifth_proofs import creeping, cut_short
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.proofs import both, clipped, cold_start, spiking
from tests.diagnosis.scenarios.rates import adam, empty_adagrad, sgd, warmed

CENTS = Problem(STOCK.init, ordering(100.0), STOCK.points)


def square(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of the price."""
    return models.squared(price(params, batch), batch[2])


EUROS = Problem(flat_init, square, lambda: flats(100.0))


def heavy(rate: float, clip: Any = None) -> Any:
    """Return the factory of momentum descent behind a clip, or behind none."""
    return lambda f=1.0: optax.chain(*([] if clip is None else [clip]), optax.sgd(f * rate, momentum=0.9))


CLIPPED: list[tuple[Any, ...]] = [
    (
        "eighth_stock_in_cents",
        CENTS,
        32,
        250,
        heavy(1e-4, optax.clip_by_global_norm(0.1)),
        clipped(0.1, heavy(1e-4)),
        {},
    ),
    (
        "eighth_flats_clip_by_value",
        EUROS,
        32,
        250,
        lambda f=1.0: gradtx.chain(gradtx.clip(0.05), gradtx.sgd(f * 1e-4)),
        cut_short(sgd(1e-4)),
        {"told": False},
    ),
]


def tariff() -> Points:
    """Return 3 columns of 60 contracts, and the tariff that a formula gives for each."""
    x = normal(971, 60, 3)
    return x, (x[:, :1] * x[:, 1:2] + x[:, 2:] / 2).astype("f4")


TARIFF = Problem(lambda: models.mlp_init((3, 24, 24, 1), 972, 1.2), models.fit(jax.nn.gelu), tariff)

BURSTS: list[tuple[Any, ...]] = [
    ("eighth_exact_adam_bursts", EXACT, 0, 1500, lambda f=1.0: optax.adam(f * 0.4), spiking(adam(3e-3)), {}),
    (
        "eighth_tariff_adamw_bursts",
        TARIFF,
        0,
        1500,
        lambda f=1.0: optax.adamw(f * 0.2, b2=0.98, weight_decay=0.0),
        spiking(adam(1e-3)),
        {},
    ),
]


def long_memory(rate: float, warmup: int = 0) -> Any:
    """Return RMSProp with a memory of 1000 steps, uncorrected, with or without a warm-up."""

    def make(factor: float = 1.0) -> Any:
        eta = optax.linear_schedule(0.0, factor * rate, warmup) if warmup else factor * rate
        return optax.rmsprop(eta, decay=0.999)

    return make


COLD: list[tuple[Any, ...]] = [
    (
        "eighth_codes_cold_rmsprop",
        CODES,
        32,
        300,
        long_memory(0.12),
        cold_start(long_memory(0.12, 150), drop=0.3),
        {},
    ),
    (
        "eighth_premiums_cold_adagrad",
        PREMIUMS,
        32,
        250,
        warmed(empty_adagrad, 1.0),
        cold_start(warmed(empty_adagrad, 1.0, 150), drop=0.3),
        {},
    ),
]
SCENARIOS: list[Scenario] = [
    *(
        eighth(name, "always_clipped", *rest, both(proof, creeping()), also=("crawling",), **fields)
        for name, *rest, proof, fields in CLIPPED
    ),
    *(
        eighth(name, cause, *rest, **fields)
        for cause, rows in (("sigma_burst", BURSTS), ("needs_warmup", COLD))
        for name, *rest, fields in rows
    ),
]
