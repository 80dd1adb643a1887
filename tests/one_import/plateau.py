"""Reduce the rate where the loss stays."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib


def loss(w):
    """Return a function that a large rate cannot minimise."""
    return jnp.sum(jnp.abs(w - 0.3))


solver = optax.chain(optax.sgd(0.4), optax.contrib.reduce_on_plateau(factor=0.5, patience=2, rtol=1e-3))
w = jnp.array([1.0, -1.0])
state = solver.init(w)
for i in range(20):
    value, grads = jax.value_and_grad(loss)(w)
    updates, state = solver.update(grads, state, w, value=value)
    w = optax.apply_updates(w, updates)
    print(i, float(value), float(optax.tree_utils.tree_get(state, "scale")))
