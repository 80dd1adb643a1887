"""Hyperparameters in the state: read a schedule's value, set another rate between steps."""

import jax.numpy as jnp
import optax

schedule = optax.linear_schedule(0.1, 0.0, 5)
solver = optax.inject_hyperparams(optax.adam)(learning_rate=schedule, b1=0.8)
w = jnp.array([1.0, 2.0])
state = solver.init(w)
for i in range(4):
    updates, state = solver.update(w, state, w)
    w = optax.apply_updates(w, updates)
    print(i, float(state.hyperparams["learning_rate"]), float(state.hyperparams["b1"]), [float(x) for x in w])

solver = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)
state = solver.init(w)
for rate in (0.5, 0.25, 0.125):
    state.hyperparams["learning_rate"] = jnp.asarray(rate)
    updates, state = solver.update(w, state, w)
    w = optax.apply_updates(w, updates)
    print(rate, [float(x) for x in w])
