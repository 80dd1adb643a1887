"""Private descent beyond its rows: real gradients of examples, bad batches, and what optax and a watch make of it."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gradtx

RNG = np.random.default_rng(2)
X, Y = jnp.asarray(RNG.standard_normal((16, 3))), jnp.asarray(RNG.standard_normal(16))
PARAMS = {"w": jnp.zeros(3), "b": jnp.zeros(())}


def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return (x @ params["w"] + params["b"] - y) ** 2


def examples(params: Any) -> Any:
    return jax.vmap(jax.grad(loss), (None, 0, 0))(params, X, Y)


def train(tx: Any, steps: int = 6) -> Any:
    params, state = PARAMS, tx.init(PARAMS)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(steps):
            updates, state = tx.update(examples(params), state, params)
            params = gradtx.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("momentum", [None, 0.9])
def test_training_agrees_with_optax(momentum: float | None) -> None:
    with pytest.warns(DeprecationWarning, match="seed"):
        theirs = optax.contrib.dpsgd(0.1, 1.0, 0.3, 5, momentum, True)
    chex.assert_trees_all_close(train(gradtx.dpsgd(0.1, 1.0, 0.3, 5, momentum, True)), train(theirs), rtol=1e-9)


def test_no_example_moves_a_parameter_by_more_than_its_share() -> None:
    tx = gradtx.differentially_private_aggregate(1.0, 0.0, key=0)
    grads = examples(PARAMS)
    mean, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    for size in (1e3, 1e25):
        one_is_huge = jax.tree.map(lambda g, size=size: g.at[0].multiply(size), grads)
        other, _ = tx.update(one_is_huge, tx.init(PARAMS), PARAMS)
        assert gradtx.global_norm(jax.tree.map(lambda a, b: a - b, mean, other)) <= 2.0 / 16


def test_one_example_that_is_not_finite_is_seen() -> None:
    tx = gradtx.differentially_private_aggregate(1.0, 0.0, key=0)
    updates, _ = tx.update({"w": jnp.ones((4, 2)).at[1, 0].set(jnp.inf)}, tx.init({"w": jnp.ones(2)}))
    assert np.all(np.isnan(updates["w"]))


@pytest.mark.parametrize(
    ("grads", "says"),
    [
        ({"w": jnp.ones(3), "b": jnp.ones(())}, r"grads\['b'\] has shape \(\), .* shape \(3,\)"),
        ({"w": jnp.ones((4, 3)), "b": jnp.ones(5)}, r"grads\['w'\] has shape \(4, 3\), .* 5 examples"),
        ({"w": jnp.ones((5, 2)), "b": jnp.ones(5)}, r"grads\['w'\] has shape \(5, 2\), .* shape \(5, 3\); .*vmap"),
        ({"w": jnp.ones((0, 3)), "b": jnp.ones(0)}, r"grads\['b'\] has shape \(0,\)"),
    ],
    ids=["no batch", "other batches", "other parameter", "nobody"],
)
def test_what_is_no_batch_is_an_error(grads: Any, says: str) -> None:
    tx = gradtx.dpsgd(0.1, 1.0, 0.3, key=5)
    with pytest.raises(ValueError, match=f"differentially_private_aggregate: {says}"):
        tx.update(grads, tx.init(PARAMS), PARAMS)


def test_inside_shard_map_is_an_error() -> None:
    tx = gradtx.differentially_private_aggregate(1.0, 0.3, key=5)
    mesh, spec = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2]), jax.P("x")
    run = jax.shard_map(lambda g: tx.update(g, tx.init(0.0))[0], mesh=mesh, in_specs=spec, out_specs=jax.P())
    with pytest.raises(ValueError, match=r"grads varies over the mesh axis .x..*outside shard_map"):
        run(jax.device_put(jnp.ones((4, 3)), jax.NamedSharding(mesh, spec)))


def test_the_rest_of_a_private_chain_can_be_watched() -> None:
    tx = gradtx.chain(gradtx.differentially_private_aggregate(1.0, 0.3, key=5), gradtx.watch(gradtx.adam(0.1)))
    _, state = tx.update(examples(PARAMS), tx.init(PARAMS), PARAMS)
    assert gradtx.metrics(state[1])
    seen = gradtx.hyperparams(tx, state)
    assert seen["differentially_private_aggregate.noise_multiplier"] == 0.3
    assert seen["scale_by_learning_rate.learning_rate"] == pytest.approx(0.1)


def test_examples_of_half_precision_are_summed_in_float32() -> None:
    tx = gradtx.differentially_private_aggregate(1e6, 0.0, key=5)
    grads = jnp.ones((1000, 2), jnp.bfloat16) * jnp.bfloat16(1.0)
    updates, _ = tx.update(grads, tx.init(jnp.ones(2, jnp.bfloat16)))
    assert updates.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(updates, np.float32), 1.0)


@pytest.mark.parametrize("size", [1e25, 1.0, 1e-25])
def test_clipping_is_right_where_squares_leave_float32(size: float) -> None:
    g = np.array([[3.0, 4.0], [0.3, 0.4]], np.float32) * np.float32(size)
    tx = gradtx.differentially_private_aggregate(np.float32(size), 0.0, key=0)
    with jax.enable_x64(False):
        updates, _ = tx.update(jnp.asarray(g), tx.init(jnp.zeros(2)))
    np.testing.assert_allclose(np.asarray(updates) / np.float32(size), [0.45, 0.6], rtol=1e-5)
