"""What the scenarios on perceptrons share: data, losses and faults."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import data, models
from tests.diagnosis.scenarios.base import Scenario

Data = Callable[[], tuple[np.ndarray, ...]]
LAYERS = (8, 24, 24, 1)


def fit(activation: models.Activation, decay: float = 0.0) -> Callable[[Any, Any], jax.Array]:
    """Return the loss of a regression with a penalty on the squares."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        error = models.squared(models.mlp(params, x, activation), y)
        return error + decay * models.penalty(params) if decay else error

    return loss


def classify(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a relu network."""
    x, labels = batch
    return models.cross_entropy(models.mlp(params, x, jax.nn.relu), labels)


def network(
    name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, sizes: Any = LAYERS, **fields: Any
) -> Scenario:
    """Return a scenario on these points; size 0 is full batch."""
    batch = data.minibatches(points(), size) if size else data.always(points())
    fields = {"init": lambda: models.mlp_init(sizes, seed=7), "batch": batch, **fields}
    return Scenario(name=name, cause=cause, half=half, steps=steps, big_batch=points, full_batch=not size, **fields)


def taught() -> tuple[np.ndarray, ...]:
    """Return 64 points of a teacher network without noise."""
    return data.teacher(64, 8, seed=8, noise=0.0)


def noisily_taught() -> tuple[np.ndarray, ...]:
    """Return 1024 points of a teacher network with noise."""
    return data.teacher(1024, 8, seed=9, noise=0.7)


def thrice_taught() -> tuple[np.ndarray, ...]:
    """Return 128 points of another teacher with 3 outputs, without noise."""
    return data.teacher(128, 8, seed=51, noise=0.0, outputs=3)


def much_taught() -> tuple[np.ndarray, ...]:
    """Return 8192 points of the same teacher, too many to learn by heart."""
    return data.teacher(8192, 8, seed=9, noise=0.7)


def groups() -> tuple[np.ndarray, ...]:
    """Return 5 clusters of 16 features that overlap somewhat."""
    return data.clusters(1024, 16, 5, seed=10, apart=0.8)


def alike() -> Any:
    """Return a network whose hidden units are all the same, and stay so."""
    params = models.mlp_init((8, 6, 1), seed=11)
    return jax.tree.map(lambda w: np.broadcast_to(w[:, :1], w.shape) if w.shape == (8, 6) else w, params) | {
        "layer1": {"w": np.full((6, 1), 0.4, np.float32), "b": np.zeros(1, np.float32)}
    }


def killed(params: Any) -> Any:
    """Return the params with the second layer's biases so low that no unit of it ever fires."""
    return {**params, "layer1": {"w": params["layer1"]["w"], "b": np.full_like(params["layer1"]["b"], -50)}}


def saturated(params: Any) -> Any:
    """Return the params with the second layer's biases so high that tanh is 1 to the last bit."""
    return {**params, "layer1": {"w": params["layer1"]["w"], "b": np.full_like(params["layer1"]["b"], 30)}}


def alive(scenario: Scenario) -> Scenario:
    """Return the scenario from an ordinary start."""
    return dataclasses.replace(scenario, init=lambda: models.mlp_init(LAYERS, seed=7))


def poisoned(points: Data, size: int, step: int) -> Callable[[Any], Any]:
    """Return minibatches, one of which has a NaN."""
    clean = data.minibatches(points(), size)

    def batch(count: Any) -> Any:
        x, y = clean(count)
        return jnp.where((count == step) & (jnp.arange(x.shape[0]) == 3)[:, None], jnp.nan, x), y

    return batch


def unpoisoned(scenario: Scenario) -> Scenario:
    """Return the scenario with clean batches."""
    return dataclasses.replace(scenario, batch=data.minibatches(groups(), 32))
