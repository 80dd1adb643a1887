"""Healthy runs of the third set: other methods, negative and noisy losses, batches of one, parts frozen on purpose."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import counterfactuals, data, fresh_models, fresh_problems, models, proofs
from tests.diagnosis.scenarios.base import Scenario, plain
from tests.diagnosis.scenarios.fresh_models import BAGS, ECHOES, PHYSICS, SHEET, SIGNALS, STRING, WAITS
from tests.diagnosis.scenarios.fresh_problems import BANDIT, FLOW, PAIRS, RATINGS, SPIRALS, WAVES, fresh
from tests.diagnosis.scenarios.fresh_proofs import learning
from tests.diagnosis.scenarios.rates import sgd

AFTER = (90, 140, 230)  # the steps at which a batch is spoilt


def warmed_adamw(factor: float = 1.0) -> Any:
    """Return AdamW behind a clip that acts now and then, warmed up, on its way down a cosine."""
    eta = gradtx.schedules.warmup_cosine(factor * 2e-3, warmup_steps=50, decay_steps=1200)
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(eta, weight_decay=0.01))


def adapter() -> Any:
    """Return a matrix that is given, and a correction of low rank that is to be learnt."""
    rng = np.random.default_rng(141)
    base, a = rng.normal(size=(12, 6)), rng.normal(size=(12, 2)) / 4
    return {
        "base": {"w": base.astype(np.float32)},
        "adapter": {"a": a.astype(np.float32), "b": np.zeros((2, 6), np.float32)},
    }


def adapted(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the corrected matrix."""
    x, labels = batch
    w = params["base"]["w"] + params["adapter"]["a"] @ params["adapter"]["b"]
    return models.cross_entropy(x @ w, labels)


def shifted() -> tuple[np.ndarray, ...]:
    """Return points whose classes the matrix nearly tells, but for a change of low rank."""
    rng = np.random.default_rng(142)
    x, change = rng.normal(size=(800, 12)), rng.normal(size=(12, 2)) @ rng.normal(size=(2, 6)) / 1.5
    labels = np.argmax(x @ (adapter()["base"]["w"] + change), axis=1)
    return x.astype(np.float32), labels.astype(np.int32)


ADAPTER = fresh_problems.Problem(adapter, adapted, shifted)


def frozen_base(factor: float = 1.0) -> Any:
    """Return AdamW for the correction, and nothing for the matrix."""
    labels = {"base": "given", "adapter": "learnt"}
    return gradtx.partition({"given": gradtx.set_to_zero(), "learnt": gradtx.adamw(factor * 0.003)}, labels)


