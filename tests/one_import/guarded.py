"""Skip what is not finite, and see what goes through the chain."""

import jax.numpy as jnp
import optax

solver = optax.apply_if_finite(optax.chain(optax.clip(1.0), optax.adam(0.1)), max_consecutive_errors=5)
w = jnp.array([1.0, 2.0])
state = solver.init(w)
for i, g in enumerate([1.0, jnp.nan, 2.0, jnp.inf, 0.5]):
    updates, state = solver.update(jnp.full(2, g), state, w)
    w = optax.apply_updates(w, updates)
    print(i, [float(x) for x in w])
doubled = optax.tree_map_params(solver, lambda x: x * 2, state)
print(float(optax.tree.get(state, "nu")[0]), float(optax.tree.get(doubled, "nu")[0]))

every = optax.chain(optax.apply_every(2), optax.sgd(0.1))
state = every.init(w)
for i in range(4):
    updates, state = every.update(jnp.ones(2), state, w)
    print(i, [float(x) for x in updates])
