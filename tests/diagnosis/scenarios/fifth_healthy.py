"""Healthy runs of the fifth set: many methods, schedules and scales of loss."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario, plain
from tests.diagnosis.scenarios.fifth_laws import BELIEF, EPIDEMIC, FACES, PLANTS, SPINS, STRING, TAGS, VOICES
from tests.diagnosis.scenarios.fifth_networks import (
    CAPTIONS,
    GLYPHS,
    RECALL,
    REGIONS,
    TWISTED,
    WAVES,
    glyph_init,
    reading,
)
from tests.diagnosis.scenarios.fifth_proofs import well
from tests.diagnosis.scenarios.fifth_tables import (
    DEMAND,
    FACTS,
    HOUSES,
    MACHINES,
    OFFERS,
    RATINGS,
    SHARES,
    TEAMS,
    VISITS,
    fifth,
)
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.rates import adam, sgd


def warm_cosine(factor: float = 1.0) -> Any:
    """Return AdamW after a short warm-up, on a cosine of which it is a quarter."""
    eta = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 30, 2000)
    return optax.chain(optax.clip_by_global_norm(5.0), optax.adamw(lambda count: factor * eta(count)))


def two_groups(factor: float = 1.0) -> Any:
    """Return Adam for the network and Adagrad for the table of people."""
    return gradtx.partition(
        {"dense": gradtx.adam(factor * 1e-3), "table": gradtx.adagrad(factor * 0.05)},
        {"net": "dense", "person": "table"},
    )


def inverse_root(factor: float = 1.0) -> Any:
    """Return descent whose rate falls with the root of the step."""
    return optax.sgd(lambda count: factor * 0.1 / (1 + count / 50) ** 0.5, momentum=0.5)


GLYPHS_HALF = Problem(plain(lambda: models.half(glyph_init())), reading, GLYPHS.points)

HEALTHY: list[tuple[Any, ...]] = [
    ("fifth_captions_muon", CAPTIONS, 32, 120, lambda f=1.0: gradtx.muon(f * 0.01), 0.08, {}),
    ("fifth_waves_soap", WAVES, 32, 200, lambda f=1.0: gradtx.soap(f * 2e-3), 0.08, {}),
    ("fifth_recall_cosine", RECALL, 64, 160, warm_cosine, 0.08, {"told": False}),
    ("fifth_regions_schedule_free", REGIONS, 32, 120, lambda f=1.0: gradtx.schedule_free_adamw(f * 0.01), 0.08, {}),
    ("fifth_twisted_adabelief", TWISTED, 64, 400, lambda f=1.0: gradtx.adabelief(f * 2e-3), 0.08, {}),
    ("fifth_ratings_one_by_one", RATINGS, 1, 2000, sgd(0.01), 0.08, {}),
    ("fifth_teams_nesterov", TEAMS, 0, 60, sgd(0.08, momentum=0.9, nesterov=True), 0.08, {}),
    ("fifth_facts_adafactor", FACTS, 64, 150, lambda f=1.0: optax.adafactor(f * 0.01), 0.08, {}),
    ("fifth_machines_radam", MACHINES, 16, 180, lambda f=1.0: gradtx.radam(f * 0.02), 0.04, {}),
    ("fifth_visits_rmsprop", VISITS, 8, 400, lambda f=1.0: gradtx.rmsprop(f * 5e-4), 0.08, {}),
    ("fifth_shares_adam", SHARES, 0, 200, adam(0.01), 0.08, {"told": False}),
    ("fifth_offers_nadam", OFFERS, 32, 300, lambda f=1.0: optax.nadam(f * 4e-3), 0.08, {}),
    ("fifth_demand_adan", DEMAND, 0, 200, lambda f=1.0: gradtx.adan(f * 3e-3), 0.08, {}),
    ("fifth_epidemic_adam", EPIDEMIC, 0, 60, adam(0.005), 0.04, {}),
    ("fifth_voices_descent", VOICES, 0, 60, sgd(0.01), 0.08, {"told": False}),
    ("fifth_spins_adagrad", SPINS, 16, 100, lambda f=1.0: optax.adagrad(f * 0.02), 0.08, {}),
    ("fifth_tags_lamb", TAGS, 16, 300, lambda f=1.0: optax.lamb(f * 0.01), 0.08, {}),
    ("fifth_string_heavy_ball", STRING, 0, 80, sgd(0.01, momentum=0.9), 0.08, {}),
    ("fifth_belief_inverse_root", BELIEF, 32, 60, inverse_root, 0.08, {}),
    ("fifth_plants_ademamix", PLANTS, 0, 90, lambda f=1.0: gradtx.ademamix(f * 0.01), 0.08, {}),
    ("fifth_faces_two_groups", FACES, 32, 200, two_groups, 0.06, {}),
    ("fifth_houses_in_dollars", HOUSES, 0, 60, sgd(0.01), 0.08, {}),
    ("fifth_glyphs_bfloat16", GLYPHS_HALF, 16, 100, lambda f=1.0: optax.adamw(f * 0.01), 0.08, {}),
]
SCENARIOS: list[Scenario] = [fifth(name, "healthy", *rest, well(by), **fields) for name, *rest, by, fields in HEALTHY]
