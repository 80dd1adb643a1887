"""Healthy runs of the fourth set: other tasks, methods and schedules, many of them hard to tell."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import fourth_models, models, proofs
from tests.diagnosis.scenarios.base import Scenario, plain
from tests.diagnosis.scenarios.fourth_equations import BENDING, FRIENDS, MAP, MEASURED, ORBITS, POWERS, TUNE
from tests.diagnosis.scenarios.fourth_models import BARS, BRANCHES, DIFFUSED, LETTERS, SUMS, TRIPLETS
from tests.diagnosis.scenarios.fourth_problems import (
    LISTS,
    PATIENTS,
    QUANTILE,
    SENSORS,
    SHOP,
    WORDS,
    fourth,
)
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.fresh_proofs import learning
from tests.diagnosis.scenarios.rates import adam, sgd


def long_chain(factor: float = 1.0) -> Any:
    """Return a chain as people collect one: no NaN, a clip, a scale, a decay, a warm-up and a cosine."""
    eta = optax.warmup_cosine_decay_schedule(0.0, 3e-3, 40, 1600, 1e-5)
    return optax.chain(
        optax.zero_nans(),
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b2=0.98),
        optax.add_decayed_weights(0.01),
        optax.scale_by_learning_rate(lambda count: factor * eta(count)),
    )


def restarts(factor: float = 1.0) -> Any:
    """Return Adam whose rate goes down one cosine after the other."""
    cycle = {"init_value": 2e-4, "peak_value": 2e-3, "decay_steps": 200, "warmup_steps": 10, "end_value": 2e-4}
    eta = optax.sgdr_schedule([cycle] * 8)
    return optax.adam(lambda count: factor * eta(count))


def dim() -> Points:
    """Return pictures whose spots are weaker and whose ground is brighter than in those that were learnt from."""
    x, number = fourth_models.spots()
    noise = np.random.default_rng(262).normal(size=x.shape).astype(np.float32)
    return (0.4 - 0.6 * x + 0.1 * noise).astype(np.float32), number


def clipped_adam(factor: float = 1.0) -> Any:
    """Return Adam behind a clip that seldom acts."""
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(factor * 3e-3))


def momentum_rms(factor: float = 1.0) -> Any:
    """Return RMSProp with momentum."""
    return optax.rmsprop(factor * 2e-4, momentum=0.9)


def decaying(factor: float = 1.0) -> Any:
    """Return Adam whose rate decays slowly."""
    eta = optax.exponential_decay(3e-3, 500, 0.7)
    return optax.adam(lambda count: factor * eta(count))


def warming(factor: float = 1.0) -> Any:
    """Return Adam in the first fifth of a warm-up."""
    return gradtx.adam(gradtx.schedules.warmup_constant(factor * 0.02, 1100))


def eight_in_one(factor: float = 1.0) -> Any:
    """Return Adam that steps at the mean of eight gradients."""
    return optax.MultiSteps(optax.adam(factor * 3e-3), 8).gradient_transformation()


def rounded_at_random(factor: float = 1.0) -> Any:
    """Return AdamW for bfloat16 params, its updates rounded up or down at random."""
    return gradtx.chain(gradtx.adamw(factor * 2e-3), gradtx.stochastic_rounding(0))


@functools.cache
@plain
def taught() -> Any:
    """Return the convolutional net after 300 steps on other pictures, as a fine-tuning begins."""
    points, tx = fourth_models.spots(), optax.adam(3e-3)
    order = np.random.default_rng(261).integers(0, 800, (300, 32))

    def step(carry: Any, rows: jax.Array) -> Any:
        params, state = carry
        grads = jax.grad(fourth_models.counting)(params, tuple(jnp.asarray(part)[rows] for part in points))
        updates, state = tx.update(grads, state, params)
        return (gradtx.apply_updates(params, updates), state), None

    with jax.ensure_compile_time_eval():
        params = jax.tree.map(jnp.asarray, fourth_models.conv_init())
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), jnp.asarray(order, jnp.int32))
        return jax.tree.map(np.asarray, params)


SPOTS_TUNED = Problem(taught, fourth_models.counting, dim)
LETTERS_HALF = Problem(
    plain(lambda: models.half(fourth_models.transformer_init())), fourth_models.next_letter, fourth_models.letters
)

HEALTHY: list[tuple[Any, ...]] = [
    ("fourth_map_momentum", MAP, 0, 300, sgd(2e-3, momentum=0.9, nesterov=True), learning()),
    ("fourth_sums_adam", SUMS, 32, 260, clipped_adam, proofs.improving()),
    ("fourth_letters_long_chain", LETTERS, 16, 300, long_chain, learning(by=0.05)),
    ("fourth_words_adagrad", WORDS, 64, 800, lambda f=1.0: gradtx.adagrad(f * 0.4), learning(by=0.05, share=0.5)),
    ("fourth_bars_adam", BARS, 32, 600, adam(1e-3), learning()),
    ("fourth_diffused_adamw", DIFFUSED, 64, 1000, lambda f=1.0: gradtx.adamw(f * 5e-4), learning(by=0.03)),
    ("fourth_triplets_momentum", TRIPLETS, 32, 400, sgd(0.002, momentum=0.9), learning(by=0.04)),
    ("fourth_sensors_rmsprop", SENSORS, 16, 500, momentum_rms, learning(by=0.04)),
    ("fourth_bending_decay", BENDING, 0, 600, decaying, proofs.improving()),
    ("fourth_shop_one_by_one", SHOP, 1, 2500, sgd(0.15), learning(by=0.05)),
    ("fourth_branches_adamax", BRANCHES, 32, 800, lambda f=1.0: gradtx.adamax(f * 5e-3), learning(by=0.03)),
    ("fourth_lists_lion", LISTS, 16, 300, lambda f=1.0: optax.lion(f * 5e-4), learning(by=0.05)),
    (
        "fourth_friends_adamw",
        FRIENDS,
        0,
        200,
        lambda f=1.0: optax.adamw(f * 5e-3, weight_decay=5e-4),
        proofs.improving(),
    ),
    ("fourth_measured_adam", MEASURED, 0, 200, adam(0.007), learning()),
    ("fourth_tune_adam", TUNE, 0, 300, adam(5e-4), proofs.improving()),
    ("fourth_patients_descent", PATIENTS, 0, 200, sgd(0.01), learning(share=0.5)),
    ("fourth_orbits_yogi", ORBITS, 8, 600, lambda f=1.0: gradtx.yogi(f * 1e-3), proofs.improving()),
    ("fourth_spots_tuned", SPOTS_TUNED, 16, 300, sgd(1e-3, momentum=0.9), learning(by=0.05)),
    ("fourth_letters_restarts", LETTERS, 8, 600, restarts, learning(by=0.05)),
    ("fourth_quantile_small_batches", QUANTILE, 4, 600, sgd(0.01), learning()),
    ("fourth_sums_warming", SUMS, 32, 220, warming, learning(share=0.4)),
    ("fourth_bars_accumulated", BARS, 8, 1600, eight_in_one, learning()),
    ("fourth_letters_lamb", LETTERS, 32, 300, lambda f=1.0: optax.lamb(f * 0.01), learning()),
    ("fourth_powers_heavy_ball", POWERS, 0, 300, sgd(0.05, momentum=0.99), proofs.improving()),
    ("fourth_diffused_noisy", DIFFUSED, 2, 2500, adam(2e-4), learning(by=0.02)),
    ("fourth_letters_bfloat16", LETTERS_HALF, 16, 300, rounded_at_random, learning(by=0.05)),
]
SCENARIOS: list[Scenario] = [fourth(name, "healthy", *rest) for name, *rest in HEALTHY]
