"""Train a small network on images of digits by Adam, in minibatches."""

import jax
import jax.numpy as jnp
import optax


def init(key, sizes):
    """Return weights and biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
    return [{"w": jax.random.normal(k, (m, n)) / jnp.sqrt(m), "b": jnp.zeros(n)} for m, n, k in pairs]


def logits(params, x):
    """Return what the network says."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def loss(params, x, y):
    """Return the mean cross entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


x = jax.random.normal(jax.random.key(0), (64, 16))
y = jnp.argmax(x @ jax.random.normal(jax.random.key(1), (16, 4)), axis=1)
params = init(jax.random.key(2), [16, 32, 4])
solver = optax.adam(learning_rate=0.01)
state = solver.init(params)


@jax.jit
def step(params, state, x, y):
    """Take one step."""
    value, grads = jax.value_and_grad(loss)(params, x, y)
    updates, state = solver.update(grads, state, params)
    return optax.apply_updates(params, updates), state, value


for epoch in range(4):
    for i in range(0, 64, 16):
        params, state, value = step(params, state, x[i : i + 16], y[i : i + 16])
    print("epoch", epoch, "loss", float(value), "norm", float(optax.global_norm(params)))
