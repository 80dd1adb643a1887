"""What the scenarios on perceptrons share: data, losses and faults."""

from typing import Any

import jax
import numpy as np

from tests.diagnosis.scenarios import data, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import Data, instead, learning

LAYERS = (8, 24, 24, 1)
classify = models.classify(jax.nn.relu)


def network(
    name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, sizes: Any = LAYERS, **fields: Any
) -> Scenario:
    """Return a scenario of a perceptron on these points; size 0 is full batch."""
    fields = {"init": lambda: models.mlp_init(sizes, seed=7), **fields}
    return learning(name, cause, half, steps, points, size, **fields)


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


alive = instead(init=lambda: models.mlp_init(LAYERS, seed=7))  # from an ordinary start
