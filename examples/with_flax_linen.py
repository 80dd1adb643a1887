"""Train a flax linen model with a mask, a report, a checkpoint, and a resume bit for bit.

pip install ".[examples,frameworks]" && python examples/with_flax_linen.py
"""

import tempfile
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import serialization
from flax.core import freeze
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits

import gradtx

PIXELS, LABELS = load_digits(return_X_y=True)
X, Y = jnp.asarray(PIXELS / 16, jnp.float32), jnp.asarray(LABELS, jnp.int32)


class Net(nn.Module):
    """64 pixels, 32 hidden units, 10 digits."""

    @nn.compact
    def __call__(self, x):
        """Return the logits of a batch."""
        return nn.Dense(10)(nn.relu(nn.LayerNorm()(nn.Dense(32)(x))))


def fresh() -> TrainState:
    """Return the state before the first step."""
    params = freeze(Net().init(jax.random.key(0), X[:1])["params"])  # a FrozenDict
    mask = {  # a plain dict, in which one bool may stand for a layer
        "Dense_0": {"kernel": True, "bias": False},
        "Dense_1": {"kernel": True, "bias": False},
        "LayerNorm_0": False,
    }
    rate = gradtx.schedules.warmup_cosine(3e-3, warmup_steps=20, decay_steps=300)
    tx = gradtx.watch(gradtx.adamw(rate, weight_decay=0.01, mask=mask))
    return TrainState.create(apply_fn=Net().apply, params=params, tx=tx)


@jax.jit
def step(state: TrainState) -> TrainState:
    """Take one step on 64 digits."""
    key = jax.random.fold_in(jax.random.key(1), state.step)
    rows = jax.random.randint(key, (64,), 0, len(X))

    def loss(params):
        logits = state.apply_fn({"params": params}, X[rows])
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, Y[rows])
        return losses.mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    state = state.apply_gradients(grads=grads)  # flax passes no `value=` on
    return gradtx.record_loss(state, value)  # so the loss is recorded after it


def main() -> None:
    """Train, stop half way, resume from the file, and compare."""
    state = fresh()
    for _ in range(100):
        state = step(state)
    path = Path(tempfile.mkdtemp()) / "state.msgpack"
    path.write_bytes(serialization.to_bytes(state))
    for _ in range(100):
        state = step(state)

    resumed = serialization.from_bytes(fresh(), path.read_bytes())
    for _ in range(100):
        resumed = step(resumed)
    same = jax.tree.map(jnp.array_equal, resumed.params, state.params)
    print("resumed run is the same:", all(jax.tree.leaves(same)))

    logits = state.apply_fn({"params": state.params}, X)
    print(f"digits right: {jnp.mean(logits.argmax(1) == Y):.0%}")
    report = gradtx.diagnose(resumed)  # its record came through the checkpoint
    print(f"{report.run.steps} steps, {report.verdict}: {report.headline}")
    rates = gradtx.hyperparams(resumed.tx, resumed.opt_state)
    rate = rates["scale_by_learning_rate.learning_rate"]
    print(f"learning rate of the next step: {rate:.6f}")


if __name__ == "__main__":
    main()
