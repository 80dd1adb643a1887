"""Stacks of matrices over devices: what an update moves, that the numbers are those of one device, and errors."""

import contextlib
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

import gradtx
from tests.memory.hlo import collectives
from tests.memory.hlo import on_one_device as bytes_on_first

P = jax.P
AUTO, EXPLICIT = (jax.make_mesh((8,), ("x",), axis_types=(kind,)) for kind in (AxisType.Auto, AxisType.Explicit))
MESHES = pytest.mark.parametrize("mesh", [AUTO, EXPLICIT], ids=["auto", "explicit"])
LAST = gradtx.MuonDimensionNumbers(-2, -1)
SPLIT = {"layers": ("x", None, None), "rows": (None, "x", None), "columns": (None, None, "x")}
SHAPE = (8, 16, 24)
SIZE = 4 * 8 * 16 * 24


def muon(layers: Any = "x", **settings: Any) -> Any:
    return gradtx.muon(0.1, ns_steps=2, weight_decay=0.1, muon_weight_dimension_numbers=dims, layers=layers, **settings)


def soap(layers: Any = "x") -> Any:
    return gradtx.soap(0.1, precondition_frequency=2, weight_dimension_numbers=dims, layers=layers)


def shampoo(layers: Any = "x") -> Any:
    return gradtx.shampoo(0.1, weight_dimension_numbers=dims, layers=layers)


def scion(layers: Any = "x") -> Any:
    settings = {"weight_dimension_numbers": dims, "layers": layers}
    return gradtx.scion(0.1, radius=2.0, other_radius=0.5, ns_steps=2, **settings)


def dims(params: Any) -> Any:
    return jax.tree.map(lambda p: LAST if p.ndim > 1 else None, params)


def tree(seed: int, shape: tuple[int, ...] = SHAPE) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    shapes = {"w": shape, "head": (4, 6), "b": (5,)}
    return {name: jnp.asarray(rng.normal(size=own), jnp.float32) for name, own in shapes.items()}


def put(x: Any, mesh: Any, split: tuple[Any, ...]) -> Any:
    specs = {name: P(*split) if name == "w" else P(*[None] * leaf.ndim) for name, leaf in x.items()}
    return {name: jax.device_put(leaf, NamedSharding(mesh, specs[name])) for name, leaf in x.items()}


def step_of(tx: Any) -> Any:
    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    return step


def placed_state(tx: Any, p: Any, mesh: Any) -> Any:
    """Return a state where `state_specs` says it lies."""
    return jax.tree.map(
        lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tx.init(p), gradtx.state_specs(tx, p)
    )


def jitted(tx: Any, p: Any, state: Any) -> Any:
    where = jax.tree.map(lambda x: x.sharding, (p, state))
    return jax.jit(step_of(tx), donate_argnums=(0, 1), out_shardings=where)


@functools.cache
def on_one_device(make: Any, shape: tuple[int, ...] = SHAPE) -> Any:
    """Return params and state after three steps on one device without `layers`."""
    tx, p = make(None), tree(0, shape)
    state, step = tx.init(p), jax.jit(step_of(tx))
    for i in range(3):
        p, state = step(p, state, tree(i + 1, shape))
    return jax.device_get((p, state))


CASES: list[tuple[Any, Any, str]] = [
    (make, mesh, split) for make in (muon, scion) for mesh in (AUTO, EXPLICIT) for split in SPLIT
]
CASES += [(soap, AUTO, "rows"), (soap, EXPLICIT, "columns"), (soap, EXPLICIT, "layers")]
CASES += [(shampoo, AUTO, "columns"), (shampoo, EXPLICIT, "rows"), (shampoo, AUTO, "layers")]


