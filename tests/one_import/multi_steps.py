"""Accumulate the gradients of several small batches before one update."""

import jax
import jax.numpy as jnp
import optax


def loss(w, x):
    """Return the mean squared distance to the examples."""
    return jnp.mean((w - x) ** 2)


solver = optax.MultiSteps(optax.adamw(0.1), every_k_schedule=3)
w = jnp.array([1.0, -2.0])
state = solver.init(w)
batches = jax.random.normal(jax.random.key(0), (9, 4, 2))
for i, x in enumerate(batches):
    updates, state = solver.update(jax.grad(loss)(w, x), state, w)
    w = optax.apply_updates(w, updates)
    print(i, bool(solver.has_updated(state)), [float(v) for v in w])
