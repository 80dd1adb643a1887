"""Whether training goes as with float32 state, against the spread of seeds: `python -m tests.memory.training [seeds]`.

Two tasks, each with AdamW of the same rate for all: a network with one hidden layer on the 1,797 digits of scikit-learn
(https://scikit-learn.org/stable/datasets/toy_dataset.html), and a small transformer that predicts the next character of
Python's reference, the text of `pydoc_data.topics`. A form stays within the spread where its mean differs from
float32's by less than the deviation of the seeds.
"""

import sys
from collections.abc import Callable
from pydoc_data.topics import topics
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import gradtx

FORMS: dict[str, Callable[[gradtx.Transform], gradtx.Transform]] = {
    "float32": lambda tx: tx,
    "bfloat16": lambda tx: gradtx.store(tx, mu="bfloat16", nu="bfloat16"),
    "fp8": lambda tx: gradtx.store(tx, mu="fp8", nu="fp8_root"),
}
WIDTH, CONTEXT, HEADS, LAYERS, BATCH = 64, 32, 4, 2, 16
Task = tuple[Callable[[jax.Array], Any], Callable[[Any, jax.Array], jax.Array], Callable[[Any], jax.Array], int, float]


def digits() -> Task:
    """Return init, loss of a batch, loss of what is held out, steps and rate."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))
    x, y = jnp.asarray(data.data[order] / 16, jnp.float32), jnp.asarray(data.target[order])
    held, size = 360, 128

    def init(key: jax.Array) -> Any:
        a, b = jax.random.split(key)
        return {
            "hidden": jax.random.normal(a, (64, size)) / 8,
            "shift": jnp.zeros(size),
            "out": jax.random.normal(b, (10, size)) / size**0.5,
        }

    def loss_of(p: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        scores = jax.nn.relu(x @ p["hidden"] + p["shift"]) @ p["out"].T
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1))

    def loss(p: Any, key: jax.Array) -> jax.Array:
        rows = jax.random.randint(key, (64,), held, len(x))
        return loss_of(p, x[rows], y[rows])

    return init, loss, lambda p: loss_of(p, x[:held], y[:held]), 400, 3e-3


def transformer() -> Task:
    """Return the same for a decoder of two layers on characters."""
    text = "\n".join(topics.values())[:100_000]
    values = {c: i for i, c in enumerate(sorted(set(text)))}
    codes = jnp.asarray([values[c] for c in text])
    cut = len(codes) * 9 // 10

    def init(key: jax.Array) -> Any:
        shapes = {"embed": (len(values), WIDTH), "place": (CONTEXT, WIDTH), "head": (len(values), WIDTH)}
        for i in range(LAYERS):
            shapes |= {f"qkv{i}": (WIDTH, 3 * WIDTH), f"mix{i}": (WIDTH, WIDTH)}
            shapes |= {f"up{i}": (WIDTH, 4 * WIDTH), f"down{i}": (4 * WIDTH, WIDTH)}
        keys = jax.random.split(key, len(shapes))
        return {n: 0.5 * jax.random.normal(k, s) / s[0] ** 0.5 for k, (n, s) in zip(keys, shapes.items(), strict=True)}

    def normal(x: jax.Array) -> jax.Array:
        return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)

    def loss_of(p: Any, starts: jax.Array) -> jax.Array:
        tokens = codes[starts[:, None] + jnp.arange(CONTEXT + 1)]
        x = p["embed"][tokens[:, :-1]] + p["place"]
        for i in range(LAYERS):
            parts = (normal(x) @ p[f"qkv{i}"]).reshape(*x.shape[:2], 3, HEADS, -1)
            q, k, v = (parts[:, :, j] for j in range(3))
            x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape) @ p[f"mix{i}"]
            x = x + jax.nn.gelu(normal(x) @ p[f"up{i}"]) @ p[f"down{i}"]
        scores = jax.nn.log_softmax(normal(x) @ p["head"].T)
        return -jnp.mean(jnp.take_along_axis(scores, tokens[:, 1:, None], -1))

    def loss(p: Any, key: jax.Array) -> jax.Array:
        return loss_of(p, jax.random.randint(key, (BATCH,), 0, cut - CONTEXT - 1))

    held = jnp.arange(cut, len(codes) - CONTEXT - 1, CONTEXT)
    return init, loss, lambda p: loss_of(p, held), 400, 3e-3


def final(task: Task, tx: gradtx.Transform, seeds: int) -> np.ndarray:
    """Return the loss on what is held out after training from each seed."""
    init, loss, held_out, steps, _ = task

    def step(carry: Any, key: jax.Array) -> tuple[Any, None]:
        p, state = carry
        u, state = tx.update(jax.grad(loss)(p, key), state, p)
        return (gradtx.apply_updates(p, u), state), None

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        first, rest = jax.random.split(key)
        p = init(first)
        (p, _), _ = lax.scan(step, (p, tx.init(p)), jax.random.split(rest, steps))
        return held_out(p)

    return np.array([float(run(jax.random.key(seed))) for seed in range(seeds)])


def main(seeds: int) -> None:
    """Print, for each task and form, the mean loss, its distance from float32's, and the deviation of the seeds."""
    for name, make in {"digits": digits, "transformer": transformer}.items():
        task = make()
        found = {}
        for form, wrap in FORMS.items():
            tx = wrap(gradtx.adamw(task[-1], weight_decay=1e-2))
            found[form] = final(task, tx, seeds)
            mean, wide = found[form].mean(), found["float32"]
            text = f"from float32 {mean - wide.mean():+.4f}, deviation of seeds {wide.std(ddof=1):.4f}"
            print(f"{name:12} {form:9} loss {mean:.4f}, {text}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
