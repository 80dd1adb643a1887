"""Objectives for tests of methods that evaluate one."""

from typing import Any

import jax
import jax.numpy as jnp


def rosenbrock(p: jax.Array) -> jax.Array:
    """Return the valley of Rosenbrock 1960, whose minimum of 0 is at (1, ..., 1)."""
    return jnp.sum(100.0 * (p[1:] - p[:-1] ** 2) ** 2 + (1.0 - p[:-1]) ** 2)


def bowl(tree: Any) -> jax.Array:
    """Return a convex quadratic of a tree whose leaves have something to do with each other."""
    scale = jnp.asarray([1.0, 10.0, 100.0], tree["w"].dtype)
    return jnp.sum(scale * tree["w"] ** 2) + 7.0 * (tree["b"] - 3.0) ** 2 + tree["w"][0] * tree["b"]


ROSENBROCK = jnp.array([-1.2, 1.0])
BOWL = {"w": jnp.ones(3), "b": jnp.array(-1.0)}


def train(library: Any, tx: Any, f: Any, p: Any, steps: int, *, jit: bool = True) -> list[tuple[Any, Any, Any]]:
    """Return the params, the value before the step and the state of each step of a search."""
    value_and_grad = library.value_and_grad_from_state(f)

    def step(p: Any, state: Any) -> Any:
        value, grad = value_and_grad(p, state=state)
        # the way uphill is the conjugate of what jax gives
        u, state = tx.update(jax.tree.map(jnp.conj, grad), state, p, value=value, grad=grad, value_fn=f)
        return jax.tree.map(lambda a, b: a + b, p, u), value, state

    run, state, seen = jax.jit(step) if jit else step, tx.init(p), []
    for _ in range(steps):
        p, value, state = run(p, state)
        seen.append((p, value, state))
    return seen
