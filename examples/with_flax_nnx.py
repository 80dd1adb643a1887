"""Train a flax nnx model with a mask, a report, a checkpoint, and a resume bit for bit.

pip install ".[examples,frameworks]" && python examples/with_flax_nnx.py
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from flax import nnx
from sklearn.datasets import load_digits

import gradtx

PIXELS, LABELS = load_digits(return_X_y=True)
X, Y = jnp.asarray(PIXELS / 16, jnp.float32), jnp.asarray(LABELS, jnp.int32)


class Net(nnx.Module):
    """64 pixels, 32 hidden units, 10 digits."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        """Draw the weights."""
        self.hidden = nnx.Linear(64, 32, rngs=rngs)
        self.norm = nnx.BatchNorm(32, rngs=rngs)  # has statistics, which are no parameters
        self.drop = nnx.Dropout(0.1, rngs=rngs)  # has a random key and its count
        self.out = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, x):
        """Return the logits of a batch."""
        return self.out(self.drop(nnx.relu(self.norm(self.hidden(x)))))


def fresh() -> tuple[Net, nnx.Optimizer]:
    """Return the model and the optimizer before the first step."""
    model = Net(nnx.Rngs(0))
    # an nnx.State of bools: decay the kernels
    mask = jax.tree.map(lambda p: p.ndim > 1, nnx.state(model, nnx.Param))
    rate = gradtx.schedules.warmup_cosine(3e-3, warmup_steps=20, decay_steps=300)
    tx = gradtx.watch(gradtx.adamw(rate, weight_decay=0.01, mask=mask))
    return model, nnx.Optimizer(model, tx, wrt=nnx.Param)


@nnx.jit
def step(model: Net, optimizer: nnx.Optimizer) -> None:
    """Take one step on 64 digits."""
    key = jax.random.fold_in(jax.random.key(1), optimizer.step[...])
    rows = jax.random.randint(key, (64,), 0, len(X))

    def loss(model):
        logits = model(X[rows])
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, Y[rows])
        return losses.mean()

    value, grads = nnx.value_and_grad(loss)(model)
    optimizer.update(model, grads, value=value)  # nnx passes the loss on to the record


def main() -> None:
    """Train, stop half way, resume from the file, and compare."""
    model, optimizer = fresh()
    for _ in range(100):
        step(model, optimizer)
    path = Path(tempfile.mkdtemp()) / "state"
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, arrays(model, optimizer))
    for _ in range(100):
        step(model, optimizer)

    again = fresh()
    with ocp.StandardCheckpointer() as checkpointer:
        put(again, checkpointer.restore(path, arrays(*again)))
    for _ in range(100):
        step(*again)
    left, right = (jax.tree.leaves(nnx.state(x, nnx.Param)) for x in (model, again[0]))
    print("resumed run is the same:", all(map(jnp.array_equal, left, right)))

    model.eval()
    print(f"digits right: {jnp.mean(model(X).argmax(1) == Y):.0%}")
    report = gradtx.diagnose(again[1].opt_state)  # its record came through the checkpoint
    print(f"{report.run.steps} steps, {report.verdict}: {report.headline}")
    rates = gradtx.hyperparams(optimizer.tx, optimizer.opt_state)
    rate = rates["scale_by_learning_rate.learning_rate"]
    print(f"learning rate of the next step: {rate:.6f}")


def arrays(model: Net, optimizer: nnx.Optimizer) -> dict[str, dict]:
    """Return a run's arrays as plain dicts: a format that no version of nnx changes."""
    return {"model": plain(nnx.state(model)), "optimizer": plain(nnx.state(optimizer))}


def is_key(x: jax.Array) -> bool:
    """Return True for a random key."""
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def plain(state: nnx.State) -> dict:
    """Return a state as plain dicts of arrays, random keys as numbers."""

    def numbers(x):
        return jax.random.key_data(x) if is_key(x) else x

    return jax.tree.map(numbers, nnx.to_pure_dict(state))


def put(run: tuple[Net, nnx.Optimizer], stored: dict[str, dict]) -> None:
    """Put stored arrays back into a run."""

    def leaf(old, new):
        return jax.random.wrap_key_data(new) if is_key(old) else new

    for x, values in zip(run, (stored["model"], stored["optimizer"]), strict=True):
        state = nnx.state(x)
        new = jax.tree.map(leaf, nnx.to_pure_dict(state), values)
        nnx.replace_by_pure_dict(state, new)
        nnx.update(x, state)


if __name__ == "__main__":
    main()
