"""A run interrupted at any step and resumed from its saved state, by a transform made anew, is bit for bit the same."""

import inspect
import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from tests.registry import ROWS, Row, of_quick_runs

STEPS = 6


def falling(count: Any) -> jax.Array:
    return 0.1 / (1.0 + jnp.asarray(count).astype(jnp.float32))


def make(row: Row) -> gradtx.Transform:
    """Return the row's transform, its rate a schedule where it has one."""
    arguments = inspect.signature(getattr(gradtx, row.public)).parameters
    return row.make(**({"learning_rate": falling} if "learning_rate" in arguments else {}))


def start(row: Row) -> dict[str, jax.Array]:
    w, half = jnp.linspace(-1.0, 1.0, 6).reshape(3, 2), jnp.linspace(0.5, 2.0, 4, dtype=jnp.bfloat16)
    return {"w": w if row.takes(w.shape) else w[None], "half": half if row.takes(half.shape) else half.reshape(2, 2)}


def stepper(row: Row, tx: gradtx.Transform) -> Callable[..., Any]:
    """Return the jitted step of a small regression."""

    def loss(params: Any, target: jax.Array) -> jax.Array:
        half = params["half"].astype(jnp.float64)
        return jnp.sum((params["w"] - target) ** 2) + jnp.sum(jnp.cos(half * target))

    @jax.jit
    def step(params: Any, state: Any, i: jax.Array) -> tuple[Any, Any]:
        grads = jax.grad(loss)(params, 0.3 * i)
        updates, state = tx.update(grads, state, params, **row.given(grads, params))
        return gradtx.apply_updates(params, updates), state

    return step


def saved(tree: Any) -> bytes:
    """Return a tree's leaves as the bytes of an npz file; half precision goes as its bits."""
    leaves = [np.asarray(x) for x in jax.tree.leaves(tree)]
    file = io.BytesIO()
    np.savez(file, *[x.view(np.uint16) if x.dtype == jnp.bfloat16 else x for x in leaves])
    return file.getvalue()


def loaded(data: bytes, like: Any) -> Any:
    """Return the tree saved, in the structure and dtypes of `like`."""
    file = np.load(io.BytesIO(data))
    leaves = [file[f"arr_{i}"] for i in range(len(file.files))]
    shapes, treedef = jax.tree.flatten(like)
    leaves = [x.view(s.dtype) if x.dtype == np.uint16 else x for x, s in zip(leaves, shapes, strict=True)]
    return treedef.unflatten([jnp.asarray(x) for x in leaves])


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(ROWS))
def test_resumed_run_is_the_same(row: Row) -> None:
    tx = make(row)
    step = stepper(row, tx)
    params, state = start(row), tx.init(start(row))
    kept = [saved((params, state))]
    for i in range(STEPS):
        params, state = step(params, state, jnp.float64(i))
        kept.append(saved((params, state)))
    anew = make(row)
    again = stepper(row, anew)
    like = jax.eval_shape(lambda: (start(row), anew.init(start(row))))
    for interrupted in range(STEPS):
        params, state = loaded(kept[interrupted], like)
        for i in range(interrupted, STEPS):
            params, state = again(params, state, jnp.float64(i))
            assert saved((params, state)) == kept[i + 1], (
                f"{row.name}: stopped at {interrupted}, differs after step {i}"
            )
