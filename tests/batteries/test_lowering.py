"""Every row's step lowers for CPU, CUDA and TPU."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import export

import gradtx
from tests.registry import ROWS, Row, of_quick_runs
from tests.registry.base import SHAPES

PLATFORMS = ("cpu", "cuda", "tpu")


def shapes_of(row: Row) -> dict[str, jax.ShapeDtypeStruct]:
    """Return a leaf in each of two dtypes, in shapes that the row takes."""
    one, other = ((3, 2) if row.takes((3, 2)) else SHAPES[row.shapes[0]], (4,) if row.takes((4,)) else (4, 2))
    return {"w": jax.ShapeDtypeStruct(one, jnp.float32), "half": jax.ShapeDtypeStruct(other, jnp.bfloat16)}


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(ROWS))
def test_step_lowers_everywhere(row: Row) -> None:
    tx, like = row.make(), shapes_of(row)

    def run(params: Any, grads: Any) -> Any:
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(grads, state, params, **row.given(grads, params))
            params = gradtx.apply_updates(params, updates)
        return params, state

    lowered = export.export(jax.jit(run), platforms=PLATFORMS)(like, like)
    assert lowered.platforms == PLATFORMS
    assert [a.shape for a in jax.tree.leaves(lowered.out_avals[:2])] == [p.shape for p in jax.tree.leaves(like)]
