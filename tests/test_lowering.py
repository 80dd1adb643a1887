"""Every row's step lowers for CPU, CUDA and TPU."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import export

import gradtx
from tests.registry import ROWS, Row

PLATFORMS = ("cpu", "cuda", "tpu")
PARAMS = {"w": jax.ShapeDtypeStruct((3, 2), jnp.float32), "half": jax.ShapeDtypeStruct((4,), jnp.bfloat16)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_step_lowers_everywhere(row: Row) -> None:
    tx = row.make()

    def run(params: Any, grads: Any) -> Any:
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(grads, state, params, **row.extra)
            params = gradtx.apply_updates(params, updates)
        return params, state

    lowered = export.export(jax.jit(run), platforms=PLATFORMS)(PARAMS, PARAMS)
    assert lowered.platforms == PLATFORMS
    assert [a.shape for a in jax.tree.leaves(lowered.out_avals[:2])] == [p.shape for p in jax.tree.leaves(PARAMS)]