def spoilt(clean: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return minibatches, three of which are full of NaN."""

    def batch(count: Any) -> Any:
        x, y = clean(count)
        return jnp.where(jnp.any(count == np.array(AFTER, np.int32)), jnp.float32(np.nan), x), y

    return batch


def unspoilt(proof: proofs.Proof, clean: Callable[[Any], Any]) -> proofs.Proof:
    """Prove on clean batches: the steps that are spoilt are three, and change nothing."""

    def on_clean(run: Any) -> None:
        assert list(np.flatnonzero(~np.isfinite(run.grads_norms))) == list(AFTER)
        proof(dataclasses.replace(run, scenario=dataclasses.replace(run.scenario, batch=clean)))

    return on_clean


def doubtful(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy to what a teacher is unsure of: its least value is the teacher's entropy."""
    x, chances = batch
    scores = models.mlp(params, x, jax.nn.silu)
    return -jnp.mean(jnp.sum(chances * jax.nn.log_softmax(scores), axis=1))


def unsure() -> tuple[np.ndarray, ...]:
    """Return points and what a teacher thinks of them."""
    rng = np.random.default_rng(143)
    x = rng.normal(size=(1000, 8))
    chances = np.exp(1.5 * np.tanh(x @ rng.normal(size=(8, 12)) / 2) @ rng.normal(size=(12, 4)) / 2)
    return x.astype(np.float32), (chances / chances.sum(1, keepdims=True)).astype(np.float32)


TEACHER = fresh_problems.Problem(lambda: models.mlp_init((8, 24, 4), 144), doubtful, unsure)


def summed(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a tied autoencoder, summed over points as some people do."""
    return batch[0].size * fresh_models.tied(params, batch)


def half_carried(factor: float = 1.0) -> Any:
    """Return Adam for bfloat16 params that keeps what their rounding leaves over."""
    return gradtx.chain(gradtx.adam(factor * 2e-3), gradtx.keep_residue())


def mended_words() -> Any:
    """Return weights learnt from opinions of which a third were drawn at random."""
    x, y = (a.astype(np.float64) for a in fresh_models.bags(0.35))
    w = np.zeros(60)
    for _ in range(300):
        w += 2.0 * x.T @ (y - 1 / (1 + np.exp(-x @ w))) / len(x)
    return {"words": w.astype(np.float32), "offset": np.float32(0)}


CLEAN = data.minibatches(fresh_models.signals(), 24, seed=7)

SCENARIOS: list[Scenario] = [
    fresh("fresh_string_nesterov", "healthy", STRING, 0, 300, sgd(0.02, momentum=0.9, nesterov=True), learning()),
    fresh("fresh_spirals_adamw", "healthy", SPIRALS, 32, 500, warmed_adamw, proofs.improving()),
    fresh("fresh_flow_adam", "healthy", FLOW, 64, 600, lambda f=1.0: gradtx.adam(f * 1e-3), learning(share=0.5)),
    fresh("fresh_ratings_adagrad", "healthy", RATINGS, 32, 500, lambda f=1.0: gradtx.adagrad(f * 0.1), learning()),
    fresh(
        "fresh_gru_rmsprop",
        "healthy",
        WAVES,
        16,
        400,
        lambda f=1.0: gradtx.chain(gradtx.clip_by_global_norm(0.5), gradtx.rmsprop(f * 5e-4)),
        learning(),
    ),
    fresh("fresh_pairs_lion", "healthy", PAIRS, 32, 500, lambda f=1.0: gradtx.lion(f * 1e-4), learning(share=0.5)),
    fresh(
        "fresh_policy_adam",
        "healthy",
        BANDIT,
        64,
        800,
        lambda f=1.0: gradtx.adam(f * 1e-3),
        learning(share=0.5, goal=fresh_problems.regret),
    ),
    fresh("fresh_adapter", "healthy", ADAPTER, 16, 500, frozen_base, learning(share=0.5)),
    fresh("fresh_bags_one_by_one", "healthy", BAGS, 1, 1500, sgd(0.01), learning(share=0.5)),
    fresh("fresh_vae_radam", "healthy", SHEET, 32, 600, lambda f=1.0: gradtx.radam(f * 5e-4), learning(by=0.01)),
    fresh("fresh_echoes_muon", "healthy", ECHOES, 16, 300, lambda f=1.0: gradtx.muon(f * 3e-3), learning(share=0.5)),
    fresh(
        "fresh_signals_adafactor",
        "healthy",
        SIGNALS,
        16,
        500,
        lambda f=1.0: gradtx.adafactor(f * 0.004, min_dim_size_to_factor=4),
        learning(share=0.5),
    ),
    fresh("fresh_vae_dog", "healthy", SHEET, 64, 200, lambda f=1.0: gradtx.dog(f * 1.0), learning(share=0.5)),
    fresh(
        "fresh_spirals_four_in_one",
        "healthy",
        SPIRALS,
        8,
        1200,
        lambda f=1.0: gradtx.accumulate(gradtx.nadam(f * 2e-3), 4),
        proofs.improving(),
    ),
    fresh(
        "fresh_signals_skips",
        "healthy",
        SIGNALS,
        24,
        400,
        lambda f=1.0: optax.apply_if_finite(optax.adam(f * 3e-3), 5),
        unspoilt(learning(), CLEAN),
        batch=spoilt(CLEAN),
    ),
    fresh("fresh_teacher_adabelief", "healthy", TEACHER, 32, 400, lambda f=1.0: gradtx.adabelief(f * 3e-4), learning()),
    fresh(
        "fresh_code_summed",
        "healthy",
        fresh_problems.Problem(fresh_models.code(0.3), summed, fresh_models.thin),
        16,
        300,
        sgd(1.5e-5, momentum=0.9),
        learning(),
    ),
    fresh("fresh_waits_momentum", "healthy", WAITS, 16, 400, sgd(0.001, momentum=0.9), learning(share=0.5)),
    fresh(
        "fresh_physics_soap", "healthy", PHYSICS, 0, 300, lambda f=1.0: gradtx.soap(f * 2e-3), counterfactuals.falling()
    ),
    fresh(
        "fresh_spirals_schedule_free",
        "healthy",
        SPIRALS,
        16,
        600,
        lambda f=1.0: gradtx.schedule_free_adamw(f * 1e-3, warmup_steps=20),
        learning(by=0.05),
    ),
    fresh(
        "fresh_signals_residue",
        "healthy",
        SIGNALS,
        32,
        400,
        half_carried,
        learning(share=0.5),
        init=plain(lambda: models.half(fresh_models.conv1d_init())),
    ),
    fresh("fresh_words_tuned", "healthy", BAGS, 4, 800, sgd(0.05), learning(share=0.5), init=mended_words),
    fresh(
        "fresh_physics_amsgrad", "healthy", PHYSICS, 0, 800, lambda f=1.0: gradtx.amsgrad(f * 0.01), proofs.improving()
    ),
]
