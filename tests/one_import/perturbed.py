"""Differentiate through a choice by perturbations, curvature, and the assignment of workers to jobs."""

import jax
import jax.numpy as jnp
import optax

values = jnp.array([1.0, 1.3, 0.4])


def choice(x):
    """Return the one-hot vector of the largest."""
    return jax.nn.one_hot(jnp.argmax(x, axis=-1), 3)


soft = optax.perturbations.make_perturbed_fun(choice, num_samples=500, sigma=0.5, noise=optax.perturbations.Gumbel())
print([float(x) for x in soft(jax.random.key(0), values)])
grad = jax.grad(lambda x: soft(jax.random.key(0), x)[0])
solver = optax.sgd(0.5)
state = solver.init(values)
for i in range(3):
    updates, state = solver.update(-grad(values), state, values)
    values = optax.apply_updates(values, updates)
    print(i, [float(x) for x in values])


def loss(w, x, y):
    """Return a quadratic."""
    return jnp.sum(w**4) + jnp.sum(x * y)


print([float(v) for v in optax.second_order.hessian_diag(loss, values, values, values)])
rows, columns = optax.assignment.hungarian_algorithm(jnp.array([[1.0, 2.0], [0.5, 3.0]]))
print([int(i) for i in rows], [int(i) for i in columns])
