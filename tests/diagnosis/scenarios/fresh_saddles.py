"""Runs of the third set at a saddle, or with a part that no gradient reaches."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import counterfactuals, fresh_healthy, fresh_models, fresh_problems, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fresh_models import COUNTS, THIN
from tests.diagnosis.scenarios.fresh_problems import RATINGS, Problem, fresh
from tests.diagnosis.scenarios.fresh_proofs import died
from tests.diagnosis.scenarios.rates import adam, sgd


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
    """Return a recurrence whose matrix is small, and its read-out."""
    rng = np.random.default_rng(163)
    again = 0.25 * np.linalg.qr(rng.normal(size=(8, 8)))[0]
    return {
        "embed": rng.normal(size=(4, 8)).astype(np.float32),
        "cell": again.astype(np.float32),
        "out": models.dense(rng, 8, 4),
    }


def first_token() -> tuple[np.ndarray, ...]:
    """Return the token of 300 sequences that is to be remembered."""
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
    """Return a network of hidden units that are all the same."""
    params = models.mlp_init((2, 4, 2), 168)
    one = params["layer0"]["w"][:, :1], params["layer1"]["w"][:1]
    return {
        "layer0": {"w": np.repeat(one[0], 4, axis=1), "b": np.zeros(4, np.float32)},
        "layer1": {"w": np.repeat(one[1], 4, axis=0), "b": np.zeros(2, np.float32)},
    }


SCENARIOS: list[Scenario] = [
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
        "fresh_rounded_code",
        "vanishing_dead",
        CODER,
        32,
        500,
        adam(0.003),
        counterfactuals.cut(("encoder",), quantized(through=True)),
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
]
