"""Runs of the fifth set that the size of the step decides: too small, too large, or too large for the noise."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_laws import BELIEF, PHASES, PLANTS, SPINS, STRING, TAGS, VOICES
from tests.diagnosis.scenarios.fifth_networks import GLYPHS, RECALL
from tests.diagnosis.scenarios.fifth_proofs import creeping, held_by_noise
from tests.diagnosis.scenarios.fifth_tables import DEMAND, HOUSES, MACHINES, RATINGS, SHARES, TEAMS, VISITS, fifth
from tests.diagnosis.scenarios.fresh_proofs import bounce
from tests.diagnosis.scenarios.rates import adam, sgd


def far_down(factor: float = 1.0) -> Any:
    """Return Adam on the last part of a long polynomial decay, as after a restart from a late checkpoint."""
    eta = optax.polynomial_schedule(2e-3, 1e-6, 2, 20_000)
    return optax.adam(lambda count: factor * eta(count + 19_400))


CRAWLING: list[tuple[Any, ...]] = [
    ("fifth_houses_small_adam", HOUSES, 32, 300, adam(1e-3), creeping(1000.0), {}),
    ("fifth_recall_small_descent", RECALL, 64, 300, sgd(3e-3), creeping(100.0), {"told": False}),
    ("fifth_demand_small_nesterov", DEMAND, 0, 150, sgd(1e-4, momentum=0.9, nesterov=True), creeping(100.0), {}),
    ("fifth_shares_small_descent", SHARES, 0, 400, sgd(0.1), creeping(1000.0), {"told": False}),
    ("fifth_glyphs_far_down", GLYPHS, 16, 80, far_down, creeping(100.0), {}),
    ("fifth_belief_adadelta", BELIEF, 32, 300, lambda f=1.0: optax.adadelta(f * 0.1), creeping(30.0), {}),
    ("fifth_string_small_momentum", STRING, 16, 250, sgd(1e-5, momentum=0.9), creeping(300.0), {"told": False}),
    ("fifth_ratings_small_signs", RATINGS, 64, 300, lambda f=1.0: gradtx.sign_sgd(f * 1e-6), creeping(1000.0), {}),
]

NOISE: list[tuple[Any, ...]] = [
    ("fifth_teams_floor", TEAMS, 4, 1500, sgd(1.0), held_by_noise(), {}),
    ("fifth_ratings_floor", RATINGS, 8, 2000, lambda f=1.0: gradtx.adamax(f * 0.1), held_by_noise(), {}),
    ("fifth_machines_floor", MACHINES, 8, 1000, adam(0.05), held_by_noise(), {}),
    ("fifth_visits_floor", VISITS, 4, 1200, lambda f=1.0: optax.adamw(f * 0.03), held_by_noise(), {}),
    ("fifth_spins_floor", SPINS, 2, 1000, lambda f=1.0: optax.lion(f * 0.02), held_by_noise(), {}),
    ("fifth_plants_floor", PLANTS, 8, 1000, lambda f=1.0: gradtx.rmsprop(f * 0.05), held_by_noise(), {}),
    ("fifth_belief_floor", BELIEF, 4, 1000, sgd(0.1, momentum=0.9, nesterov=True), held_by_noise(), {"told": False}),
    ("fifth_houses_floor", HOUSES, 4, 800, sgd(0.05), held_by_noise(), {}),
]

OSCILLATING: list[tuple[Any, ...]] = [
    ("fifth_phases_bounce", PHASES, 0, 300, sgd(0.6), bounce(), {}),
    ("fifth_voices_bounce", VOICES, 0, 400, sgd(0.8), bounce(), {}),
    ("fifth_spins_signs", SPINS, 0, 250, lambda f=1.0: gradtx.sign_sgd(f * 0.1), bounce(0.1), {"told": False}),
    ("fifth_tags_bounce", TAGS, 0, 150, sgd(4.0), bounce(), {}),
]
SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields)
    for cause, rows in (("crawling", CRAWLING), ("noise_floor", NOISE), ("oscillating", OSCILLATING))
    for name, *rest, fields in rows
]
