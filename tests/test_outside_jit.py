"""Outside jit: masks stay live, and leaves may live on devices of their own."""

import jax
import jax.numpy as jnp

import gradtx


def test_a_mask_may_look_at_the_numbers_and_change_outside_jit():
    on = [True]
    tx = gradtx.add_decayed_weights(
        1.0, mask=lambda params: jax.tree.map(lambda p: on[0] and p[p > 0].size > 2, params)
    )
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    state = tx.init(params)
    updates, _ = tx.update(params, state, params)
    assert [updates["a"][0], updates["b"][0]] == [1.0, 2.0]
    on[0] = False
    updates, _ = tx.update(params, state, params)
    assert [updates["a"][0], updates["b"][0]] == [1.0, 1.0]


def test_leaves_may_live_on_devices_of_their_own_outside_jit():
    params = {key: jax.device_put(jnp.ones(3), device) for key, device in zip("ab", jax.devices(), strict=False)}
    tx = gradtx.trace(0.9)
    updates, state = tx.update(params, tx.init(params), params)
    for key, device in zip("ab", jax.devices(), strict=False):
        assert updates[key].devices() == state.slots["trace"][key].devices() == {device}
