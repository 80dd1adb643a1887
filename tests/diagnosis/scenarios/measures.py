"""What the proofs measure on a run: losses, gradients, the dense Hessian."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from tests.diagnosis.scenarios.base import Run, Scenario, norm, plain, run_scenario


def mean_at(losses: np.ndarray, share: float, width: float = 0.1) -> float:
    """Return the mean loss round a share of the run, over `width` of it; noise averages out."""
    n = max(int(width * len(losses)), 1)
    end = min(max(int(share * len(losses)), n), len(losses))
    return float(np.mean(losses[end - n : end], dtype=np.float64))


def last(losses: np.ndarray) -> float:
    """Return the mean loss of the last tenth."""
    return mean_at(losses, 1.0)


def fell(run: Run) -> float:
    """Return the fall of the loss over the last half, relative to the loss there."""
    return 1 - last(run.losses) / mean_at(run.losses, 0.5)


@plain
def full_loss(run: Run) -> float:
    """Return the loss of a run's params on the large batch."""
    return float(jax.jit(run.scenario.loss)(run.params, run.scenario.big_batch()))


@plain
def full_grad(run: Run) -> Any:
    """Return the gradient of a run's params on the large batch."""
    return jax.jit(jax.grad(run.scenario.loss))(run.params, run.scenario.big_batch())


@plain
def batch_grads(run: Run, steps: int, moving: bool) -> np.ndarray:
    """Return the flat gradients of the next steps, the params moving on or held fixed."""
    scenario, tx = run.scenario, run.scenario.make_tx()

    def step(carry: Any, count: jax.Array) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(scenario.loss)(params, scenario.batch(count))
        updates, state = tx.update(grads, state, params, value=value)
        moved = jax.tree.map(lambda p, u: p + u.astype(p.dtype), params, updates)
        return (moved, state) if moving else carry, ravel_pytree(grads)[0].astype(jnp.float32)

    counts = jnp.arange(run.count, run.count + steps, dtype=jnp.int32)
    start = (run.params, run.state)
    return np.asarray(jax.jit(lambda carry: jax.lax.scan(step, carry, counts)[1])(start), np.float64)


@plain
def sweep(scenario: Scenario, factors: tuple[float, ...]) -> list[np.ndarray]:
    """Return the losses of the run from its start, at each multiple of its learning rate."""
    return [run_scenario(scenario, tx=factor).losses for factor in factors]


@plain
def hessian(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalues and eigenvectors of the dense Hessian on the large batch, and the flat gradient."""
    flat, unravel = ravel_pytree(run.params)
    batch = run.scenario.big_batch()
    value = functools.partial(lambda x, b: run.scenario.loss(unravel(x), b), b=batch)
    matrix = np.asarray(jax.jit(jax.hessian(value))(flat), np.float64)
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return eigenvalues, vectors, np.asarray(jax.jit(jax.grad(value))(flat), np.float64)


def lag(run: Run) -> float:
    """Return the median cosine of consecutive gradients over 16 more steps."""
    g = batch_grads(run, 17, moving=True)
    size = np.linalg.norm(g, axis=1)
    return float(np.median(np.sum(g[1:] * g[:-1], axis=1) / (size[1:] * size[:-1])))


def group_sizes(run: Run, params: Any) -> dict[str, float]:
    """Return the gradient norm of each top-level key on the large batch."""
    grads = full_grad(dataclasses.replace(run, params=params))
    return {name: float(plain(norm)(g)) for name, g in grads.items()}
