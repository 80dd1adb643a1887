"""Train an equinox model with a mask, a report, a checkpoint, and a resume bit for bit.

pip install ".[examples,frameworks]" && python examples/with_equinox.py
"""

import tempfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits

import gradtx

PIXELS, LABELS = load_digits(return_X_y=True)
X, Y = jnp.asarray(PIXELS / 16, jnp.float32), jnp.asarray(LABELS, jnp.int32)


class Net(eqx.Module):
    """64 pixels, 32 hidden units, 10 digits."""

    hidden: eqx.nn.Linear
    out: eqx.nn.Linear
    dropout: eqx.nn.Dropout  # holds numbers and bools that are no arrays
    key: jax.Array  # a random key among the leaves
    seen: jax.Array  # an integer among the leaves

    def __init__(self, key: jax.Array) -> None:
        """Draw the weights."""
        first, second, self.key = jax.random.split(key, 3)
        self.hidden = eqx.nn.Linear(64, 32, key=first)
        self.out = eqx.nn.Linear(32, 10, key=second)
        self.dropout = eqx.nn.Dropout(0.1)
        self.seen = jnp.zeros((), jnp.int32)

    def __call__(self, x, key=None, inference=False):
        """Return the logits of one image."""
        x = jax.nn.relu(self.hidden(x))
        return self.out(self.dropout(x, key=key, inference=inference))


class Run(eqx.Module):
    """A run: the transform is a field like any other, and goes through eqx.filter_jit."""

    net: Net
    tx: gradtx.Transform
    state: Any


def fresh() -> Run:
    """Return the run before the first step."""
    net = Net(jax.random.key(0))
    rate = gradtx.schedules.warmup_cosine(3e-3, warmup_steps=20, decay_steps=300)

    def mask(params):  # decay the matrices
        return jax.tree.map(lambda p: p.ndim > 1, params)

    tx = gradtx.watch(gradtx.adamw(rate, weight_decay=0.01, mask=mask))
    # is_inexact_array leaves key and integer out; is_array takes them along, unchanged
    return Run(net, tx, tx.init(eqx.filter(net, eqx.is_array)))


@eqx.filter_jit
def step(run: Run) -> Run:
    """Take one step on 64 digits."""
    key = jax.random.fold_in(run.net.key, run.net.seen)
    rows = jax.random.randint(key, (64,), 0, len(X))

    def loss(net):
        logits = jax.vmap(net)(X[rows], jax.random.split(key, 64))
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, Y[rows])
        return losses.mean()

    value, grads = eqx.filter_value_and_grad(loss)(run.net)
    params = eqx.filter(run.net, eqx.is_array)
    updates, state = run.tx.update(grads, run.state, params, value=value)
    net = eqx.apply_updates(run.net, updates)  # an update is None where the gradient is
    net = eqx.tree_at(lambda n: n.seen, net, net.seen + 64)
    return Run(net, run.tx, state)


def is_key(x: Any) -> bool:
    """Return True for a random key."""
    return eqx.is_array(x) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def write(path: Path, run: Run) -> None:
    """Write the arrays of a run, random keys as numbers, since equinox refuses keys."""

    def leaf(file, x):
        if eqx.is_array(x):
            jnp.save(file, jax.random.key_data(x) if is_key(x) else x)

    eqx.tree_serialise_leaves(path, run, filter_spec=leaf)


def read(path: Path, like: Run) -> Run:
    """Read the arrays of a run into one of the same structure."""

    def leaf(file, x):
        if not eqx.is_array(x):
            return x
        return jax.random.wrap_key_data(jnp.load(file)) if is_key(x) else jnp.load(file)

    return eqx.tree_deserialise_leaves(path, like, filter_spec=leaf)


def main() -> None:
    """Train, stop half way, resume from the file, and compare."""
    run = fresh()
    for _ in range(100):
        run = step(run)
    path = Path(tempfile.mkdtemp()) / "run.eqx"
    write(path, run)
    for _ in range(100):
        run = step(run)

    resumed = read(path, fresh())
    for _ in range(100):
        resumed = step(resumed)
    print("resumed run is the same:", bool(eqx.tree_equal(resumed.net, run.net)))

    logits = jax.vmap(lambda x: run.net(x, inference=True))(X)
    print(f"digits right: {jnp.mean(logits.argmax(1) == Y):.0%}")
    report = gradtx.diagnose(resumed.state)  # its record came through the checkpoint
    print(f"{report.run.steps} steps, {report.verdict}: {report.headline}")
    rate = gradtx.hyperparams(run.tx, run.state)["scale_by_learning_rate.learning_rate"]
    print(f"learning rate of the next step: {rate:.6f}")


if __name__ == "__main__":
    main()
