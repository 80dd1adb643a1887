"""`describe`: bytes are those that the compiler counts, groups are those that are treated alike."""

import math
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.memory.compiled import Sent, collectives

P = jax.P
MESH = jax.sharding.Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
SPECS = {"w": P("x", "y"), "v": P(None, "x"), "b": None, "s": P()}
ROWS = {"w": P("x"), "v": P(None, "x"), "b": None, "s": P()}  # "y" is left to shard_state
PARAMS = {
    "w": jax.ShapeDtypeStruct((16, 64), jnp.float32),
    "v": jax.ShapeDtypeStruct((8, 32), jnp.bfloat16),
    "b": jax.ShapeDtypeStruct((7,), jnp.float32),
    "s": jax.ShapeDtypeStruct((), jnp.float32),
}
ONLY_W = {"w": True, "v": False, "b": False, "s": False}


def arrays(specs: Any = SPECS) -> Any:
    """Return parameters placed on the mesh."""
    return {
        name: jax.device_put(jnp.zeros(x.shape, x.dtype), jax.sharding.NamedSharding(MESH, specs[name] or P()))
        for name, x in PARAMS.items()
    }


TRANSFORMS: dict[str, Callable[[], Any]] = {
    "clip and adamw": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3)),
    "optax": lambda: optax.adamw(1e-3),
    "factored": lambda: gradtx.adafactor(1e-3, min_dim_size_to_factor=8),
    "one vector": lambda: gradtx.flatten(gradtx.adam(1e-3)),  # its init is not written for explicit meshes
    "in shards": lambda: gradtx.shard_state(gradtx.adamw(1e-3), "y", mesh=MESH, specs=ROWS),
    "codes in shards": lambda: gradtx.shard_state(
        gradtx.chain(gradtx.store(gradtx.adamw(1e-3), mu="fp8", nu="fp8_root"), gradtx.keep_residue()),
        "y",
        mesh=MESH,
        specs=ROWS,
    ),
    "by path": lambda: gradtx.by_path([("w", gradtx.sgd(0.1, momentum=0.9)), ("", optax.adam(1e-3))]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_bytes_are_those_of_the_compiler_and_of_the_arrays(name: str) -> None:
    tx, specs = TRANSFORMS[name](), ROWS if "shards" in name else SPECS
    with jax.numpy_dtype_promotion("standard"):  # for optax
        plan = gradtx.describe(tx, PARAMS, specs, mesh=MESH, compile=True)
    assert plan.arguments == plan.total.per_device
    assert plan.temporaries is not None
    state = tx.init(arrays(specs))
    if name != "one vector":
        held = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
        assert held == plan.state.per_device
    assert sum(x.nbytes for x in jax.tree.leaves(state)) == plan.state.in_all
    assert sum(leaf.state.in_all for leaf in plan.by_leaf) + plan.rest.in_all == plan.state.in_all


def test_a_plan_from_the_arrays_own_shardings_is_that_of_their_specs() -> None:
    tx = TRANSFORMS["clip and adamw"]()
    own, given = gradtx.describe(tx, arrays()), gradtx.describe(tx, PARAMS, SPECS, mesh=MESH.abstract_mesh)
    assert str(own) == str(given)
    assert (own.params, given.params.per_device) == (given.params, 16 * 64 // 8 * 4 + 8 * 32 // 4 * 2 + 7 * 4 + 4)


def test_shards_of_codes_on_a_mesh_without_devices() -> None:
    """Codes and their scales are split over both axes; the process lives on where there is no device to put them on."""
    mesh = jax.sharding.AbstractMesh((4, 2), ("x", "y"))
    coded = gradtx.store(gradtx.adam(1e-3), mu="fp8", nu="fp8_root")
    params = {"w": jax.ShapeDtypeStruct((16, 64), jnp.float32), "v": jax.ShapeDtypeStruct((8, 32), jnp.float32)}
    specs = {"w": P("x"), "v": P()}
    plan = gradtx.describe(gradtx.shard_state(coded, "y", mesh=mesh, specs=specs), params, specs, mesh=mesh)
    codes = {leaf.path: [own.in_all / own.per_device for own in leaf.slots.values()] for leaf in plan.by_leaf}
    assert codes == {"w": [8.0] * 4, "v": [2.0] * 4}
    with pytest.raises(ValueError, match=r"shard_state: mesh has no devices, expected those of the arrays"):
        gradtx.shard_state(coded, "y", mesh=mesh, specs=specs).init({k: jnp.ones(p.shape) for k, p in params.items()})


def test_the_collectives_of_a_clip_are_one_number_for_each_divided_leaf() -> None:
    plan = gradtx.describe(gradtx.clip_by_global_norm(1.0), PARAMS, SPECS, mesh=MESH, compile=True)
    assert plan.collectives is not None
    assert set(plan.collectives) == {"all-reduce"}
    assert plan.collectives["all-reduce"].bytes <= 16
    assert "it sends: all-reduce" in str(plan)


def test_collectives_are_read_from_the_text_of_a_program() -> None:
    text = """
      %a = (f32[4,8]{1,0}, bf16[16]{0}) all-reduce(f32[4,8] %x, bf16[16] %y), channel_id=1
      %b = (f32[2,8]{1,0}, f32[16,8]{1,0}) all-gather-start(f32[2,8]{1,0} %a.1), dimensions={0}
      %c = f32[16,8]{1,0} all-gather-done((f32[2,8]{1,0}, f32[16,8]{1,0}) %b)
      %d = pred[] all-reduce(pred[] %z), to_apply=%or
    """
    assert collectives(text) == {"all-reduce": Sent(3, 128 + 32 + 1), "all-gather": Sent(1, 512)}


def test_a_model_of_70_billion_parameters_takes_seconds() -> None:
    """Llama's shapes on 128 chips: 723 leaves, gradients in float32."""
    layers, d, f, kv, words = 80, 8192, 28672, 1024, 128256
    shapes = {"q": (d, d), "k": (d, kv), "v": (d, kv), "o": (d, d), "gate": (d, f), "up": (d, f), "down": (f, d)}
    vectors = {"norm1": (d,), "norm2": (d,)}
    layer = {name: jax.ShapeDtypeStruct(shape, jnp.bfloat16) for name, shape in {**shapes, **vectors}.items()}
    ends = {"embed": jax.ShapeDtypeStruct((words, d), jnp.bfloat16), "norm": layer["norm1"]}
    params = {"layers": [layer] * layers, "head": jax.ShapeDtypeStruct((d, words), jnp.bfloat16), **ends}
    specs = jax.tree.map(lambda x: P("fsdp", "tensor") if x.ndim == 2 else None, params)
    mesh = jax.sharding.AbstractMesh((4, 8, 4), ("data", "fsdp", "tensor"))
    start = time.process_time()
    plan = gradtx.describe(gradtx.adamw(1e-3), params, specs, mesh=mesh, grads_dtype=jnp.float32)
    assert time.process_time() - start < 20
    matrices = 2 * words * d + layers * sum(math.prod(shape) for shape in shapes.values())
    count, each = matrices + d + layers * 2 * d, matrices // 32 + d + layers * 2 * d
    assert (len(plan.by_leaf), count) == (723, 70_553_706_496)
    assert plan.params == (2 * each, 2 * count)
    assert plan.grads == (4 * each, 4 * count)
    assert plan.state == (8 * each + 16, 8 * count + 16)
    assert "layers/*/down" in str(plan)
    assert "128 devices: data 4, fsdp 8, tensor 4" in str(plan)


def test_a_plan_says_first_what_is_not_in_it_and_lists_the_largest() -> None:
    lines = str(gradtx.describe(gradtx.adam(1e-3), [jnp.zeros(n, jnp.float32) for n in range(1, 15)])).splitlines()
    assert "activations and batches are NOT in it" in lines[0]
    assert "  1 device" in lines
    at = next(i for i, line in enumerate(lines) if line.startswith("LARGEST LEAVES, 10 of 14"))
    assert [line.split()[0] for line in lines[at + 1 : at + 11]] == [str(n) for n in range(13, 3, -1)]
    assert repr(gradtx.describe(gradtx.scale(0.1), jnp.zeros(3, jnp.float32))).startswith("<Plan of 32 bytes")


def test_groups_are_seen_through_wrappers() -> None:
    rate = gradtx.schedules.linear(0.5, 0.0, 10)
    body = gradtx.by_path([("^w", gradtx.sgd(rate, momentum=0.9)), ("^[bs]", gradtx.adamw(1e-3, weight_decay=0.1))])
    rest = gradtx.selective_transform(gradtx.chain(body), freeze_mask={"w": False, "v": True, "b": False, "s": False})
    plan = gradtx.describe(gradtx.guard(gradtx.watch(gradtx.chain(gradtx.clip(1.0), rest))), PARAMS)
    found = {group.title: group for group in plan.groups}
    assert set(found) == {"b, s", "v", "w"}
    assert found["w"].transforms == ("clip", "trace", "scale_by_learning_rate")
    assert str(found["w"].rate) == "0.5 at the first update, linear(0.5, 0.0, 10)"
    assert found["b, s"].transforms == ("clip", "scale_by_adam", "add_decayed_weights", "scale_by_learning_rate")
    assert [(str(d), found["b, s"].frozen) for d in found["b, s"].decay] == [("0.1", False)]
    assert (found["v"].frozen, found["v"].leaves[0].slots) == (True, {})
    assert found["w"].leaves[0].slots == {"trace float32": (4096, 4096)}


def test_a_mask_of_a_rule_is_a_group_of_its_own() -> None:
    plan = gradtx.describe(gradtx.adamw(1e-3, mask=ONLY_W), PARAMS)
    decays = {group.title: [str(decay) for decay in group.decay] for group in plan.groups}
    assert decays == {"b, s, v": [], "w": ["0.0001"]}


def test_what_is_frozen_late_and_what_nothing_changes_is_told() -> None:
    late = gradtx.describe(gradtx.chain(gradtx.adam(1e-3), gradtx.freeze(ONLY_W)), PARAMS)
    assert "FROZEN: the update is 0; its state is never used" in str(late)
    zero = gradtx.describe(gradtx.partition({True: gradtx.set_to_zero(), False: gradtx.sgd(0.1)}, ONLY_W), PARAMS)
    assert [(group.title, group.frozen) for group in zero.groups] == [("b, s, v", False), ("w", True)]
    raw = gradtx.describe(gradtx.masked(gradtx.sgd(0.1), ONLY_W), PARAMS)
    assert str(raw).count("NO TRANSFORM: the gradient itself is the update") == 1


def test_a_plan_says_where_it_does_not_see_into_optax() -> None:
    tx = gradtx.partition({True: optax.adam(1e-3), False: optax.masked(gradtx.sgd(0.5), True)}, ONLY_W)
    plan = gradtx.describe(tx, PARAMS)
    assert len(plan.unseen) == 2
    assert plan.unseen[1] == "optax.masked (but for sgd within it)"
    assert "NOT SEEN INTO  optax.chain" in str(plan)
    rates = {group.title: group.rate for group in plan.groups}
    assert rates["w"] is None
    assert str(rates["b, s, v"]) == "0.5"
    assert gradtx.describe(gradtx.adam(1e-3), PARAMS).unseen == ()


def test_rates_that_live_in_arrays_and_states_are_those_of_the_first_update() -> None:
    tuned, held = gradtx.tunable(gradtx.sgd, learning_rate=0.25), gradtx.sgd(jnp.array(0.25))
    rates = [gradtx.describe(tx, PARAMS).groups[0].rate for tx in (tuned, held)]
    assert [str(rate) for rate in rates] == ["0.25", "0.25"]
    plateau = gradtx.describe(gradtx.chain(gradtx.sgd(0.5), gradtx.reduce_on_plateau()), PARAMS).groups[0].rate
    assert str(plateau) == "known at the update only"


def test_integers_have_neither_gradient_nor_group_of_a_transform() -> None:
    plan = gradtx.describe(
        gradtx.adam(1e-3), {"w": jnp.zeros(4, jnp.float32), "step": jnp.zeros(3, jnp.int32), "none": None}
    )
    assert plan.grads.in_all == 16
    assert "GROUP 1  step: 1 leaf, 3 parameters\n  no gradient" in str(plan)


def test_what_does_not_divide_is_listed() -> None:
    plan = gradtx.describe(gradtx.adam(1e-3), PARAMS, {**SPECS, "v": None}, mesh=MESH)
    assert plan.unsharded == ("b", "s")  # v lies whole too, and could be divided
    assert "DO NOT DIVIDE  no axis that is free divides b, s" in str(plan)


WRONG: list[tuple[str, Any, dict[str, Any], type[Exception], str]] = [
    ("axis", PARAMS, {"specs": {**SPECS, "v": P("z")}, "mesh": MESH}, ValueError,
     r"params\['v'\] of shape \(8, 32\) has the spec P.*'z'.*axes of the mesh \('x', 'y'\)"),
    ("parts", PARAMS, {"specs": {**SPECS, "b": P("y")}, "mesh": MESH}, ValueError,
     r"params\['b'\] of shape \(7,\) has the spec P.*'y'.*dimension 0 by 2, expected a multiple of 2"),
    ("two axes", PARAMS, {"specs": {**SPECS, "v": P(("x", "y"), "x")}, "mesh": MESH}, ValueError,
     r"params\['v'\].*expected each axis once"),
    ("long", PARAMS, {"specs": {**SPECS, "b": P(None, "x")}, "mesh": MESH}, ValueError,
     r"params\['b'\].*expected at most 1 entries"),
    ("no spec", PARAMS, {"specs": {**SPECS, "b": "x"}, "mesh": MESH}, TypeError, r"params\['b'\].*has the spec str"),
    ("a key", PARAMS, {"specs": {"w": P()}, "mesh": MESH}, ValueError, r"specs\['b'\] is missing"),
    ("no mesh", PARAMS, {"specs": SPECS}, ValueError, "mesh is None, expected the mesh of specs"),
    ("no devices", PARAMS, {"specs": SPECS, "mesh": MESH.abstract_mesh, "compile": True}, ValueError,
     "mesh is AbstractMesh, expected one with devices"),
    ("no array", {"w": "text"}, {}, TypeError, r"params\['w'\] is str, expected an array"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "params", "how", "kind", "text"), WRONG, ids=[case[0] for case in WRONG])
def test_errors_say_what_and_where(name: str, params: Any, how: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"describe: .*{text}"):
        gradtx.describe(gradtx.adam(1e-3), params, **how)


def test_an_update_that_needs_more_is_compiled_with_it() -> None:
    tx, p = gradtx.polyak_sgd(), {"w": jnp.zeros(4, jnp.float32)}
    with pytest.raises(ValueError, match="value is missing"):
        gradtx.describe(tx, p, compile=True)
    for extra in ({"value": 1.0}, lambda grads, params: {"value": jnp.sum(params["w"])}):
        plan = gradtx.describe(tx, p, compile=True, extra=extra)
        assert plan.arguments == plan.total.per_device
    with pytest.raises(TypeError, match="describe: extra is int, expected a mapping"):
        gradtx.describe(tx, p, compile=True, extra=3)


def test_other_errors() -> None:
    with pytest.raises(TypeError, match="describe: tx is int"):
        gradtx.describe(3, PARAMS)
    reads = optax.GradientTransformation(lambda p: float(jnp.sum(p["w"])), lambda u, s, p=None: (u, s))
    with pytest.raises(ValueError, match=r"describe: tx.init raises Concretization.*gradtx.check"):
        gradtx.describe(reads, PARAMS)
    placed = SimpleNamespace(shape=(8,), dtype=np.dtype("float32"), sharding=object())
    with pytest.raises(ValueError, match=r"describe: params\['w'\] has a object, expected a NamedSharding"):
        gradtx.describe(gradtx.adam(1e-3), {"w": placed})
