"""Sharpness-aware minimisation, both ways of calling it."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib


def loss(w):
    """Return a function with a sharp and a flat minimum."""
    return -jnp.exp(-20 * (w - 1.0) ** 2) - 0.9 * jnp.exp(-((w + 1.0) ** 2))


inner, adversary = optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
step_by_step = optax.contrib.sam(inner, adversary, sync_period=2)
opaque = optax.contrib.sam(inner, adversary, sync_period=2, opaque_mode=True)
for solver in (step_by_step, opaque):
    w = jnp.array(0.6)
    state = solver.init(w)
    for i in range(8):
        extra = {"grad_fn": lambda p, _: jax.grad(loss)(p)} if solver is opaque else {}
        updates, state = solver.update(jax.grad(loss)(w), state, w, **extra)
        w = optax.apply_updates(w, updates)
        print(i, float(w))
