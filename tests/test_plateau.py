"""Reduce on plateau beyond its row: losses that fall and rise, negative ones, and what a watch shows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gradtx

LOSSES = [5.0, 4.0, 4.5, 4.2, 4.0, 3.9, 3.95, 3.9, 3.9, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def scales(tx: Any, losses: list[float]) -> list[float]:
    state, out, update = tx.init(jnp.ones(2)), [], jax.jit(tx.update)
    for loss in losses:
        u, state = update(jnp.ones(2), state, value=loss)
        out.append(float(u[0]))
    return out


@pytest.mark.parametrize(
    "settings",
    [
        {"patience": 2, "factor": 0.5},
        {"patience": 3, "cooldown": 2, "rtol": 0.1},
        {"patience": 1, "accumulation_size": 3, "atol": 0.2},
        {"patience": 1, "factor": 0.3, "min_scale": 0.05},
    ],
    ids=str,
)
def test_agrees_with_optax_on_a_loss_that_falls_and_rises(settings: dict[str, float]) -> None:
    with jax.numpy_dtype_promotion("standard"):
        theirs = scales(optax.contrib.reduce_on_plateau(**settings), LOSSES)
    np.testing.assert_allclose(scales(gradtx.reduce_on_plateau(**settings), LOSSES), theirs, rtol=1e-12)
    assert len(set(theirs)) > 1


def test_a_little_worse_is_not_better() -> None:
    worse = [-10.0, -9.9995, -9.999, -9.9985]
    assert scales(gradtx.reduce_on_plateau(0.5, patience=1), worse) == [1.0, 0.5, 0.25, 0.125]


def test_without_a_tolerance_any_smaller_value_is_better() -> None:
    tx = gradtx.reduce_on_plateau(0.5, patience=1, rtol=0.0)
    assert scales(tx, [1.0, 1.0 - 1e-12, 1.0 - 1e-12]) == [1.0, 1.0, 0.5]


def test_a_loss_that_is_no_number_is_not_better() -> None:
    assert scales(gradtx.reduce_on_plateau(0.5, patience=2), [1.0, np.nan, np.nan, 0.5]) == [1.0, 1.0, 0.5, 0.5]


def test_half_precision_does_not_round_the_scale() -> None:
    tx = gradtx.reduce_on_plateau(0.3, patience=1)
    state = tx.init(jnp.ones(2, jnp.bfloat16))
    for _ in range(3):
        u, state = tx.update(jnp.ones(2, jnp.bfloat16), state, value=1.0)
    assert u.dtype == jnp.bfloat16
    assert state.scale == pytest.approx(0.09, rel=1e-12)


def test_watch_shows_the_rate_that_was_reduced() -> None:
    tx = gradtx.watch(gradtx.chain(gradtx.adam(0.1), gradtx.reduce_on_plateau(0.5, patience=1)))
    params = jnp.ones(3)
    state = tx.init(params)
    for _ in range(3):
        _, state = tx.update(params, state, params, value=1.0)
    assert gradtx.metrics(state)["learning_rate"] == pytest.approx(0.05)  # the third step halves it once more
