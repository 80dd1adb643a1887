"""Train a small residual network on 1,797 real handwritten digits; draw the loss beside the gradient norm.

    python examples/digits.py [--epochs 40] [--seed 0] [--out examples/figures]

One jitted, donated step. What it measures stays on the device until an epoch is over.
"""

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from drawing import arguments, loss_and_gradient, save
from jax import lax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import gradtx

EPOCHS, BATCH, PEAK, WIDTH = 40, 64, 4e-3, 32
TARGET = 0.98  # accuracy on the held-out fifth, which a run of EPOCHS must reach
Params = dict[str, jax.Array]


def load() -> list[np.ndarray]:
    """Return images to train on, images held out, labels to train on, labels held out: the same fifth every time."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    return train_test_split(images, labels.astype(np.int32), test_size=0.2, stratify=labels, random_state=0)


def init(seed: int) -> Params:
    """Return the parameters: convolutions by He's rule, biases and the last layer 0."""
    params = {"head": jnp.zeros((8 * WIDTH, 10), jnp.float32), "head_bias": jnp.zeros((1, 10), jnp.float32)}
    channels = {"stem": (1, WIDTH), "block1": (WIDTH, WIDTH), "block2": (WIDTH, WIDTH), "wide": (WIDTH, 2 * WIDTH)}
    keys = jax.random.split(jax.random.key(seed), len(channels))
    for (name, ends), key in zip(channels.items(), keys, strict=True):
        params[name] = jax.nn.initializers.he_normal()(key, (3, 3, *ends), jnp.float32)
        params[f"{name}_bias"] = jnp.zeros((1, 1, 1, ends[1]), jnp.float32)
    return params


def logits(params: Params, images: jax.Array) -> jax.Array:
    """Return a score per class: a residual block at 8 x 8 pixels, a convolution at 4 x 4, a linear map from 2 x 2."""

    def conv(name: str, x: jax.Array, stride: int = 1) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        x = lax.conv_general_dilated(x, params[name], (stride, stride), "SAME", dimension_numbers=layout)
        return x + params[f"{name}_bias"]

    x = jax.nn.relu(conv("stem", images))
    x = jax.nn.relu(x + conv("block2", jax.nn.relu(conv("block1", x))))
    x = jax.nn.relu(conv("wide", x, stride=2))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.reshape(x.shape[0], -1) @ params["head"] + params["head_bias"]


def loss_fn(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the mean cross entropy."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits(params, images)), labels[:, None], axis=1)
    return -jnp.mean(chosen)


def shifted(key: jax.Array, images: jax.Array) -> jax.Array:
    """Return the images, each moved by at most one pixel each way."""
    by = jax.random.randint(key, (len(images), 2), -1, 2)
    return jax.vmap(lambda image, xy: jnp.roll(image, xy, axis=(0, 1)))(images, by)


def make_step(tx: gradtx.Transform) -> Callable[..., tuple[Params, Any, dict[str, jax.Array]]]:
    """Return the training step: params and state are donated, loss and gradient norm come out with them."""

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Params, state: Any, key: jax.Array, images: jax.Array, labels: jax.Array) -> Any:
        loss, grads = jax.value_and_grad(loss_fn)(params, shifted(key, images), labels)
        updates, state = tx.update(grads, state, params, value=loss)
        params = gradtx.apply_updates(params, updates)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
        return params, state, {"loss": loss, "gradient norm": norm}

    return step


def optimizer(steps: int) -> gradtx.Transform:
    """Return the optimizer of a run of so many updates; a wrapper round it goes here."""
    rate = gradtx.schedules.warmup_cosine(PEAK, warmup_steps=steps // 10, decay_steps=steps)
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(rate, weight_decay=1e-2))


def train(epochs: int, seed: int) -> tuple[float, dict[str, np.ndarray]]:
    """Train under watch; print why training is stuck or that it is not; return held-out accuracy and measurements."""
    images, held_images, labels, held_labels = load()
    per_epoch = len(images) // BATCH
    tx = gradtx.watch(optimizer(epochs * per_epoch))
    params = init(seed)
    state = tx.init(params)
    step = make_step(tx)
    print(f"optimizer       {tx}")
    print(f"first update    {', '.join(f'{k} {v:.4g}' for k, v in gradtx.hyperparams(tx, state).items())}")

    shuffle = np.random.default_rng(seed)
    keys = jax.random.split(jax.random.key(seed), epochs * per_epoch)
    history: list[dict[str, jax.Array]] = []
    with tqdm(range(epochs), desc="training", unit="epoch") as bar:
        for _ in bar:
            for batch in shuffle.permutation(len(images))[: per_epoch * BATCH].reshape(per_epoch, BATCH):
                key = keys[len(history)]
                params, state, measured = step(params, state, key, images[batch], labels[batch])
                history.append(measured)
            now = gradtx.metrics(state)
            shown = ("loss", "learning_rate", "rho", "update_ratio")
            bar.set_postfix({name: f"{now[name]:.2g}" for name in shown if name in now})
    print(gradtx.diagnose(state))

    guesses = np.asarray(jax.jit(logits)(params, held_images)).argmax(axis=1)
    rows = jax.device_get(history)
    return float(np.mean(guesses == held_labels)), {name: np.array([row[name] for row in rows]) for name in rows[0]}


def main(argv: list[str] | None = None) -> int:
    """Train, print and draw; return 1 where a run of at least the default length misses the target."""
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0, help="of the first parameters and of the batches")
    args = parser.parse_args(argv)

    start = time.perf_counter()
    accuracy, columns = train(args.epochs, args.seed)
    first, last = columns["loss"][:10].mean(), columns["loss"][-10:].mean()
    print(f"loss            {first:.4f} -> {last:.4f}, means of the first and the last 10 updates")
    print(f"accuracy        {accuracy:.4f} on the held-out fifth, {time.perf_counter() - start:.1f} s")
    figure, axes = plt.subplots(figsize=(10, 5))
    loss_and_gradient(axes, columns["loss"], columns["gradient norm"])
    axes.set_title(f"Handwritten digits: loss and gradient norm of each update (held-out accuracy {accuracy:.2%})")
    print(f"picture         {save(figure, args.out, 'digits')}")
    return int(args.epochs >= EPOCHS and accuracy < TARGET)


if __name__ == "__main__":
    sys.exit(main())
