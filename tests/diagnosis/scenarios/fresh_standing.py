"""Runs of the third set in which something stands still: a rate, a mask, a saddle, a dead part, a decay."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import counterfactuals, fresh_healthy, fresh_models, fresh_problems, models, proofs
from tests.diagnosis.scenarios.base import Scenario, plain
from tests.diagnosis.scenarios.fresh_models import ECHOES, SHEET, SIGNALS, THIN
from tests.diagnosis.scenarios.fresh_problems import PAIRS, RATINGS, SPIRALS, WAVES, Problem, fresh
from tests.diagnosis.scenarios.fresh_proofs import died, never_due
from tests.diagnosis.scenarios.rates import adam, sgd


def whole_thousands(factor: float = 1.0) -> Any:
    """Return Adam whose rate rises with whole thousands of steps: an integer division too many."""
    return optax.adam(lambda count: factor * 1e-3 * (count // 1000))


def held(params: Any) -> Any:
    """Return a mask of all but the biases of the last layer."""
    return jax.tree.map_with_path(lambda path, x: path[0].key != "head" or x.ndim > 1, params)


def half_signals() -> Any:
    """Return the convolutional net in bfloat16, no bias at 0: there no update is lost."""
    return models.half(jax.tree.map(lambda x: np.where(x == 0, np.float32(0.3), x), fresh_models.conv1d_init()))


def quantized(through: bool) -> Any:
    """Return the loss of an autoencoder that rounds its code; `through` lets the gradient pass as if it did not."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x = batch[0]
        z = models.mlp(params["encoder"], x, jax.nn.relu)
        code = jnp.round(2 * z) / 2
        code = z + jax.lax.stop_gradient(code - z) if through else code
        return models.squared(models.mlp(params["decoder"], code, jax.nn.relu), x)

    return loss


def coder() -> Any:
    """Return an encoder and a decoder."""
    return {"encoder": models.mlp_init((8, 24, 2), 161, 1.5), "decoder": models.mlp_init((2, 24, 8), 162)}


CODER = Problem(coder, quantized(through=False), fresh_models.bent)


def counts() -> tuple[np.ndarray, ...]:
    """Return 12 counts that nobody has centred or scaled, and a number that goes with them."""
    rng = np.random.default_rng(169)
    x = rng.poisson(rng.uniform(3, 9, 12), (500, 12))
    y = 5 + x @ rng.normal(size=12) / 6 + 0.1 * rng.normal(size=500)
    return x.astype(np.float32), y[:, None].astype(np.float32)


COUNTS = Problem(
    lambda: models.mlp_init((12, 24, 1), 170),
    lambda p, b: models.squared(models.mlp(p, b[0], jax.nn.relu), b[1]),
    counts,
)


def no_adapter() -> Any:
    """Return an adapter both of whose matrices begin at 0."""
    params = fresh_healthy.adapter()
    return {**params, "adapter": jax.tree.map(np.zeros_like, params["adapter"])}


def usual_adapter(scenario: Scenario) -> Scenario:
    """Return the scenario from the usual start of an adapter."""
    return dataclasses.replace(scenario, init=fresh_healthy.adapter)


def at_a_hundredth(scenario: Scenario) -> Scenario:
    """Return the scenario at a hundredth of its rate."""
    return dataclasses.replace(scenario, make_tx=lambda factor=1.0: scenario.make_tx(0.01 * factor))


def long_memory() -> Any:
    """Return a recurrence of 40 steps whose matrix is small, and its read-out."""
    rng = np.random.default_rng(163)
    again = 0.25 * np.linalg.qr(rng.normal(size=(8, 8)))[0]
    return {
        "embed": rng.normal(size=(4, 8)).astype(np.float32),
        "cell": again.astype(np.float32),
        "out": models.dense(rng, 8, 4),
    }


def first_token() -> tuple[np.ndarray, ...]:
    """Return sequences of 30 tokens: one that matters, then nothing."""
    first = np.random.default_rng(164).integers(0, 4, 300)
    return (first.astype(np.int32),)


def remember(steps: int, scale: float = 1.0) -> Any:
    """Return the cross-entropy of telling the first token after some steps."""

    def loss(params: Any, batch: Any) -> jax.Array:
        (first,) = batch
        h = jax.nn.one_hot(first, 4, dtype=jnp.float32) @ params["embed"]
        for _ in range(steps):
            h = jnp.tanh(scale * h @ params["cell"])
        return models.cross_entropy(models.affine(params["out"], h), first)

    return loss


MEMORY = Problem(long_memory, remember(14), first_token)


def phases() -> tuple[np.ndarray, ...]:
    """Return 200 directions and the size of a hidden vector along each, without its sign."""
    rng = np.random.default_rng(165)
    x = rng.normal(size=(200, 8))
    return x.astype(np.float32), np.square(x @ rng.normal(size=8)).astype(np.float32)


def retrieval(params: Any, batch: Any) -> jax.Array:
    """Return a quarter of the mean squared error of the sizes."""
    x, y = batch
    return 0.25 * jnp.mean(jnp.square(jnp.square(x @ params["w"]) - y))


def faint(size: float) -> Any:
    """Return what makes a vector of this size."""
    return lambda: {"w": (size * np.random.default_rng(166).normal(size=8)).astype(np.float32)}


def exclusive() -> tuple[np.ndarray, ...]:
    """Return 200 points and whether exactly one of two numbers is above 0."""
    x = np.random.default_rng(167).normal(size=(200, 2))
    return x.astype(np.float32), (np.prod(np.sign(x), axis=1) < 0).astype(np.int32)


