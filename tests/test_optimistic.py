"""Optimistic Adam's first interface against optax's, which warns where it is made."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("settings", [{}, {"optimism": 0.5}, {"optimism": 2.0, "b1": 0.5, "nesterov": False}], ids=str)
def test_first_interface_agrees_with_optax(settings: dict[str, float]) -> None:
    ours = gradtx.optimistic_adam(0.1, **settings)
    with pytest.warns(DeprecationWarning, match="optimistic_adam"):
        theirs = optax.optimistic_adam(0.1, **settings)
    params = jnp.ones(5)
    states = [ours.init(params), theirs.init(params)]
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(12):
            g = jnp.asarray(RNG.standard_normal(5))
            updates, states = zip(
                *[tx.update(g, s, params) for tx, s in zip((ours, theirs), states, strict=True)], strict=True
            )
            chex.assert_trees_all_close(*updates, rtol=1e-9)


def test_an_event_beside_an_optimism_is_an_error() -> None:
    rate = gradtx.schedules.hold_until(0.1, 0.01, below=1.0)
    gradtx.optimistic_adam(rate)
    with pytest.raises(TypeError, match="scale_by_optimistic_gradient: alpha is an event schedule"):
        gradtx.optimistic_adam(rate, 1.0)
