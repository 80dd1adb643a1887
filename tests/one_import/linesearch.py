"""Search along the gradient for a step that decreases the function enough."""

import jax
import jax.numpy as jnp
import optax


def f(w):
    """Return a badly scaled quadratic."""
    return jnp.sum(w**2 * jnp.array([1.0, 10.0, 0.5]))


for search in (optax.scale_by_backtracking_linesearch(max_backtracking_steps=15), optax.scale_by_zoom_linesearch(15)):
    solver = optax.chain(optax.sgd(learning_rate=1.0), search)
    w = jnp.array([1.0, 1.0, 1.0])
    state = solver.init(w)
    for i in range(5):
        value, grad = jax.value_and_grad(f)(w)
        updates, state = solver.update(grad, state, w, value=value, grad=grad, value_fn=f)
        w = optax.apply_updates(w, updates)
        print(i, float(f(w)), float(optax.tree_utils.tree_get(state, "learning_rate")))
