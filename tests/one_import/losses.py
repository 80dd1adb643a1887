"""Losses, and projections after each step."""

import jax
import jax.numpy as jnp
import optax
from optax import losses, projections

x, y = jnp.array([0.2, -1.0, 3.0]), jnp.array([0.0, 1.0, 1.0])
print(float(optax.l2_loss(x, y).mean()), float(optax.huber_loss(x, y).sum()))
print(float(optax.hinge_loss(x, 2 * y - 1).sum()), float(optax.log_cosh(x, y).mean()))
print(float(losses.sigmoid_binary_cross_entropy(x, y).mean()), float(optax.cosine_similarity(x, y)))
print(float(optax.kl_divergence(jax.nn.log_softmax(x), jax.nn.softmax(y))), float(losses.poly_loss_cross_entropy(x, y)))
print([float(v) for v in optax.smooth_labels(jnp.array([0.0, 1.0]), 0.1)])
solver, w = optax.sgd(0.3), jnp.array([0.2, 0.3, 0.5])
state = solver.init(w)
for i in range(4):
    updates, state = solver.update(jax.grad(lambda w: jnp.dot(w, x) + jnp.sum(w**2))(w), state, w)
    w = projections.projection_simplex(optax.apply_updates(w, updates))
    print(i, [float(v) for v in w])
print([float(v) for v in optax.projections.projection_l2_ball(x, 0.5)], float(optax.safe_norm(jnp.zeros(3), 0.1)))
