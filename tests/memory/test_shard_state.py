"""The state in shards: its bytes, its bits, what is gathered, one compile, and what cannot be."""

import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.sharding import AxisType, NamedSharding

import gradtx
from gradtx._core.arrays.compat import mesh_of_array, mesh_of_context
from tests.memory.hlo import collectives, on_one_device

P = jax.P
SHAPES = {"w": (16, 24), "v": (3, 40), "b": (7,), "s": ()}


def mesh_of(kind: AxisType, sizes: tuple[int, ...] = (8,), names: tuple[str, ...] = ("data",)) -> Any:
    return jax.make_mesh(sizes, names, axis_types=(kind,) * len(names))


AUTO, EXPLICIT = (mesh_of(kind) for kind in (AxisType.Auto, AxisType.Explicit))


def tree(seed: int = 0, dtype: Any = jnp.float32) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def full(spec: Any, x: Any) -> Any:
    return P(*spec, *[None] * (x.ndim - len(spec)))


def put(x: Any, mesh: Any, spec: Any = ()) -> Any:
    """Return a tree on a mesh, its specs written out as types of an Explicit mesh are."""
    return jax.tree.map(lambda leaf: jax.device_put(leaf, NamedSharding(mesh, full(spec, leaf))), x)


def step_of(tx: Any) -> Any:
    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    return step


def compiled_step(tx: Any, p: Any, state: Any) -> Any:
    where = jax.tree.map(lambda x: x.sharding, (p, state))
    return jax.jit(step_of(tx), donate_argnums=(0, 1), out_shardings=where)


def run(tx: Any, p: Any, place: Any, steps: int = 4) -> tuple[Any, Any, Any]:
    """Return params and state after some donated steps, and the step."""
    p = jax.tree.map(jnp.copy, p)
    state = tx.init(p)
    step = compiled_step(tx, p, state)
    for i in range(steps):
        p, state = step(p, state, place(tree(i + 1, jax.tree.leaves(p)[0].dtype)))
    return p, state, step


def bits(x: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(x)]


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
@pytest.mark.parametrize("mesh", [AUTO, EXPLICIT], ids=["auto", "explicit"])
def test_an_eighth_of_the_state_and_the_same_bits(mesh: Any, library: Any) -> None:
    """Compiled once over all steps; what the axis does not divide stays whole; the params stay where they lay."""
    inner = library.adamw(1e-2)
    tx = gradtx.shard_state(inner, mesh=mesh)
    start = tree()
    with jax.numpy_dtype_promotion("standard"):  # which optax needs
        wanted = run(inner, start, lambda g: g)
        p, state, step = run(tx, put(start, mesh), lambda g: put(g, mesh))
    if library is gradtx:
        assert bits((p, state)) == bits(wanted[:2])
    else:  # XLA fuses a product and a sum of optax's step in a shard of 5 columns and not in rows of 40
        chex.assert_trees_all_close(jax.device_get((p, state)), jax.device_get(wanted[:2]), rtol=1e-6)
    assert jax.tree.structure(state) == jax.tree.structure(wanted[1])
    assert step._cache_size() == 1
    whole = sum(2 * 4 * start[name].size for name in ("b", "s"))
    counts = sum(x.nbytes for x in jax.tree.leaves(state) if x.dtype == jnp.int32)
    split = sum(2 * 4 * start[name].size for name in ("w", "v"))
    assert on_one_device(state) == split // 8 + whole + counts
    assert on_one_device(jax.jit(tx.init)(p)) == on_one_device(state)
    assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(p))
    mu = gradtx.tree.get(state, "mu")
    assert [tuple(mu[name].sharding.spec)[:2] for name in ("w", "v")] in (
        [("data", None), (None, "data")],
        [("data",), (None, "data")],
    )


