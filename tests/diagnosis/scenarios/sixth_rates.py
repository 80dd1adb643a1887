"""Runs of the sixth set that the size of the step decides: too small, too large, or too large for the noise."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import creeping, held_by_noise
from tests.diagnosis.scenarios.fresh_proofs import bounce
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_problems_a import CLAIMS, CLICKS, LOANS, MARKET, TOPICS, WINES, sixth
from tests.diagnosis.scenarios.sixth_problems_a2 import GLOW, PEAKS
from tests.diagnosis.scenarios.sixth_problems_a3 import GENES, LESSONS, MINERALS, PATCHES


def warming_for_ever(factor: float = 1.0) -> Any:
    """Return AdamW in the first steps of a warm-up of 200,000."""
    eta = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 200_000, 1_000_000)
    return optax.adamw(lambda count: factor * eta(count))


def full_sum(factor: float = 1.0) -> Any:
    """Return Adagrad whose sum of squares starts at 10,000."""
    return gradtx.adagrad(factor * 0.01, initial_accumulator_value=1e4)


def rates_twice(factor: float = 1.0) -> Any:
    """Return Adam whose small steps are made small once more by a second rate."""
    return optax.chain(optax.adam(factor * 1e-3), optax.scale(1e-3))


CRAWLING: list[tuple[Any, ...]] = [
    ("sixth_loans_as_they_are", LOANS, 0, 600, sgd(2e-4), creeping(other=adam(0.05)), {}),
    ("sixth_minerals_warming", MINERALS, 32, 200, warming_for_ever, creeping(300.0), {}),
    ("sixth_glow_small_momentum", GLOW, 0, 400, sgd(1e-5, momentum=0.9), creeping(300.0), {}),
    ("sixth_genes_small_descent", GENES, 32, 300, sgd(1e-4), creeping(3000.0), {"told": False}),
    ("sixth_clicks_full_sum", CLICKS, 64, 400, full_sum, creeping(1000.0), {}),
    ("sixth_patches_rates_twice", PATCHES, 32, 300, rates_twice, creeping(1000.0), {}),
]

NOISE: list[tuple[Any, ...]] = [
    ("sixth_wines_floor", WINES, 2, 1500, sgd(0.3), held_by_noise(), {}),
    ("sixth_claims_floor", CLAIMS, 4, 1000, adam(0.05), held_by_noise(), {}),
    ("sixth_clicks_floor", CLICKS, 8, 2500, lambda f=1.0: gradtx.rmsprop(f * 0.03), held_by_noise(), {}),
    ("sixth_lessons_floor", LESSONS, 4, 1600, lambda f=1.0: gradtx.yogi(f * 0.05), held_by_noise(), {}),
    ("sixth_topics_floor", TOPICS, 8, 2000, lambda f=1.0: optax.adamw(f * 0.1), held_by_noise(), {"told": False}),
]

OSCILLATING: list[tuple[Any, ...]] = [
    ("sixth_wines_bounce", WINES, 0, 300, sgd(8.0), bounce(), {}),
    ("sixth_loans_bounce", LOANS, 0, 400, sgd(3e-3), bounce(), {}),
    ("sixth_market_signs", MARKET, 0, 300, lambda f=1.0: gradtx.sign_sgd(f * 0.2), bounce(0.1), {}),
    ("sixth_glow_bounce", GLOW, 0, 300, sgd(3.0), bounce(), {}),
    ("sixth_peaks_bounce", PEAKS, 0, 300, sgd(0.8), bounce(), {}),
]
SCENARIOS: list[Scenario] = [
    sixth(name, cause, *rest, **fields)
    for cause, rows in (("crawling", CRAWLING), ("noise_floor", NOISE), ("oscillating", OSCILLATING))
    for name, *rest, fields in rows
]
