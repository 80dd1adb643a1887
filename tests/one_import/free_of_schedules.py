"""Train without a schedule, evaluate at the average."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib


def loss(w):
    """Return a quadratic."""
    return jnp.sum((w - jnp.array([1.0, 2.0])) ** 2)


for solver in (optax.contrib.schedule_free_sgd(0.2), optax.contrib.schedule_free(optax.sgd(0.2), learning_rate=0.2)):
    w = jnp.zeros(2)
    state = solver.init(w)
    for i in range(6):
        updates, state = solver.update(jax.grad(loss)(w), state, w)
        w = optax.apply_updates(w, updates)
        average = optax.contrib.schedule_free_eval_params(state, w)
        print(i, float(loss(w)), float(loss(average)))