def twins() -> Any:
    """Return two hidden units that are the same."""
    params = models.mlp_init((2, 4, 2), 168)
    one = params["layer0"]["w"][:, :1], params["layer1"]["w"][:1]
    return {
        "layer0": {"w": np.repeat(one[0], 4, axis=1), "b": np.zeros(4, np.float32)},
        "layer1": {"w": np.repeat(one[1], 4, axis=0), "b": np.zeros(2, np.float32)},
    }


def shrinking(decay: float, factor: float = 1.0) -> Any:
    """Return momentum descent whose decay is added to the gradient."""
    return gradtx.chain(gradtx.add_decayed_weights(decay), gradtx.sgd(factor * 0.05, momentum=0.9))


SCENARIOS: list[Scenario] = [
    fresh(
        "fresh_signals_whole_thousands",
        "not_moving",
        SIGNALS,
        32,
        400,
        whole_thousands,
        never_due(adam(1e-3), 0),
    ),
    fresh(
        "fresh_spirals_staircase_to_zero",
        "not_moving",
        SPIRALS,
        16,
        500,
        lambda f=1.0: gradtx.adamw(gradtx.schedules.piecewise(f * 2e-3, {80: 0.1, 160: 0.0}), weight_decay=0.01),
        never_due(adam(2e-3), 170),
    ),
    fresh(
        "fresh_pairs_never_due",
        "not_moving",
        PAIRS,
        16,
        400,
        lambda f=1.0: gradtx.accumulate(gradtx.adam(f * 1e-3), 1000),
        never_due(adam(1e-3), 0),
    ),
    fresh(
        "fresh_gru_frozen",
        "not_moving",
        WAVES,
        16,
        300,
        lambda f=1.0: gradtx.chain(gradtx.adam(f * 1e-3), gradtx.freeze(lambda p: jax.tree.map(lambda x: True, p))),
        never_due(adam(1e-3), 0),
    ),
    fresh(
        "fresh_signals_bfloat16",
        "not_moving",
        SIGNALS,
        32,
        1200,
        lambda f=1.0: gradtx.adamw(f * 1e-5, weight_decay=0.01),
        counterfactuals.rounded(0.02),
        init=plain(half_signals),
    ),
    fresh(
        "fresh_echoes_only_positions",
        "not_moving",
        ECHOES,
        16,
        400,
        lambda f=1.0: gradtx.partition(
            {"on": gradtx.adam(f * 0.003), "off": gradtx.set_to_zero()},
            {"embed": {"token": "off", "position": "on"}, "attention": "off", "mlp": "off", "head": "off"},
        ),
        counterfactuals.unmoved(adam(0.003), share=0.9),
    ),
    fresh(
        "fresh_rounded_code",
        "vanishing_dead",
        CODER,
        32,
        500,
        adam(0.003),
        counterfactuals.cut(("encoder",), quantized(through=True)),
    ),
    fresh(
        "fresh_adapter_all_zero",
        "vanishing_dead",
        fresh_healthy.ADAPTER,
        16,
        400,
        fresh_healthy.frozen_base,
        proofs.dead(("adapter",), usual_adapter, drop=0.2),
        init=no_adapter,
        also=("saddle_plateau", "not_moving"),
    ),
    fresh(
        "fresh_counts_killed",
        "vanishing_dead",
        COUNTS,
        32,
        400,
        sgd(0.1),
        died(("layer0",), at_a_hundredth),
    ),
    fresh(
        "fresh_memory_fades",
        "vanishing_dead",
        MEMORY,
        32,
        500,
        sgd(0.2),
        proofs.dead(("embed",), lambda s: dataclasses.replace(s, loss=remember(14, 4.0)), ratio=1e-3),
        also=("at_chance",),
    ),
    fresh(
        "fresh_ratings_from_nearly_zero",
        "saddle_plateau",
        RATINGS,
        64,
        300,
        sgd(0.5),
        proofs.saddle(),
        init=fresh_problems.factors(1e-4),
    ),
    fresh(
        "fresh_code_from_nearly_zero",
        "saddle_plateau",
        THIN,
        0,
        200,
        sgd(0.0045, momentum=0.9),
        proofs.saddle(),
        init=fresh_models.code(1e-5),
    ),
    fresh(
        "fresh_phases", "saddle_plateau", Problem(faint(1e-6), retrieval, phases), 0, 220, sgd(0.001), proofs.saddle()
    ),
    fresh(
        "fresh_twins",
        "saddle_plateau",
        Problem(twins, lambda p, b: models.cross_entropy(models.mlp(p, b[0], jnp.tanh), b[1]), exclusive),
        0,
        1500,
        sgd(0.5),
        proofs.saddle(),
        tellable=False,
        also=("at_chance",),
    ),
    fresh(
        "fresh_ratings_decay",
        "decay_bound",
        RATINGS,
        32,
        600,
        lambda f=1.0: shrinking(0.1, f),
        counterfactuals.better_with(lambda: shrinking(0.0)),
    ),
    fresh(
        "fresh_echoes_adamw_decay",
        "decay_bound",
        ECHOES,
        16,
        500,
        lambda f=1.0: optax.adamw(f * 0.003, weight_decay=20.0),
        counterfactuals.better_with(lambda: optax.adamw(0.003, weight_decay=0.0)),
    ),
    fresh(
        "fresh_vae_decay",
        "decay_bound",
        SHEET,
        32,
        500,
        lambda f=1.0: gradtx.adamaxw(f * 0.005, weight_decay=5.0),
        counterfactuals.better_with(lambda: gradtx.adamaxw(0.005, weight_decay=0.0)),
    ),
]
