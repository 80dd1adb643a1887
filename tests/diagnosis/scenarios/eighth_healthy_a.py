"""Healthy runs of the eighth set: tables, choices and texts, by many methods."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.eighth_choices_a import BUYERS, LIKED, ROOMS, SEARCHES, SESSIONS, STOCK
from tests.diagnosis.scenarios.eighth_counts_a import SURVEY
from tests.diagnosis.scenarios.eighth_proofs_a import annealed
from tests.diagnosis.scenarios.eighth_tables_a import DAMAGES, FLATS, LOANS, SCORECARD, eighth
from tests.diagnosis.scenarios.eighth_texts_a import CODES, MESSAGES
from tests.diagnosis.scenarios.fifth_proofs import well
from tests.diagnosis.scenarios.rates import adam, sgd


def to_zero(steps: int) -> Any:
    """Return the factory of AdamW whose rate is warmed up and falls to 0 along a cosine, in this many steps."""

    def make(factor: float = 1.0) -> Any:
        eta = optax.warmup_cosine_decay_schedule(0.0, 4e-3, steps // 10, steps, 0.0)
        return optax.adamw(lambda count: factor * eta(count), weight_decay=0.01)

    return make


def seldom_clipped(factor: float = 1.0) -> Any:
    """Return AdamW behind a clip that most gradients are below."""
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(factor * 5e-3))


HEALTHY: list[tuple[Any, ...]] = [
    ("eighth_flats_adam", FLATS, 64, 150, adam(3e-3), well(0.08), {"told": False}),
    ("eighth_loans_one_by_one", LOANS, 1, 2500, sgd(0.02), well(0.06), {}),
    ("eighth_damages_nadam", DAMAGES, 32, 120, lambda f=1.0: gradtx.nadam(f * 3e-3), well(0.06), {}),
    ("eighth_survey_rmsprop", SURVEY, 25, 150, lambda f=1.0: gradtx.rmsprop(f * 2e-3), well(0.08), {}),
    ("eighth_liked_three_at_a_time", LIKED, 3, 1500, lambda f=1.0: optax.adagrad(f * 0.1), well(0.08), {}),
    ("eighth_buyers_adam", BUYERS, 32, 100, lambda f=1.0: optax.adam(f * 3e-3), well(0.08), {}),
    ("eighth_rooms_momentum", ROOMS, 16, 60, sgd(1.5e-3, momentum=0.9), well(0.06), {}),
    ("eighth_stock_adam", STOCK, 32, 60, adam(5e-3), well(0.08), {}),
    ("eighth_codes_clipped_seldom", CODES, 32, 200, seldom_clipped, well(0.08), {}),
    ("eighth_sessions_lion", SESSIONS, 64, 200, lambda f=1.0: optax.lion(f * 2e-3), well(0.08), {"told": False}),
    ("eighth_scorecard_new_year", SCORECARD, 32, 200, sgd(0.03), well(0.06), {}),
    ("eighth_searches_adabelief", SEARCHES, 16, 60, lambda f=1.0: optax.adabelief(f * 3e-3), well(0.08), {}),
    ("eighth_messages_to_zero", MESSAGES, 32, 300, to_zero(300), annealed(lambda: to_zero(600)()), {}),
]
SCENARIOS: list[Scenario] = [eighth(name, "healthy", *rest, **fields) for name, *rest, fields in HEALTHY]
