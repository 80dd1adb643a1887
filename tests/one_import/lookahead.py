"""Look ahead: fast parameters run, slow ones follow."""

import jax
import jax.numpy as jnp
import optax


def loss(params):
    """Return a quadratic."""
    return jnp.sum(params["w"] ** 2 * jnp.array([1.0, 3.0])) + params["b"] ** 2


solver = optax.lookahead(optax.sgd(0.1, momentum=0.5), sync_period=3, slow_step_size=0.5)
params = optax.LookaheadParams.init_synced({"w": jnp.array([1.0, -1.0]), "b": jnp.array(2.0)})
state = solver.init(params)
for i in range(8):
    grads = jax.grad(loss)(params.fast)
    updates, state = solver.update(grads, state, params)
    params = optax.apply_updates(params, updates)
    print(i, float(loss(params.fast)), float(loss(params.slow)))
