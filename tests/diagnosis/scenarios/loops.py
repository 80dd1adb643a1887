"""Runs as their loops are written: no loss passed, bad steps skipped, clips of optax, tiny batches."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from tests.diagnosis.scenarios import counterfactuals, data, deep, images, linear, logistic, models, proofs, surfaces
from tests.diagnosis.scenarios.base import Run, Scenario
from tests.diagnosis.scenarios.build import learning, poisoned
from tests.diagnosis.scenarios.images import net
from tests.diagnosis.scenarios.linear import linear as line
from tests.diagnosis.scenarios.logistic import logistic as softmax
from tests.diagnosis.scenarios.proofs import Proof
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.surfaces import on


def optimum(points: Any) -> Callable[[], Any]:
    """Return what makes the params of a linear regression at their least squares."""

    def init() -> Any:
        x, y = (a.astype(np.float64) for a in points())
        w = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
        return {"w": w[:-1].astype(np.float32), "b": np.float32(w[-1])}

    return init


def skipping(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return the factory of a transform whose bad steps are skipped."""
    return lambda factor=1.0: optax.apply_if_finite(make(factor), 10)


def unpoisoned(proof: Proof, clean: Callable[[Any], Any]) -> Proof:
    """Prove a cause on the run with clean batches, from where the run ended."""

    def on_clean(run: Run) -> None:
        finite = np.isfinite(run.losses)
        assert 0 < np.sum(~finite) < 5
        losses, norms = run.losses[finite], run.grads_norms[finite]
        scenario = dataclasses.replace(run.scenario, batch=clean)
        proof(dataclasses.replace(run, scenario=scenario, losses=losses, grads_norms=norms))

    return on_clean


def optax_clipped(bound: float | None, rate: float, **settings: Any) -> Callable[..., Any]:
    """Return the factory of optax's descent behind its clip."""

    def make(factor: float = 1.0) -> Any:
        tx = optax.sgd(factor * rate, **settings)
        return tx if bound is None else optax.chain(optax.clip_by_global_norm(bound), tx)

    return make


def ridge_pass(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a ridge that leads down to a saddle at the origin, both sides of it far lower."""
    return 2 + 0.5 * x**2 - 0.6 * y**2 + 0.2 * y**4


def small(depth: int, seed: int) -> Callable[[], Any]:
    """Return what makes a deep linear network from almost 0."""
    return lambda: deep.matrices(depth, 6, 1e-4, seed)


def offset_product(params: Any, batch: Any) -> jax.Array:
    """Return the loss of two linear layers with an offset, which is learnt while they stand at their saddle."""
    x, y = batch
    return models.squared(x @ params["layer0"] @ params["layer1"] + params["offset"][None, :], y)


def shifted_points() -> tuple[np.ndarray, ...]:
    """Return the linear map's points with the outputs moved a little."""
    x, y = deep.map_points()
    return x, y + np.float32(0.3)


def two_layers() -> Any:
    """Return two small matrices and an offset of 0."""
    return {**deep.matrices(2, 6, 1e-4, 73), "offset": np.zeros(6, np.float32)}


FLOOR = data.minibatches(linear.round_points(), 8)
CLEAR = data.minibatches(images.clear(), 16)

SCENARIOS: list[Scenario] = [
    line(
        "optimum_batch_of_one",
        "noise_floor",
        "tune",
        800,
        linear.round_points,
        1,
        init=optimum(linear.round_points),
        make_tx=sgd(0.03),
        proof=proofs.noisy(),
    ),
    line(
        "optimum_adam_batch_of_two",
        "noise_floor",
        "held",
        800,
        linear.long_points,
        2,
        init=optimum(linear.long_points),
        make_tx=adam(0.01),
        proof=proofs.noisy(),
    ),
    line(
        "skipped_batch_then_floor",
        "noise_floor",
        "tune",
        900,
        linear.round_points,
        8,
        batch=poisoned(FLOOR, 30, 31),
        make_tx=skipping(sgd(0.12)),
        proof=unpoisoned(proofs.noisy(), FLOOR),
    ),
    net(
        "conv_first_steps_overflow",
        "healthy",
        "held",
        300,
        images.clear,
        16,
        batch=poisoned(CLEAR, 0, 3),
        make_tx=skipping(adam(1e-3)),
        proof=counterfactuals.healthy_but_for_start(3),
    ),
    net(
        "conv_skips_then_falls",
        "healthy",
        "tune",
        300,
        images.clear,
        32,
        batch=poisoned(data.minibatches(images.clear(), 32), 0, 2),
        make_tx=skipping(sgd(0.003, momentum=0.9)),
        proof=counterfactuals.healthy_but_for_start(2),
    ),
    on(
        surfaces.steep_bowl,
        (3.0, 2.0),
        "bowl_bounce_untold",
        "oscillating",
        "tune",
        400,
        make_tx=sgd(0.99999 * 2 / 30),
        told=False,
        proof=proofs.bouncing(0.5),
    ),
    line(
        "long_bounce_untold",
        "oscillating",
        "held",
        2000,
        linear.long_points,
        make_tx=sgd(0.99999 * 2 / linear.sharpness(linear.long_points)),
        told=False,
        proof=proofs.bouncing(0.5),
    ),
    softmax(
        "softmax_optax_clip",
        "always_clipped",
        "tune",
        800,
        logistic.far_apart,
        32,
        make_tx=optax_clipped(1e-3, 0.1),
        proof=proofs.both(proofs.clipped(1e-3, optax_clipped(None, 0.1)), proofs.slow(30.0)),
        also=("crawling",),
    ),
    net(
        "conv_optax_clip",
        "always_clipped",
        "held",
        400,
        images.clear,
        32,
        make_tx=optax_clipped(0.003, 0.02),
        proof=proofs.both(proofs.clipped(0.003, optax_clipped(None, 0.02)), proofs.slow(30.0)),
        also=("crawling",),
    ),
    on(
        ridge_pass,
        (0.4, 1e-9),
        "ridge_down_to_a_saddle",
        "saddle_plateau",
        "tune",
        300,
        make_tx=sgd(0.01),
        proof=proofs.saddle(push=0.5, flat=0.5),
        tellable=False,
    ),
    learning(
        "offset_down_to_a_saddle",
        "saddle_plateau",
        "held",
        400,
        shifted_points,
        make_tx=sgd(0.002),
        init=two_layers,
        loss=offset_product,
        proof=proofs.saddle(push=0.5, flat=0.5),
        tellable=False,
    ),
    line(
        "linear_crawl_in_noise",
        "crawling",
        "tune",
        1500,
        linear.round_points,
        8,
        make_tx=sgd(2e-5),
        proof=proofs.slow(100.0),
    ),
    softmax(
        "softmax_crawl_in_noise",
        "crawling",
        "held",
        1500,
        logistic.scattered,
        8,
        make_tx=sgd(2e-5, momentum=0.5),
        proof=proofs.slow(100.0),
    ),
]
