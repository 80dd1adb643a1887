"""Train with privacy: gradients of each example, clipped, with noise (of no size here, so that runs compare)."""

import jax
import jax.numpy as jnp
import optax
import optax.contrib


def loss(params, x, y):
    """Return the loss of one example."""
    return optax.losses.sigmoid_binary_cross_entropy(jnp.dot(params["w"], x) + params["b"], y)


x = jax.random.normal(jax.random.key(0), (8, 3))
y = (x[:, 0] > 0).astype(jnp.float32)
solver = optax.contrib.dpsgd(learning_rate=0.5, l2_norm_clip=0.3, noise_multiplier=0.0, seed=1)
params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
state = solver.init(params)
per_example = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))
for i in range(5):
    updates, state = solver.update(per_example(params, x, y), state, params)
    params = optax.apply_updates(params, updates)
    print(i, float(jnp.mean(jax.vmap(loss, in_axes=(None, 0, 0))(params, x, y))))
