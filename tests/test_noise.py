"""Keys and noise beyond the rows: every kind of key, populations, shards, masks."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx._core.arrays.random import normal_like, threefry_normal

GRADS = {"w": jnp.ones((8, 3)), "b": jnp.zeros(4)}


def run(tx: gradtx.Transform, steps: int = 3) -> list[Any]:
    state, out = tx.init(GRADS), []
    for _ in range(steps):
        u, state = tx.update(GRADS, state)
        out.append(u)
    return out


@pytest.mark.parametrize(
    "key",
    [jax.random.key(7), jax.random.PRNGKey(7), np.asarray(jax.random.PRNGKey(7)), np.int64(7), jnp.uint32(7)],
    ids=["typed", "raw", "raw of NumPy", "integer of NumPy", "array"],
)
def test_every_kind_of_key_draws_the_same(key: Any) -> None:
    chex.assert_trees_all_equal(run(gradtx.add_noise(1.0, 0.5, key)), run(gradtx.add_noise(1.0, 0.5, seed=7)))


def test_a_key_of_another_generator_stays_one() -> None:
    tx = gradtx.noisy_sgd(0.1, key=jax.random.key(1, impl="rbg"))
    assert tx.init(GRADS)[0].key.shape == (4,)
    first, second = run(tx, 2)
    assert np.any(first["b"] != second["b"])
    assert str(tx).startswith("chain(add_noise(eta=0.01, gamma=0.55, key=<key>)")


def test_noise_has_the_variance_it_says() -> None:
    tx, zero = gradtx.add_noise(0.5, 1.0, key=2), jnp.zeros(100_000)
    state = tx.init(zero)
    for t in (1, 2, 3):
        u, state = tx.update(zero, state)
        np.testing.assert_allclose(jnp.var(u), 0.5 / t, rtol=0.02)


def test_a_population_draws_by_its_seeds() -> None:
    def first(seed: jax.Array) -> Any:
        tx = gradtx.add_noise(1.0, 0.5, seed)
        return tx.update(GRADS, tx.init(GRADS))[0]

    together = jax.vmap(first)(jnp.arange(3))
    alone = [run(gradtx.add_noise(1.0, 0.5, seed), 1)[0] for seed in range(3)]
    chex.assert_trees_all_close(together, jax.tree.map(lambda *x: jnp.stack(x), *alone), rtol=1e-12)


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_a_sharded_leaf_gets_the_noise_of_one_device(kind: str) -> None:
    tx = gradtx.add_noise(1.0, 0.5, key=3)
    mesh = jax.make_mesh((8,), ("x",), axis_types=(getattr(jax.sharding.AxisType, kind),))
    placed = jax.device_put(GRADS["w"], jax.NamedSharding(mesh, jax.P("x")))
    with jax.set_mesh(mesh):
        u, _ = jax.jit(tx.update)(placed, tx.init(placed))
    assert u.sharding.is_equivalent_to(placed.sharding, 2)
    chex.assert_trees_all_close(jax.device_get(u), tx.update(GRADS["w"], tx.init(GRADS["w"]))[0], rtol=1e-12)


def test_shards_inside_shard_map_draw_their_own() -> None:
    mesh, spec = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2]), jax.P("x")
    zero = jax.device_put(jnp.zeros(6), jax.NamedSharding(mesh, spec))
    draw = jax.shard_map(lambda x: normal_like(jax.random.key(0), x), mesh=mesh, in_specs=spec, out_specs=spec)
    one, other = np.split(np.asarray(draw(zero)), 2)
    assert np.all(one != other)


def test_none_leaves_draw_nothing() -> None:
    tx = gradtx.add_noise(1.0, 0.5, key=3)
    u, _ = tx.update({**GRADS, "a": None}, tx.init({**GRADS, "a": None}))
    chex.assert_trees_all_equal({name: u[name] for name in GRADS}, run(tx, 1)[0])


def test_each_leaf_of_a_mask_gets_its_own_entry_of_a_list() -> None:
    def whole_tree(k: Any, tree: Any) -> Any:
        del k
        return {"place": [float(i) for i, _ in enumerate(tree.grads)]}, {}

    rule = gradtx.Rule("place", lambda g, slots, p, k: (0 * g + k.place, slots), whole_tree=whole_tree)
    tx = gradtx.leafwise(rule, mask={"a": True, "b": False, "c": True})
    grads = {name: jnp.full(2, 9.0) for name in "abc"}
    u, _ = tx.update(grads, tx.init(grads), grads)
    assert [float(u[name][0]) for name in "abc"] == [0.0, 9.0, 1.0]


@pytest.mark.parametrize("shape", [(), (7,), (3, 0), (300, 400)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_the_numbers_are_those_of_jax(shape: tuple[int, ...], dtype: str) -> None:
    key, x = jax.random.key(5), jnp.ones(shape, dtype)
    chex.assert_trees_all_equal(jax.jit(normal_like)(key, x), jax.random.normal(key, shape, dtype))
    if dtype == "float32":
        drawn = threefry_normal(jax.random.key_data(key), shape)
        chex.assert_trees_all_equal(drawn, jax.random.normal(key, shape, dtype))


def test_another_kind_of_key_draws_its_own_numbers() -> None:
    key, x = jax.random.key(5, impl="rbg"), jnp.ones(9, jnp.float32)
    chex.assert_trees_all_equal(jax.jit(normal_like)(key, x), jax.random.normal(key, (9,), jnp.float32))
