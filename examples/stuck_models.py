"""The small models and data that `stuck_runs.py` trains: all in float32."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

Params = dict[str, Any]
Batch = tuple[np.ndarray, np.ndarray]


def layers(*sizes: int, variance: float = 2.0) -> Params:
    """Return the layers of a network: weights of this variance over the fan-in, biases 0."""
    rng = np.random.default_rng(0)
    params = {}
    for i, (m, n) in enumerate(itertools.pairwise(sizes), 1):
        w = rng.normal(size=(m, n)) * np.sqrt(variance / m)
        params[f"layer{i}"] = {"w": w.astype(np.float32), "b": np.zeros((1, n), np.float32)}
    return params


def network(activation: Callable[[Any], Any], params: Params, x: Any) -> jax.Array:
    """Return the outputs of the network."""
    *hidden, last = params.values()
    for layer in hidden:
        x = activation(x @ layer["w"] + layer["b"])
    return x @ last["w"] + last["b"]


def squares(activation: Callable[[Any], Any], penalty: float = 0.0) -> Callable[[Params, Batch], jax.Array]:
    """Return the loss of a regression: half the mean square of the error, and a penalty on large parameters."""

    def loss(params: Params, batch: Batch) -> jax.Array:
        error = 0.5 * jnp.mean((network(activation, params, batch[0]) - batch[1]) ** 2)
        return error + penalty * sum(jnp.sum(p**2) for p in jax.tree.leaves(params)) if penalty else error

    return loss


def entropy(params: Params, batch: Batch) -> jax.Array:
    """Return the loss of a classification by a relu network: the mean cross entropy."""
    scores = jax.nn.log_softmax(network(jax.nn.relu, params, batch[0]))
    return -jnp.mean(jnp.take_along_axis(scores, batch[1], axis=1))


def linear(x: Any) -> Any:
    """Return x: the activation of a linear network."""
    return x


def digits(samples: int = 300, wrong: float = 0.0) -> Batch:
    """Return handwritten digits, 64 pixels each, and what they show; a share of that is drawn at random."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(3)
    shown = np.where(rng.random(samples) < wrong, rng.integers(0, 10, samples), labels[:samples])
    return (images[:samples] / 16).astype(np.float32), shown[:, None].astype(np.int32)


def waves(samples: int = 256, noise: float = 0.0) -> Batch:
    """Return points of 4 features and a wavy function of them."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(samples, 4))
    y = np.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + noise * rng.normal(size=(samples, 1))
    return x.astype(np.float32), y.astype(np.float32)


def plane(samples: int, features: int, unit: float = 1.0, noise: float = 0.0) -> Batch:
    """Return points and a linear function of them; the first 4 features are measured in a finer unit, so are larger."""
    rng = np.random.default_rng(2)
    sizes = np.where(np.arange(features) < 4, unit, 1.0)
    x = rng.normal(size=(samples, features)) * sizes
    y = x @ (rng.normal(size=(features, 1)) / sizes[:, None]) + noise * rng.normal(size=(samples, 1))
    return x.astype(np.float32), y.astype(np.float32)
