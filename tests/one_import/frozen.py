"""Freeze a part of the parameters, give another part an optimizer of its own."""

import jax
import jax.numpy as jnp
import optax

params = {"backbone": {"w": jnp.ones(3)}, "head": {"w": jnp.ones(2), "b": jnp.zeros(2)}}


def loss(params):
    """Return a quadratic of all parameters."""
    return sum(jnp.sum((x - 0.5) ** 2) for x in jax.tree.leaves(params))


def label(path, leaf):
    """Return the name of the optimizer of a parameter."""
    del leaf
    return "slow" if path[-1].key == "b" else "fast"


labels = jax.tree_util.tree_map_with_path(label, params)
groups = {"backbone": "keep", "head": "train"}
frozen = {"backbone": {"w": True}, "head": {"w": False, "b": False}}
moved = jax.tree.map(lambda still: not still, frozen)
solvers = [
    optax.partition({"fast": optax.adam(0.1), "slow": optax.sgd(0.01)}, labels),
    optax.multi_transform({"train": optax.adam(0.1), "keep": optax.set_to_zero()}, groups),
    optax.chain(optax.sgd(0.1), optax.freeze(frozen)),
    optax.chain(optax.masked(optax.sgd(0.1), moved), optax.scale(0.5)),
]
for solver in solvers:
    p, state = params, solver.init(params)
    for i in range(3):
        updates, state = solver.update(jax.grad(loss)(p), state, p)
        p = optax.apply_updates(p, updates)
        print(i, float(loss(p)), [float(jnp.sum(x)) for x in jax.tree.leaves(p)])
