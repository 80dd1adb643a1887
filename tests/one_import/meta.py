"""Learn a rate by differentiating through the updates of an optimizer."""

import jax
import jax.numpy as jnp
import optax


def loss(w, shift):
    """Return a quadratic."""
    return jnp.sum((w - shift) ** 2)


def trained(log_rate, w, shift):
    """Return the loss after some steps at a rate."""
    solver = optax.adam(learning_rate=jnp.exp(log_rate))
    state = solver.init(w)
    for _ in range(5):
        updates, state = solver.update(jax.grad(loss)(w, shift), state, w)
        w = optax.apply_updates(w, updates)
    return loss(w, shift)


outer = optax.adam(0.2)
log_rate = jnp.array(-3.0)
state = outer.init(log_rate)
start, shift = jnp.array([0.0, 1.0]), jnp.array([1.0, -1.0])
for i in range(6):
    value, slope = jax.value_and_grad(trained)(log_rate, start, shift)
    updates, state = outer.update(slope, state)
    log_rate = optax.apply_updates(log_rate, updates)
    print(i, float(value), float(slope), float(log_rate))
