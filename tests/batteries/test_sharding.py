"""Slots are sharded as their parameters, stay so, and a sharded run gives the numbers of one device."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

import gradtx
from tests.registry import ROWS, Row, of_quick_runs
from tests.registry.base import ELEMENTS

SHAPES = {"one_axis": (8, 3), "two_axes": (4, 6), "replicated": (5,), "scalar": ()}
SPECS = {
    "one_axis": PartitionSpec(("x", "y")),
    "two_axes": PartitionSpec("x", "y"),
    "replicated": PartitionSpec(),
    "scalar": PartitionSpec(),
}
QUICK = ["two_axes", "scalar"]  # what a row is tested on unless the run is exhaustive
STEPS = 3


@pytest.fixture(scope="module")
def shardings() -> dict[str, NamedSharding]:
    assert jax.device_count() == 8
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
    return {name: NamedSharding(mesh, spec) for name, spec in SPECS.items()}


def values(seed: int, names: Any = tuple(SHAPES)) -> dict[str, jax.Array]:
    generator = np.random.default_rng(seed)
    return {name: jnp.asarray(generator.normal(size=SHAPES[name]), jnp.float32) for name in names}


def check_shardings(tree: Any, shardings: dict[str, NamedSharding]) -> None:
    """Assert that each leaf under a parameter's name, of its shape, is sharded as the parameter."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        keys = [key.key for key in path if isinstance(key, jax.tree_util.DictKey) and key.key in SHAPES]
        if keys and leaf.shape == SHAPES[keys[-1]]:
            where = jax.tree_util.keystr(path)
            like = shardings[keys[-1]].with_memory_kind(leaf.sharding.memory_kind)
            assert leaf.sharding.is_equivalent_to(like, leaf.ndim), (where, leaf.sharding)


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(ROWS))
def test_slots_follow_their_parameters(row: Row, shardings: dict[str, NamedSharding], exhaustive: bool) -> None:
    tx = row.make()
    names = [name for name in (SHAPES if exhaustive else QUICK) if row.takes(SHAPES[name])]
    shardings = {name: shardings[name] for name in names}

    @jax.jit
    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **row.given(grads, params))
        return gradtx.apply_updates(params, updates), state

    params = values(0, names)
    alone, alone_state = params, tx.init(params)
    spread = jax.device_put(params, shardings)
    state = tx.init(spread)
    check_shardings(state, shardings)
    check_shardings(jax.jit(tx.init)(spread), shardings)
    for i in range(STEPS):
        grads = values(i + 1, names)
        with jax.disable_jit():  # operation by operation, which compiles nothing
            alone, alone_state = step(alone, alone_state, grads)
        spread, state = step(spread, state, jax.device_put(grads, shardings))
        check_shardings((spread, state), shardings)
    # what mixes a leaf's elements rounds by the largest of them
    atol = 1e-6 if ELEMENTS in row.laws else 1e-5
    got, wanted = jax.device_get(((spread, state), (alone, alone_state)))
    chex.assert_trees_all_close(got, wanted, rtol=1e-5, atol=atol)


@pytest.mark.share(4)
@pytest.mark.parametrize("row", of_quick_runs(ROWS))
@pytest.mark.parametrize("name", ["vector", "matrix"])
def test_types_that_hold_shardings_are_taken(row: Row, name: str) -> None:
    """An Explicit mesh: a vector that is split, and a matrix that each device holds, keep their types."""
    shape, spec = {"vector": ((8,), PartitionSpec("d")), "matrix": ((4, 6), PartitionSpec(None, None))}[name]
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Explicit,))
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))}
    tx = row.make()

    def step(params: Any, grads: Any) -> Any:
        updates, _ = tx.update(grads, tx.init(params), params, **row.given(grads, params))
        return gradtx.apply_updates(params, updates)

    with jax.set_mesh(mesh):
        new = jax.eval_shape(step, params, params) if row.takes(shape) else params
    assert new[name].sharding.spec == spec


def test_eager_update_keeps_shardings(shardings: dict[str, NamedSharding]) -> None:
    tx = gradtx.adamw(0.1)
    params, grads = (jax.device_put(values(seed), shardings) for seed in (0, 1))
    updates, state = tx.update(grads, tx.init(params), params)
    check_shardings((updates, state, gradtx.apply_updates(params, updates)), shardings)


def test_shapes_carry_shardings(shardings: dict[str, NamedSharding]) -> None:
    """`init` is compiled ahead for shapes with shardings, as a checkpoint is restored."""
    tx = gradtx.adam(0.1)
    shapes = {k: jax.ShapeDtypeStruct(v, jnp.float32, sharding=shardings[k]) for k, v in SHAPES.items()}
    compiled = jax.jit(tx.init).lower(shapes).compile()
    state = compiled(jax.device_put(values(0), shardings))
    check_shardings(state, shardings)


@pytest.mark.parametrize("size", [8, 80_000])
def test_a_clip_gathers_no_sharded_gradient(size: int) -> None:
    """Neither by the compiler, nor inside shard_map, nor where shardings are part of the type."""
    g = {"w": jnp.ones((8, size)), "b": jnp.ones(8)}
    tx = gradtx.clip_by_global_norm(1.0)
    state = tx.init(g)

    def clip(g: Any) -> Any:
        return tx.update(g, state)[0]

    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    placed = jax.device_put(g, jax.NamedSharding(mesh, jax.P("d")))
    compiled = jax.jit(clip).lower(placed).compile()
    assert "all-gather" not in compiled.as_text()
    over_all = gradtx.clip_by_global_norm(1.0, axis_name="d")
    shards = jax.shard_map(lambda g: over_all.update(g, state)[0], mesh=mesh, in_specs=jax.P("d"), out_specs=jax.P("d"))
    program = jax.jit(shards).lower(placed).compile()
    assert "all-gather" not in program.as_text()
    chex.assert_trees_all_close(program(placed), compiled(placed), rtol=1e-6)
    explicit = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(explicit):
        own = jax.jit(clip)(jax.device_put(g, jax.NamedSharding(explicit, jax.P("d"))))
        assert own["w"].sharding.spec == jax.P("d", None)
