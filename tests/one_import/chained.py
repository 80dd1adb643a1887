"""Clip, scale by Adam, follow a schedule: a chain of one's own beside a whole optimizer."""

import jax
import jax.numpy as jnp
import optax

schedule = optax.warmup_cosine_decay_schedule(init_value=0.0, peak_value=0.3, warmup_steps=3, decay_steps=12)
own = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.scale_by_adam(),
    optax.add_decayed_weights(1e-2),
    optax.scale_by_schedule(schedule),
    optax.scale(-1.0),
)
whole = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=1e-2))


def loss(params):
    """Return Rosenbrock's function."""
    x, y = params["x"], params["y"]
    return jnp.sum(100 * (y - x**2) ** 2 + (1 - x) ** 2)


for solver in (own, whole):
    params = {"x": jnp.array([-1.0, 0.5]), "y": jnp.array([1.0, 0.0])}
    state = solver.init(params)
    for i in range(12):
        updates, state = solver.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        print(i, float(loss(params)))
print([float(schedule(i)) for i in range(14)])
