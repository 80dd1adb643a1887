"""Small models: params by layer, and losses in float32 whatever the params' dtype."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Activation = Callable[[jax.Array], jax.Array]


def dense(rng: np.random.Generator, n_in: int, n_out: int, gain: float = 1.0, bias: float = 0.0) -> dict[str, Any]:
    """Return a layer, its weights of size gain / sqrt(n_in)."""
    w = rng.normal(0, gain / np.sqrt(n_in), (n_in, n_out))
    return {"w": w.astype(np.float32), "b": np.full(n_out, bias, np.float32)}


def mlp_init(sizes: Sequence[int], seed: int, gain: float = 1.0) -> dict[str, Any]:
    """Return the params of a perceptron, one top-level key per layer."""
    rng = np.random.default_rng(seed)
    return {f"layer{i}": dense(rng, a, b, gain) for i, (a, b) in enumerate(itertools.pairwise(sizes))}


def half(params: Any) -> Any:
    """Return the params in bfloat16."""
    return jax.tree.map(lambda p: jnp.asarray(p, jnp.bfloat16), params)


def affine(layer: Any, x: jax.Array) -> jax.Array:
    """Return x w + b in the params' dtype."""
    return x.astype(layer["w"].dtype) @ layer["w"] + jnp.expand_dims(layer["b"], range(x.ndim - 1))


def mlp(params: Any, x: jax.Array, activation: Activation) -> jax.Array:
    """Return the outputs of a perceptron, in float32."""
    names = list(params)
    for name in names[:-1]:
        x = activation(affine(params[name], x))
    return affine(params[names[-1]], x).astype(jnp.float32)


def deep_linear(params: Any, x: jax.Array) -> jax.Array:
    """Return x times all the matrices, in the order of their names."""
    for name in sorted(params):
        x = x @ params[name]
    return x


def conv_init(seed: int, channels: tuple[int, int] = (6, 12), classes: int = 4, gain: float = 1.4) -> dict[str, Any]:
    """Return the params of a net of two 3x3 convolutions for images of 8x8."""
    rng = np.random.default_rng(seed)
    a, b = channels

    def kernel(n_in: int, n_out: int) -> dict[str, Any]:
        w = rng.normal(0, gain / np.sqrt(9 * n_in), (3, 3, n_in, n_out))
        return {"w": w.astype(np.float32), "b": np.zeros(n_out, np.float32)}

    return {"conv1": kernel(1, a), "conv2": kernel(a, b), "head": dense(rng, 4 * b, classes)}


def convolve(layer: Any, x: jax.Array) -> jax.Array:
    """Return the 3x3 convolution of images with stride 2, as one matrix product: quick at this size."""
    side = x.shape[1]
    x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    patches = jnp.concatenate([x[:, i : i + side : 2, j : j + side : 2] for i in range(3) for j in range(3)], axis=-1)
    kernel = layer["w"].reshape(-1, layer["w"].shape[-1])
    return patches @ kernel + layer["b"][None, None, None, :]


def conv(params: Any, images: jax.Array) -> jax.Array:
    """Return the class scores of images, in float32."""
    x = images.astype(params["head"]["w"].dtype)[..., None]
    x = jax.nn.relu(convolve(params["conv1"], x))
    x = jax.nn.relu(convolve(params["conv2"], x))
    return affine(params["head"], x.reshape(x.shape[0], -1)).astype(jnp.float32)


def transformer_init(seed: int, vocabulary: int = 8, length: int = 12, width: int = 16) -> dict[str, Any]:
    """Return the params of a transformer of one layer with one head."""
    rng = np.random.default_rng(seed)

    def matrix(n_in: int, n_out: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(n_in), (n_in, n_out)).astype(np.float32)

    return {
        "embed": {"token": matrix(vocabulary, width), "position": matrix(length, width)},
        "attention": {name: matrix(width, width) for name in ("q", "k", "v", "o")},
        "mlp": {"up": matrix(width, 2 * width), "down": matrix(2 * width, width)},
        "head": {"w": matrix(width, vocabulary)},
    }


def normalized(x: jax.Array) -> jax.Array:
    """Return rows of mean 0 and variance 1."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-5)


def transformer(params: Any, tokens: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """Return the scores of each next token; `mask` (batch, length) hides positions from all."""
    length = tokens.shape[1]
    hot = jax.nn.one_hot(tokens, params["embed"]["token"].shape[0], dtype=jnp.float32)
    x = hot @ params["embed"]["token"] + params["embed"]["position"][None, :length]
    seen = jnp.tril(jnp.ones((length, length), bool))[None]
    seen = seen if mask is None else seen & mask[:, None, :]
    h = normalized(x)
    q, k, v = (h @ params["attention"][name] for name in ("q", "k", "v"))
    scores = jnp.where(seen, q @ jnp.swapaxes(k, 1, 2) / np.float32(np.sqrt(x.shape[-1])), -jnp.inf)
    x = x + jax.nn.softmax(scores, axis=-1) @ v @ params["attention"]["o"]
    x = x + jax.nn.relu(normalized(x) @ params["mlp"]["up"]) @ params["mlp"]["down"]
    return normalized(x) @ params["head"]["w"]


def cross_entropy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the mean of -log p(label)."""
    hot = jax.nn.one_hot(labels, scores.shape[-1], dtype=jnp.float32)
    return -jnp.mean(jnp.sum(hot * jax.nn.log_softmax(scores), axis=-1))


def squared(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Return half the mean square of the error."""
    return 0.5 * jnp.mean(jnp.square(prediction - target))


def penalty(params: Any) -> jax.Array:
    """Return the sum of the squares of all params."""
    return sum(jnp.sum(jnp.square(p.astype(jnp.float32))) for p in jax.tree.leaves(params))


def fit(activation: Activation, decay: float = 0.0) -> Callable[[Any, Any], jax.Array]:
    """Return the loss of a regression by a perceptron, with a penalty on the squares."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        error = squared(mlp(params, x, activation), y)
        return error + decay * penalty(params) if decay else error

    return loss


def classify(activation: Activation) -> Callable[[Any, Any], jax.Array]:
    """Return the cross-entropy of a perceptron."""
    return lambda params, batch: cross_entropy(mlp(params, batch[0], activation), batch[1])
