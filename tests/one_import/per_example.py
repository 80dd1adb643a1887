"""Clip the gradient of each example."""

import jax
import jax.numpy as jnp
import optax

grads = {"w": jax.random.normal(jax.random.key(0), (4, 3)), "b": jnp.array([3.0, 0.1, -2.0, 0.0])}
leaves, treedef = jax.tree.flatten(grads)
clipped, count = optax.per_example_global_norm_clip(leaves, 1.0)
print([float(jnp.sum(x)) for x in clipped], int(count))
clipped, counts = optax.per_example_layer_norm_clip(leaves, 1.0, uniform=True)
print([float(jnp.sum(x)) for x in clipped], [int(c) for c in counts])
solver = optax.chain(optax.clip(0.5), optax.adaptive_grad_clip(0.1), optax.sgd(0.1))
params = {"w": jnp.ones(3), "b": jnp.ones(())}
updates, _ = solver.update(treedef.unflatten(clipped), solver.init(params), params)
print([float(jnp.sum(x)) for x in jax.tree.leaves(updates)])