@pytest.mark.share(6)
@pytest.mark.parametrize(("make", "mesh", "split"), CASES)
def test_two_all_to_alls_or_nothing_and_the_numbers_of_one_device(make: Any, mesh: Any, split: str) -> None:
    """Donated; a matrix alone and a vector in the same tree are left where they lie."""
    tx = make()
    p = put(tree(0), mesh, SPLIT[split])
    state = placed_state(tx, p, mesh)
    step = jitted(tx, p, state).lower(p, state, p).compile()
    assert collectives(step) == ({} if split == "layers" else {"all-to-all": 2 * SIZE // 8})
    for i in range(3):
        p, state = step(p, state, put(tree(i + 1), mesh, SPLIT[split]))
    wanted = on_one_device(make)
    chex.assert_trees_all_close(jax.device_get((p, state)), wanted, rtol=1e-4, atol=2e-5)


@pytest.mark.share(3)
@pytest.mark.parametrize(("make", "mesh"), [(muon, AUTO), (muon, EXPLICIT), (scion, AUTO)])
def test_layers_that_do_not_divide_are_filled_up(make: Any, mesh: Any) -> None:
    """12 layers on 8 devices, as 16: 1/8 of 16 to each and back; compiled once, and outside jit the same."""
    shape = (12, 16, 24)
    tx, p = make(), put(tree(0, shape), mesh, SPLIT["rows"])
    state = placed_state(tx, p, mesh)
    u, _ = tx.update(p, state, p)
    alone = make(None)
    wanted = alone.update(tree(0, shape), alone.init(tree(0, shape)), tree(0, shape))[0]
    chex.assert_trees_all_close(jax.device_get(u), jax.device_get(wanted), rtol=1e-4, atol=2e-5)
    step = jitted(tx, p, state)
    assert collectives(step.lower(p, state, p).compile()) == {"all-to-all": 2 * (SIZE // 8) * 2}
    for i in range(3):
        p, state = step(p, state, put(tree(i + 1, shape), mesh, SPLIT["rows"]))
    assert step._cache_size() == 1
    chex.assert_trees_all_close(jax.device_get((p, state)), on_one_device(make, shape), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_inside_partition_and_shard_state(kind: AxisType) -> None:
    """Params split by rows over one axis, the state over both, the layers over both: new params alone are gathered."""

    def make(layers: Any) -> Any:
        groups = {"matrices": muon(layers), "rest": gradtx.adamw(0.1)}
        return gradtx.partition(groups, lambda p: {"w": "matrices", "head": "rest", "b": "rest"})

    mesh = jax.make_mesh((2, 4), ("data", "x"), axis_types=(kind,) * 2)
    p = put(tree(0), mesh, SPLIT["rows"])
    specs = jax.tree.map(lambda x: x.sharding.spec, p)
    tx = gradtx.shard_state(make(("data", "x")), "data", specs=specs)
    state = tx.init(p)
    step = jitted(tx, p, state)
    head = p["head"].nbytes
    assert collectives(step.lower(p, state, p).compile()) == {
        "all-to-all": 2 * SIZE // 8,
        "all-gather": SIZE // 4 + head,
    }
    for i in range(3):
        p, state = step(p, state, put(tree(i + 1), mesh, SPLIT["rows"]))
    assert step._cache_size() == 1
    wanted = on_one_device(make)[0]
    chex.assert_trees_all_close(jax.device_get(p), wanted, rtol=1e-4, atol=2e-5)


def test_replicated_params_under_shard_state_need_no_more() -> None:
    """`shard_state` splits a stack over its layers first, so that each device has whole matrices already."""
    p = put(tree(0), AUTO, (None, None, None))
    tx = gradtx.shard_state(muon(), "x")
    state = tx.init(p)
    assert collectives(jitted(tx, p, state).lower(p, state, p).compile()) == {"all-gather": SIZE}


def test_soap_keeps_its_bases_where_they_are_used() -> None:
    """An eighth of a stack's state on each device, from `init` on; a tree without stacks, or None, is as before."""
    p = put({"w": tree(0)["w"]}, AUTO, SPLIT["columns"])
    state = soap().init(p)
    numbers = 8 * (2 * 16 * 24 + 2 * 16 * 16 + 2 * 24 * 24)
    counts = sum(x.nbytes for x in jax.tree.leaves(state) if x.dtype == jnp.int32)
    assert bytes_on_first(state) == 4 * numbers // 8 + counts
    specs = gradtx.tree.get(gradtx.state_specs(soap(), p), "right_basis")
    assert tuple(specs["w"]) == ("x", None, None)
    assert soap().init({"w": jnp.ones(SHAPE)})[0].slots["mu"]["w"].shape == SHAPE  # no mesh is known yet


def error_of(tx: Any, p: Any, mesh: Any = None) -> str:
    with pytest.raises((ValueError, TypeError)) as raised, jax.set_mesh(mesh) if mesh else contextlib.nullcontext():
        tx.update(p, tx.init(p), p)
    return str(raised.value)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (muon, "scale_by_muon"),
        (scion, "scale_by_scion"),
        (soap, "scale_by_soap"),
        (shampoo, "scale_by_shampoo"),
    ],
)
def test_errors_name_transform_path_and_remedy(make: Any, name: str) -> None:
    p = {"w": jnp.ones((8, 4, 6)), "b": jnp.ones(3)}
    assert error_of(make(), p).startswith(f"{name}: params['w'] is to be split over 'x', but it lies on no mesh")
    assert "jax.set_mesh" in error_of(make(), p)
    lacking = error_of(make("rows"), put({"w": p["w"]}, AUTO, SPLIT["layers"]))
    assert lacking.startswith(f"{name}: params['w'] is to be split over 'rows', which is no axis of the mesh ('x',)")
    single = error_of(make(), {"a": jnp.ones((4, 6)), "b": jnp.ones(3)}, AUTO)
    assert "params['a'] has shape (4, 6) and no axis of layers, expected a stack of matrices; leave layers" in single
    with pytest.raises(TypeError, match=r"layers is int, expected the name of a mesh axis or some"):
        make(3)
    with pytest.raises(ValueError, match=r"layers = \('x', 'x'\), expected each axis once"):
        make(("x", "x"))
    inside = jax.shard_map(
        lambda p: make().update(p, make().init(p), p)[0], mesh=AUTO, in_specs=P(), out_specs=P(), check_vma=False
    )
    with pytest.raises(ValueError, match=rf"{name}: params\['w'\] is to be split over 'x', the axis of the shard_map"):
        jax.jit(inside)(p)


@pytest.mark.parametrize(("make", "name"), [(soap, "scale_by_soap"), (shampoo, "scale_by_shampoo")])
def test_state_in_layers_must_divide(make: Any, name: str) -> None:
    """By all the devices of the axes that are named, one or two."""
    two = jax.make_mesh((2, 4), ("data", "x"), axis_types=(AxisType.Auto,) * 2)
    for mesh, layers in ((AUTO, "x"), (two, ("data", "x"))):
        p = put({"w": jnp.ones((12, 4, 6))}, mesh, (None, None, None))
        with pytest.raises(ValueError, match=rf"{name}: params\['w'\] has 12 layers, to be split over 8 dev.* pad the"):
            make(layers).init(p)