@pytest.mark.parametrize("mesh", [AUTO, EXPLICIT], ids=["auto", "explicit"])
def test_a_clip_sees_the_norm_of_all_shards(mesh: Any) -> None:
    inner = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-2))
    wanted = run(inner, tree(), lambda g: g)[:2]
    got = run(gradtx.shard_state(inner, mesh=mesh), put(tree(), mesh), lambda g: put(g, mesh))[:2]
    chex.assert_trees_all_close(jax.device_get(got), jax.device_get(wanted), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mesh", [AUTO, EXPLICIT], ids=["auto", "explicit"])
def test_params_alone_are_gathered(mesh: Any) -> None:
    """No more than the new params come together, and of gradients that each device has, nothing is summed."""
    p = put(tree(), mesh)
    tx = gradtx.shard_state(gradtx.adamw(1e-2))
    state = tx.init(p)
    step = compiled_step(tx, p, state).lower(p, state, p).compile()
    model = sum(p[name].nbytes for name in ("w", "v"))
    assert collectives(step) == {"all-gather": model}
    updates = jax.jit(lambda g, state, p: tx.update(g, state, p)).lower(p, state, p).compile()
    assert collectives(updates) == {}


def test_outside_jit_and_under_set_mesh() -> None:
    for mesh in (AUTO, EXPLICIT):
        with jax.set_mesh(mesh):
            tx = gradtx.shard_state(gradtx.adamw(1e-2))
            p = put(tree(), mesh)
            state = tx.init(tree())  # of params that lie on no mesh
            u, state = tx.update(p, state, p)
            new = gradtx.apply_updates(p, u)
        assert {len(x.sharding.device_set) for x in jax.tree.leaves(state)} == {8}
        assert u["w"].addressable_shards[0].data.shape == (2, 24)
        assert new["w"].sharding.is_fully_replicated
        wanted = gradtx.adamw(1e-2)
        u, _ = wanted.update(tree(), wanted.init(tree()), tree())
        assert bits(new) == bits(gradtx.apply_updates(tree(), u))


def test_the_mesh_of_the_context_is_read_from_an_array_where_jax_does_not_give_it() -> None:
    assert mesh_of_array().empty
    assert mesh_of_context().empty
    for mesh in (AUTO, EXPLICIT):
        with jax.set_mesh(mesh):
            assert mesh_of_array() == mesh_of_context() == mesh


def test_a_scan_keeps_the_shards() -> None:
    inner = gradtx.adamw(1e-2)
    gs = jax.tree.map(lambda *xs: jnp.stack(xs), *[tree(i + 1) for i in range(4)])

    def scanned(tx: Any, p: Any, gs: Any) -> tuple[Any, Any]:
        step, state = step_of(tx), tx.init(p)

        def scan(p: Any, state: Any, gs: Any) -> Any:
            return lax.scan(lambda carry, g: (step(*carry, g), None), (p, state), gs)[0]

        where = jax.tree.map(lambda x: x.sharding, (p, state))
        program = jax.jit(scan, out_shardings=where).lower(p, state, gs).compile()
        return program, program(p, state, gs)

    program, got = scanned(gradtx.shard_state(inner), put(tree(), AUTO), put(gs, AUTO))
    assert set(collectives(program)) == {"all-gather"}
    assert bits(got) == bits(scanned(inner, tree(), gs)[1])


def test_params_that_are_split_are_split_once_more() -> None:
    """FSDP over one axis and the state over two, under jit by specs; gathered over the second axis alone."""
    mesh = mesh_of(AxisType.Auto, (2, 4), ("data", "fsdp"))
    specs = {"w": P("fsdp"), "v": P(None, "fsdp"), "b": P(), "s": P()}
    p = {name: put(x, mesh, specs[name]) for name, x in tree().items()}
    tx = gradtx.shard_state(gradtx.adamw(1e-2), specs=specs)
    state = tx.init(p)
    assert gradtx.tree.get(state, "mu")["w"].addressable_shards[0].data.shape == (2, 24)
    assert gradtx.tree.get(state, "mu")["v"].addressable_shards[0].data.shape == (3, 5)
    step = compiled_step(tx, p, state)
    model = sum(p[name].nbytes for name in ("w", "v"))
    assert collectives(step.lower(p, state, p).compile()) == {"all-gather": model // 4}
    for i in range(4):
        p, state = step(p, state, {name: put(x, mesh, specs[name]) for name, x in tree(i + 1).items()})
    assert step._cache_size() == 1
    assert bits((p, state)) == bits(run(gradtx.adamw(1e-2), tree(), lambda g: g)[:2])


def test_a_checkpoint_of_either_is_one_of_the_other() -> None:
    tx, inner = gradtx.shard_state(gradtx.adamw(1e-2), mesh=AUTO), gradtx.adamw(1e-2)
    p, state, _ = run(tx, put(tree(), AUTO), lambda g: put(g, AUTO), 2)
    leaves = [np.asarray(x) for x in jax.tree.leaves((p, state))]
    structure = jax.tree.structure((tree(), inner.init(tree())))
    alone, kept = structure.unflatten(map(jnp.asarray, pickle.loads(pickle.dumps(leaves))))
    step = jax.jit(step_of(inner))
    for i in (2, 3):
        alone, kept = step(alone, kept, tree(i + 1))
    assert bits((alone, kept)) == bits(run(tx, put(tree(), AUTO), lambda g: put(g, AUTO), 4)[:2])


def test_leaves_that_are_no_arrays_pass() -> None:
    p = {"w": put(jnp.ones((8, 2)), AUTO), "none": None, "n": put(jnp.arange(8), AUTO)}
    g = {"w": p["w"], "none": None, "n": np.zeros(8, jax.dtypes.float0)}
    tx = gradtx.shard_state(gradtx.sgd(1.0, momentum=0.9))
    u, _ = jax.jit(tx.update)(g, tx.init(p), p)
    assert u["none"] is None
    assert u["w"].tolist() == [[-1.0, -1.0]] * 8
    u, _ = tx.update({"w": p["w"]}, tx.init({"w": p["w"]}))  # without params
    assert u["w"].sharding.spec[0] == "data"


def test_bad_input_names_path_and_remedy() -> None:
    p = {"w": put(jnp.ones((8, 6)), AUTO)}
    adam = gradtx.adam(0.1)
    with pytest.raises(ValueError, match=r"shard_state: axis = 'fsdp' is no axis of the mesh \('data',\)"):
        gradtx.shard_state(adam, "fsdp", mesh=AUTO)
    with pytest.raises(ValueError, match=r"shard_state: axis = 'x' is no axis of the mesh"):
        gradtx.shard_state(adam, "x").init(p)
    with pytest.raises(ValueError, match=r"shard_state: mesh is None, .* expected a mesh"):
        gradtx.shard_state(adam).init({"w": jnp.ones(8)})
    with pytest.raises(TypeError, match=r"shard_state: axis is int, expected the name"):
        gradtx.shard_state(adam, 0, mesh=AUTO)
    with pytest.raises(TypeError, match=r"shard_state: mesh is str, expected a jax.sharding.Mesh"):
        gradtx.shard_state(adam, mesh="data")
    with pytest.raises(TypeError, match=r"shard_state: tx is function"):
        gradtx.shard_state(gradtx.adam)
    with pytest.raises(ValueError, match=r"params\['w'\] has shape \(8, 6\) and the spec .*splits 6 into 8 parts"):
        gradtx.shard_state(adam, specs=P(None, "data")).init(p)
    with pytest.raises(ValueError, match=r"params\['w'\] .* but the mesh has no axis 'tp'"):
        gradtx.shard_state(adam, specs=P("tp")).init(p)
    with pytest.raises(ValueError, match=r"params\['w'\] .* which names an axis twice"):
        gradtx.shard_state(adam, specs=P("data", "data")).init(p)
    with pytest.raises(ValueError, match=r"params\['w'\] .* which has 3 entries, expected at most 2"):
        gradtx.shard_state(adam, specs=P(None, None, None)).init(p)
    with pytest.raises(TypeError, match=r"shard_state: specs\['w'\] is int, expected a PartitionSpec"):
        gradtx.shard_state(adam, specs={"w": 3}).init(p)
    with pytest.raises(ValueError, match=r"shard_state: specs\['w'\] is missing"):
        gradtx.shard_state(adam, specs={"v": P()}).init(p)
    state = gradtx.shard_state(adam).init(p)
    with pytest.raises(
        ValueError, match=r"shard_state: params\['w'\] lies on 1 devices that are not those of the mesh"
    ):
        gradtx.shard_state(adam, mesh=AUTO).update(p, state, {"w": jnp.ones((8, 6))})


def test_inside_shard_map_is_an_error() -> None:
    p = {"w": put(jnp.ones((8, 6)), AUTO)}
    tx = gradtx.shard_state(gradtx.adam(0.1), mesh=AUTO)
    for check in (True, False):
        inside = jax.shard_map(
            lambda p: tx.update(p, tx.init(p), p)[0], mesh=AUTO, in_specs=P(), out_specs=P(), check_vma=check
        )
        with pytest.raises(ValueError, match=r"shard_state: axis = 'data' is an axis of the shard_map around it"):
            jax.jit(inside)(p)


def test_specs_are_asked_for_where_jit_does_not_tell() -> None:
    mesh = mesh_of(AxisType.Auto, (2, 4), ("data", "fsdp"))
    p = {"w": put(jnp.ones((8, 6)), mesh)}
    tx = gradtx.shard_state(gradtx.adam(0.1))
    tx.init(p)  # the arrays tell
    with pytest.raises(
        ValueError, match=r"params\['w'\] may be split over 'fsdp', which jit does not tell.* give specs="
    ):
        jax.jit(tx.init)(p)
    jax.jit(gradtx.shard_state(gradtx.adam(0.1), specs=P()).init)(p)
