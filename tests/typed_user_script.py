"""What a user writes, for `mypy --strict`: a training step, a schedule and a rule of their own, a diagnosis."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

import gradtx
from gradtx.rules import Decay, LearningRate, NonNegative, Rule, Slots, abs_sq, chain, factory, root, zeros

Params = dict[str, jax.Array]


def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return the mean squared error of a linear model."""
    errors: jax.Array = gradtx.losses.l2_loss(x @ params["w"] + params["b"], y)  # optax's own
    return 2 * jnp.mean(errors)


def halving(count: jax.Array) -> jax.Array:
    """Return a rate that falls as 1 / t."""
    return 0.1 / (1.0 + count)


@factory
def scale_by_memory(decay: Decay = 0.9, eps: NonNegative = 1e-8) -> gradtx.Transform:
    """Divide by the root of a moving mean of squared gradients."""

    def init(p: jax.Array) -> Slots:
        return {"nu": zeros(p)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"keep": jnp.where(count == 0, 0.0, k.decay)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        nu = k.keep * slots["nu"] + (1 - k.keep) * abs_sq(g)
        return root(nu) + k.eps, {"nu": nu}

    hyper = {"decay": decay, "eps": eps}
    return gradtx.divide_by(Rule("scale_by_memory", update, init, slots=("nu",), hyper=hyper, scalars=scalars))


@factory
def memory(learning_rate: LearningRate) -> gradtx.Transform:
    """Descend by the scaled gradient."""
    return chain(scale_by_memory(), gradtx.scale_by_learning_rate(learning_rate))


tx: gradtx.Transform = gradtx.watch(
    gradtx.chain(gradtx.clip_by_global_norm(1.0), memory(halving), gradtx.scale_by_schedule(lambda count: 1.0))
)
others: list[gradtx.Transform] = [
    gradtx.adamw(gradtx.schedules.warmup_cosine(3e-4, warmup_steps=10, decay_steps=100), weight_decay=0.01),
    gradtx.sgd(jnp.float32(0.1), momentum=0.9, nesterov=True),
    gradtx.ratio(gradtx.ema(0.9), gradtx.scale_by_rms(0.999)),
]


@jax.jit
def step(params: Params, state: Any, x: jax.Array, y: jax.Array) -> tuple[Params, Any, jax.Array]:
    """Take one step of training."""
    value, grads = jax.value_and_grad(loss)(params, x, y)
    updates, state = tx.update(grads, state, params, value=value)
    new: Params = gradtx.apply_updates(params, updates)
    return new, state, value


def train(steps: int) -> tuple[float, dict[str, Any], str]:
    """Train, and return the last loss, the hyperparameters in use and the verdict."""
    params: Params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    x = jnp.arange(12.0).reshape(4, 3) / 10
    state, value = tx.init(params), jnp.zeros(())
    for _ in range(steps):
        params, state, value = step(params, state, x, x @ jnp.array([1.0, -1.0, 2.0]))
    flat: dict[str, jax.Array] = gradtx.export_state(tx, state)
    state, taken = gradtx.import_state(tx, params, flat)
    dropped: tuple[str, ...] = taken.dropped
    if dropped:
        raise ValueError(str(taken))
    report: gradtx.Report = gradtx.diagnose(state)
    return float(value), gradtx.hyperparams(tx, state), report.verdict


if __name__ == "__main__":
    print(train(20))
