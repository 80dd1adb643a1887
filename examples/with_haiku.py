"""Train a haiku model with a mask, a report, a checkpoint, and a resume bit for bit.

pip install ".[examples,frameworks]" && python examples/with_haiku.py
"""

import tempfile
from pathlib import Path
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import gradtx

PIXELS, LABELS = load_digits(return_X_y=True)
X, Y = jnp.asarray(PIXELS / 16, jnp.float32), jnp.asarray(LABELS, jnp.int32)

net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([32, 10])(x)))

rate = gradtx.schedules.warmup_cosine(3e-3, warmup_steps=20, decay_steps=300)
adamw = gradtx.adamw(rate, weight_decay=0.01)
# haiku's parameters are {module: {name: array}}; the rules are regular expressions on
# module/name, and each must hit
tx = gradtx.watch(gradtx.by_path([(r"/w$", adamw), (r"/b$", gradtx.adam(rate))]))


def loss(params: hk.Params, rows: jax.Array) -> jax.Array:
    """Return the mean loss of these digits."""
    logits = net.apply(params, X[rows])
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, Y[rows]).mean()


@jax.jit
def step(params: hk.Params, state: Any, t: int) -> tuple[hk.Params, Any]:
    """Take step number t, on 64 digits."""
    rows = jax.random.randint(jax.random.fold_in(jax.random.key(1), t), (64,), 0, len(X))
    value, grads = jax.value_and_grad(loss)(params, rows)
    updates, state = tx.update(grads, state, params, value=value)
    return gradtx.apply_updates(params, updates), state


def main() -> None:
    """Train, stop half way, resume from the files, and compare."""
    params = net.init(jax.random.key(0), X[:1])
    state = tx.init(params)
    for t in range(100):
        params, state = step(params, state, t)
    folder = Path(tempfile.mkdtemp())
    named = {f"{m}:{name}": x for m, name, x in hk.data_structures.traverse(params)}
    np.savez(folder / "params.npz", **named)
    np.savez(folder / "state.npz", **gradtx.export_state(tx, state))  # readable keys
    for t in range(100, 200):
        params, state = step(params, state, t)

    resumed: dict[str, dict[str, jax.Array]] = {}
    with np.load(folder / "params.npz") as flat:
        for key in flat:
            module, name = key.rsplit(":", 1)
            resumed.setdefault(module, {})[name] = jnp.asarray(flat[key])
    with np.load(folder / "state.npz") as flat:
        again, report = gradtx.import_state(tx, resumed, flat)
    print(f"read {len(report.kept)} arrays of the state, lacked {len(report.added)}")
    for t in range(100, 200):
        resumed, again = step(resumed, again, t)
    same = jax.tree.map(jnp.array_equal, resumed, params)
    print("resumed run is the same:", all(jax.tree.leaves(same)))

    print(f"digits right: {jnp.mean(net.apply(params, X).argmax(1) == Y):.0%}")
    report = gradtx.diagnose(again)  # its record came through the checkpoint
    print(f"{report.run.steps} steps, {report.verdict}: {report.headline}")


if __name__ == "__main__":
    main()
