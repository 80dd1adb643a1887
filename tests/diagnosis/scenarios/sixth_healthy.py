"""Healthy runs of the sixth set: tables, fits and networks, each at a rate that suits it."""

from typing import Any

import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_proofs import well
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_problems_a import CLAIMS, CLICKS, MARKET, TOGETHER, TOPICS, WINES, sixth
from tests.diagnosis.scenarios.sixth_problems_a2 import CARTS, DOSES, QUAKES
from tests.diagnosis.scenarios.sixth_problems_a3 import (
    GENES,
    LESSONS,
    MINERALS,
    PATCHES,
    PIXELS,
    SEIZURES,
    SETS,
    VIEWS,
    VOTES,
)


def long_cosine(factor: float = 1.0) -> Any:
    """Return AdamW after a warm-up of 20 steps, on a cosine that has far to go."""
    eta = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 20, 3000)
    return optax.adamw(lambda count: factor * eta(count))


def gathered(factor: float = 1.0) -> Any:
    """Return Adam that steps on the mean of 4 gradients."""
    return optax.MultiSteps(optax.adam(factor * 0.02), 4).gradient_transformation()


def guarded(factor: float = 1.0) -> Any:
    """Return momentum descent behind a clip that is seldom reached."""
    return gradtx.chain(gradtx.clip_by_global_norm(5.0), gradtx.sgd(factor * 0.002, momentum=0.9))


HEALTHY: list[tuple[Any, ...]] = [
    ("sixth_wines_descent", WINES, 32, 60, sgd(0.1), 0.08, {}),
    ("sixth_topics_adam", TOPICS, 0, 60, adam(0.05), 0.08, {}),
    ("sixth_clicks_adagrad", CLICKS, 64, 500, lambda f=1.0: optax.adagrad(f * 0.2), 0.08, {}),
    ("sixth_together_yogi", TOGETHER, 32, 300, lambda f=1.0: gradtx.yogi(f * 0.02), 0.08, {}),
    ("sixth_market_adam", MARKET, 0, 80, adam(0.02), 0.08, {"told": False}),
    ("sixth_claims_adamax", CLAIMS, 16, 60, lambda f=1.0: optax.adamax(f * 0.02), 0.08, {}),
    ("sixth_doses_gathered", DOSES, 16, 100, gathered, 0.08, {}),
    ("sixth_carts_guarded", CARTS, 64, 60, guarded, 0.08, {}),
    ("sixth_quakes_heavy_ball", QUAKES, 0, 60, sgd(0.02, momentum=0.9), 0.08, {}),
    ("sixth_sets_cosine", SETS, 32, 90, long_cosine, 0.03, {}),
    ("sixth_minerals_lion", MINERALS, 32, 150, lambda f=1.0: gradtx.lion(f * 1e-3), 0.08, {}),
    ("sixth_lessons_nesterov", LESSONS, 32, 100, sgd(0.01, momentum=0.9, nesterov=True), 0.08, {"told": False}),
    ("sixth_patches_nadamw", PATCHES, 32, 120, lambda f=1.0: gradtx.nadamw(f * 5e-3), 0.08, {}),
    ("sixth_pixels_rmsprop", PIXELS, 64, 100, lambda f=1.0: optax.rmsprop(f * 1e-3), 0.05, {}),
    ("sixth_seizures_adamw", SEIZURES, 16, 120, lambda f=1.0: optax.adamw(f * 2e-3), 0.08, {}),
    ("sixth_genes_adopt", GENES, 32, 300, lambda f=1.0: gradtx.adopt(f * 0.01), 0.08, {}),
    ("sixth_views_novograd", VIEWS, 32, 80, lambda f=1.0: optax.novograd(f * 2e-3), 0.08, {}),
    ("sixth_votes_adam", VOTES, 32, 250, adam(5e-3), 0.08, {}),
]
SCENARIOS: list[Scenario] = [sixth(name, "healthy", *rest, well(by), **fields) for name, *rest, by, fields in HEALTHY]
