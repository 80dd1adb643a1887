"""Specs of states from shapes alone: those of gradtx's transforms and of optax's are where the arrays really lie."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AbstractMesh, AxisType, NamedSharding

import gradtx
from gradtx._core.arrays import compat
from gradtx.rules import zeros

P = jax.P
MESH = jax.make_mesh((4, 2), ("fsdp", "tp"), axis_types=(AxisType.Auto,) * 2)
SHAPES = {"w": (8, 6), "layers": (4, 8, 6), "b": (6,), "s": ()}
SPECS = {"w": P("fsdp", "tp"), "layers": P(None, "fsdp", "tp"), "b": P("tp"), "s": P()}
WHOLE = {name: P(*SPECS[name], *[None] * (len(shape) - len(SPECS[name]))) for name, shape in SHAPES.items()}


def shapes(names: Any = tuple(SHAPES)) -> dict[str, Any]:
    return {name: jax.ShapeDtypeStruct(SHAPES[name], jnp.float32) for name in names}


def params(names: Any = tuple(SHAPES)) -> dict[str, Any]:
    return {name: jax.device_put(jnp.ones(SHAPES[name]), NamedSharding(MESH, SPECS[name])) for name in names}


MATRICES = gradtx.MuonDimensionNumbers(-2, -1)
OURS = {
    "adamw": lambda lib: lib.adamw(1e-3),
    "sgd": lambda lib: lib.chain(lib.clip_by_global_norm(1.0), lib.sgd(0.1, momentum=0.9)),
    "lion": lambda lib: lib.lion(1e-3),
    "masked": lambda lib: lib.masked(lib.adam(0.1), {"w": True, "layers": True, "b": False, "s": False}),
    "adafactor": lambda lib: lib.adafactor(1e-2, min_dim_size_to_factor=4),
}


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
@pytest.mark.parametrize("name", OURS)
def test_a_slot_has_the_spec_of_its_parameter(name: str, library: Any) -> None:
    """Those of other shapes keep the axes of the dimensions that they keep; arrays put by these specs fit the step."""
    tx = OURS[name](library)
    specs = gradtx.state_specs(tx, shapes(), SPECS, mesh=AbstractMesh((4, 2), ("fsdp", "tp")))
    state = jax.eval_shape(tx.init, shapes())
    assert jax.tree.structure(specs) == jax.tree.structure(state)
    found = 0
    for (path, spec), x in zip(jax.tree_util.tree_flatten_with_path(specs)[0], jax.tree.leaves(state), strict=True):
        assert len(spec) == len(x.shape)
        keys = [key.key for key in path if isinstance(key, jax.tree_util.DictKey) and key.key in SHAPES]
        if keys and x.shape == SHAPES[keys[-1]] and keys[-1] != "s":
            assert spec == WHOLE[keys[-1]], path
            found += 1
        elif not keys:
            assert spec == P(*[None] * len(x.shape))
    assert found >= (1 if name == "adafactor" else 2)
    if name == "adafactor" and library is gradtx:
        rows = [
            spec for path, spec in jax.tree_util.tree_flatten_with_path(specs)[0] if "'w'" in jax.tree_util.keystr(path)
        ]
        assert P("fsdp") in rows
        assert P("tp") in rows


def test_they_are_where_the_arrays_lie() -> None:
    """An init of shards, and one that is told by out_shardings, under one program."""
    tx = gradtx.shard_state(gradtx.adamw(1e-3), "tp", specs=SPECS)
    p = params()
    specs = gradtx.state_specs(tx, p)
    state = tx.init(p)
    for x, spec in zip(jax.tree.leaves(state), jax.tree.leaves(specs), strict=True):
        assert x.sharding.is_equivalent_to(NamedSharding(MESH, spec), x.ndim)
    where = jax.tree.map(lambda spec: NamedSharding(MESH, spec), specs)
    assert jax.tree.map(lambda x: x.sharding, jax.jit(gradtx.adamw(1e-3).init, out_shardings=where)(p)) == where


def test_matrices_of_preconditioners() -> None:
    """Those of a stack over layers are split over layers."""
    names = ("layers",)
    tx = gradtx.soap(1e-3, weight_dimension_numbers={"layers": MATRICES})
    specs = gradtx.state_specs(tx, shapes(names), {"layers": P("fsdp")}, mesh=MESH)
    assert gradtx.tree.get(specs, "left")["layers"] == P("fsdp", None, None)
    assert gradtx.tree.get(specs, "right_basis")["layers"] == P("fsdp", None, None)


def test_an_init_that_reads_the_bare_shape() -> None:
    """Its slots have nothing of the sharding in their types; a tree of one leaf too."""
    bare = optax.GradientTransformation(
        lambda p: jax.tree.map(lambda x: jnp.zeros(x.shape), p), lambda g, s, p=None: (g, s)
    )
    assert gradtx.state_specs(bare, shapes(), SPECS, mesh=MESH) == WHOLE
    rule = gradtx.Rule("own", lambda g, slots, p, k: (g, slots), lambda p: {"z": zeros(p)}, ("z",))
    assert gradtx.state_specs(gradtx.leafwise(rule), shapes(), SPECS, mesh=MESH).slots["z"] == WHOLE


def test_an_init_that_explicit_types_refuse() -> None:
    """A sum of two arrays that are split unlike each other is no error: it is computed without types."""

    def init(p: Any) -> Any:
        return (
            p["w"]
            + jnp.swapaxes(jnp.ones_like(p["w"]).T, 0, 1)[:, ::-1]
            + jax.lax.dynamic_slice(p["x"], (0, 0), (8, 6))
        )

    odd = optax.GradientTransformation(lambda p: {"a": jnp.zeros_like(init(p)), "p": p}, lambda g, s, p=None: (g, s))
    p = {"w": jax.ShapeDtypeStruct((8, 6), jnp.float32), "x": jax.ShapeDtypeStruct((8, 12), jnp.float32)}
    specs = {"w": P("fsdp", "tp"), "x": P("tp", "fsdp")}
    found = gradtx.state_specs(odd, p, specs, mesh=MESH)
    assert found["p"] == specs
    assert found["a"] == P(None, None)


def test_bad_input() -> None:
    adam = gradtx.adam(0.1)
    with pytest.raises(ValueError, match=r"state_specs: mesh is None, .* expected a mesh"):
        gradtx.state_specs(adam, shapes())
    with pytest.raises(ValueError, match=r"state_specs: params\['b'\] has shape \(6,\) and the spec .* 6 into 4 parts"):
        gradtx.state_specs(adam, shapes(), {**SPECS, "b": P("fsdp")}, mesh=MESH)
    with pytest.raises(TypeError, match=r"state_specs: tx is function"):
        gradtx.state_specs(gradtx.adam, shapes(), mesh=MESH)
    with pytest.raises(TypeError, match=r"state_specs: specs is int, expected a PartitionSpec"):
        gradtx.state_specs(adam, shapes(), 3, mesh=MESH)


@pytest.mark.parametrize("way", [compat.sharded_as, compat.select_by])
def test_a_slot_is_sharded_as_its_parameter_with_and_without_shard_alike(way: Any) -> None:
    """Under jit on an Auto mesh, on every jax: the way that this jax takes, and the one of a jax without it."""
    for name, p in params().items():
        slot = jax.jit(lambda p: way(p, jnp.zeros(p.shape, p.dtype)))(p)
        assert slot.sharding.is_equivalent_to(p.sharding, p.ndim), name
        assert not slot.any()
