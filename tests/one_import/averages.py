"""Keep a moving average of the parameters."""

import jax
import jax.numpy as jnp
import optax

solver, average = optax.rmsprop(0.1, momentum=0.9), optax.ema(0.9)
w = {"a": jnp.array([1.0, -1.0]), "b": jnp.array(2.0)}
state, kept, slow = solver.init(w), average.init(w), w
for i in range(6):
    grads = jax.grad(lambda w: jnp.sum(w["a"] ** 2) + w["b"] ** 2)(w)
    updates, state = solver.update(grads, state, w)
    w = optax.apply_updates(w, updates)
    mean, kept = average.update(w, kept)
    slow = optax.incremental_update(w, slow, 0.2)
    print(i, float(mean["b"]), float(slow["b"]), float(jnp.sum(mean["a"] ** 2)))
