"""Minimise a function by L-BFGS: the value and gradient of the line search are used again."""

import jax
import jax.numpy as jnp
import optax


def f(w):
    """Return a function with its minimum where w_i = i / 10."""
    return jnp.sum(jnp.cosh(w - jnp.arange(6.0) / 10) * jnp.arange(1.0, 7.0))


solver = optax.lbfgs()
value_and_grad = optax.value_and_grad_from_state(f)


def step(carry):
    """Take one step."""
    params, state = carry
    value, grad = value_and_grad(params, state=state)
    updates, state = solver.update(grad, state, params, value=value, grad=grad, value_fn=f)
    return optax.apply_updates(params, updates), state


def goes_on(carry):
    """Return True while the gradient is large."""
    _, state = carry
    count = state[0].count
    grad = optax.tree_utils.tree_get(state, "grad")
    return (count == 0) | ((count < 30) & (optax.tree_utils.tree_norm(grad) >= 1e-3))


params = jnp.ones(6)
params, state = jax.lax.while_loop(goes_on, step, (params, solver.init(params)))
print("value", float(f(params)), "minimiser", [round(float(x), 3) for x in params])
