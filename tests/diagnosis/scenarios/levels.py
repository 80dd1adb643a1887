"""Runs told by where the loss stands: at chance, below 0 and falling."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import counterfactuals, data, images, models, proofs, sequences
from tests.diagnosis.scenarios.build import WIDE, instead
from tests.diagnosis.scenarios.images import net
from tests.diagnosis.scenarios.logistic import logistic as softmax
from tests.diagnosis.scenarios.perceptrons import classify, groups, network
from tests.diagnosis.scenarios.rates import adam, sgd


def shuffled(points: Any, size: int) -> Callable[[Any], Any]:
    """Return minibatches whose labels belong to other inputs, drawn anew at each step."""
    right, other = data.minibatches(points(), size), data.minibatches(points(), size, seed=1)
    return lambda count: (right(count)[0], other(count)[1])


def balanced() -> tuple[np.ndarray, ...]:
    """Return 5 clusters with as many points each."""
    x, labels = groups()
    rows = np.concatenate([np.flatnonzero(labels == k)[:180] for k in range(5)])
    return x[rows], labels[rows]


def even_images() -> tuple[np.ndarray, ...]:
    """Return images of 4 classes with as many each."""
    x, labels = images.clear()
    rows = np.concatenate([np.flatnonzero(labels == k)[:100] for k in range(4)])
    return x[rows], labels[rows]


def blank(size: int) -> Callable[[Any], Any]:
    """Return minibatches whose inputs are all 0."""
    clean = data.minibatches(balanced(), size)
    return lambda count: (0 * clean(count)[0], clean(count)[1])


def uniform() -> tuple[np.ndarray, ...]:
    """Return 4096 sequences of tokens drawn at random, each as likely as any."""
    return data.sequences(4096, seed=61, sharp=0.0)


def without_softmax(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Return minus the mean score of the label: a cross-entropy whose log_softmax was forgotten."""
    return -jnp.mean(jnp.sum(jax.nn.one_hot(labels, scores.shape[-1], dtype=jnp.float32) * scores, axis=-1))


def relu_without_softmax(params: Any, batch: Any) -> jax.Array:
    """Return that loss of a relu network."""
    return without_softmax(models.mlp(params, batch[0], jax.nn.relu), batch[1])


def images_without_softmax(params: Any, batch: Any) -> jax.Array:
    """Return that loss of the images' net."""
    return without_softmax(models.conv(params, batch[0]), batch[1])


def density(params: Any, batch: Any) -> jax.Array:
    """Return the negative log density of a normal distribution: negative where points are close."""
    (x,) = batch
    z = (x - params["mean"][None, :]) * jnp.exp(-params["log_scale"])[None, :]
    return jnp.mean(jnp.sum(0.5 * jnp.square(z) + params["log_scale"][None, :], axis=1))


def close_points() -> tuple[np.ndarray, ...]:
    """Return 256 points of 4 numbers, close together."""
    return ((0.3 + 0.05 * np.random.default_rng(62).normal(size=(256, 4))).astype(np.float32),)


def wide_density() -> Any:
    """Return a density that is wider than the points."""
    return {"mean": np.full(4, 0.25, np.float32), "log_scale": np.full(4, -0.5, np.float32)}


def lifted(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of images plus 1000."""
    return images.loss(params, batch) + 1000.0


def lowered(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a relu network less 3."""
    return classify(params, batch) - 3.0


SCENARIOS = [
    softmax(
        "softmax_labels_shuffled",
        "at_chance",
        "tune",
        600,
        balanced,
        64,
        batch=shuffled(balanced, 64),
        make_tx=sgd(0.02),
        proof=counterfactuals.guessing(5, instead(batch=data.minibatches(balanced(), 64))),
    ),
    network(
        "relu_inputs_zero",
        "at_chance",
        "tune",
        500,
        balanced,
        32,
        sizes=WIDE,
        batch=blank(32),
        loss=classify,
        make_tx=adam(0.001),
        proof=counterfactuals.guessing(5, instead(batch=data.minibatches(balanced(), 32))),
        also=("vanishing_dead",),
    ),
    net(
        "conv_labels_shuffled",
        "at_chance",
        "held",
        500,
        even_images,
        32,
        batch=shuffled(even_images, 32),
        make_tx=adam(0.0005),
        proof=counterfactuals.guessing(4, instead(batch=data.minibatches(even_images(), 32))),
    ),
    sequences.model(
        "transformer_random_tokens",
        "at_chance",
        "held",
        500,
        uniform,
        32,
        make_tx=adam(0.001),
        proof=counterfactuals.guessing(8, None),
    ),
    network(
        "relu_softmax_forgotten",
        "unbounded",
        "tune",
        200,
        groups,
        sizes=WIDE,
        loss=relu_without_softmax,
        make_tx=adam(0.003),
        proof=counterfactuals.bottomless(),
        tellable=False,  # leaving a saddle looks the same until the params are large
    ),
    net(
        "conv_softmax_forgotten",
        "unbounded",
        "held",
        250,
        images.clear,
        32,
        loss=images_without_softmax,
        make_tx=sgd(0.002),
        proof=counterfactuals.bottomless(),
        tellable=False,  # leaving a saddle looks the same until the params are large
    ),
    network(
        "relu_batches_softmax_forgotten",
        "unbounded",
        "held",
        250,
        groups,
        32,
        sizes=(16, 24, 5),
        loss=relu_without_softmax,
        make_tx=sgd(0.002, momentum=0.9),
        proof=counterfactuals.bottomless(),
        tellable=False,
    ),
    network(
        "density_below_zero",
        "healthy",
        "tune",
        300,
        close_points,
        init=wide_density,
        loss=density,
        make_tx=sgd(0.008),
        proof=counterfactuals.falling(),
    ),
    network(
        "relu_loss_less_three",
        "healthy",
        "tune",
        400,
        groups,
        32,
        sizes=WIDE,
        loss=lowered,
        make_tx=adam(3e-4),
        proof=counterfactuals.falling(),
    ),
    net(
        "conv_loss_plus_1000",
        "healthy",
        "held",
        400,
        images.clear,
        32,
        loss=lifted,
        make_tx=adam(1e-3),
        proof=counterfactuals.falling(),
    ),
    network(
        "density_of_batches",
        "healthy",
        "held",
        400,
        close_points,
        16,
        init=wide_density,
        loss=density,
        make_tx=adam(0.003),
        proof=counterfactuals.falling(share=0.5),
    ),
    network(
        "density_minimum",
        "converged_minimum",
        "tune",
        400,
        close_points,
        init=wide_density,
        loss=density,
        make_tx=lambda factor=1.0: gradtx.adam(gradtx.schedules.exponential(factor * 0.1, 1, 0.98)),
        proof=proofs.minimum(),
    ),
]
