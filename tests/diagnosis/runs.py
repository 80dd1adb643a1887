"""Small runs under `watch` for the tests: gradients are inputs, so that every number can be computed anew."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gradtx

SHAPES = {"b": (4,), "w": (5, 3)}


class Fed(NamedTuple):
    """A run whose gradients were given: the last state, and what each step saw."""

    state: Any
    grads: Any
    updates: Any
    params: Any
    losses: Any


def start(dtype: Any = jnp.float32, shapes: Any = SHAPES) -> Any:
    """Return params, each in its own buffer."""
    rng = np.random.default_rng(1)
    return {name: jnp.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def gradients(steps: int, dtype: Any = jnp.float32, shapes: Any = SHAPES, seed: int = 0) -> list[Any]:
    """Return gradients that share a drift, with a zero in each first entry of b."""
    rng = np.random.default_rng(seed)
    drift = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    out = []
    for _ in range(steps):
        g = {name: drift[name] + rng.standard_normal(shape) for name, shape in shapes.items()}
        g["b"].reshape(-1)[0] = 0.0
        out.append({name: jnp.asarray(x, dtype) for name, x in g.items()})
    return out


def step_of(tx: Any, params: bool = True) -> Any:
    """Return the jitted step of a transform."""

    def step(p: Any, state: Any, g: Any, extra: Any) -> Any:
        updates, state = tx.update(g, state, p if params else None, **extra)
        return gradtx.apply_updates(p, updates), state, updates

    return jax.jit(step)


def feed(tx: Any, grads: list[Any], losses: Any = None, params: bool = True, p: Any = None, step: Any = None) -> Fed:
    """Run a transform on these gradients and losses."""
    p = start(jnp.float32) if p is None else p
    step, state = step or step_of(tx, params), tx.init(p)
    us, ps = [], []
    for t, g in enumerate(grads):
        extra = {} if losses is None else {"value": jnp.float32(losses[t])}
        ps.append(p)
        p, state, u = step(p, state, g, extra)
        us.append(u)
    ps.append(p)
    return Fed(state, grads, us, ps, losses)


@functools.cache
def plain() -> tuple[Any, Any]:
    """Return watched SGD and its step, compiled once for all tests that need any run at all."""
    tx = gradtx.watch(gradtx.sgd(0.1))
    return tx, step_of(tx)


def short(steps: int, losses: Any = None, grads: Any = None) -> Fed:
    """Run watched SGD."""
    tx, step = plain()
    losses = np.linspace(2.0, 1.0, steps) if losses is None else losses
    return feed(tx, gradients(steps) if grads is None else grads, losses, step=step)


def quadratic(p: Any) -> jax.Array:
    """Return a loss in two parameters, 100 times steeper in one."""
    return 0.5 * (100.0 * p[0] ** 2 + p[1] ** 2)


def train(tx: Any, loss: Any, p: Any, steps: int) -> Any:
    """Run a transform on a loss in one scan, and return the state."""

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        value, g = jax.value_and_grad(loss)(p)
        updates, state = tx.update(g, state, p, value=value)
        return (gradtx.apply_updates(p, updates), state), None

    return jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=steps)[0][1])(p)
