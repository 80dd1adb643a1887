"""A short run whose gradients depend on the parameters, on optax's protocol."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

STEPS = 5


def start(dtype: str = "float64") -> Any:
    """Return parameters of three shapes in a nested tree."""
    rng = np.random.default_rng(0)
    layer = {"w": jnp.asarray(rng.normal(size=(3, 2)), dtype), "b": jnp.asarray(rng.normal(size=2), dtype)}
    return {"mlp": [layer, {"w": jnp.asarray(rng.normal(size=(2, 4)), dtype)}], "scale": jnp.asarray(0.7, dtype)}


def gradients(params: Any, step: int) -> Any:
    """Return gradients that no two steps have in common."""
    return jax.tree.map(lambda p: p * (1.0 + 0.1 * step) + 0.3 * math.cos(step + 1.0), params)


def go(tx: Any, params: Any, state: Any, first: int, steps: int = STEPS) -> tuple[Any, Any]:
    """Return the parameters and the state after some steps."""
    for step in range(first, first + steps):
        with jax.numpy_dtype_promotion("standard"):  # optax needs it
            updates, state = tx.update(gradients(params, step), state, params)
            params = optax.apply_updates(params, updates)
    return params, state


def assert_close(one: Any, other: Any, rtol: float = 1e-12) -> None:
    """Raise unless two trees agree."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=rtol)
