"""What docs/large-models.md says in numbers and words that none of its blocks prints."""

import re
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding

import gradtx
from tests.memory.hlo import collectives
from tests.memory.test_layers import SIZE, SPLIT, jitted, muon, on_one_device, placed_state, put, tree

P = jax.P
PAGE = (Path(__file__).parents[2] / "docs" / "large-models.md").read_text()
ADAMW = gradtx.adamw(1e-3)
NARROW = gradtx.store(ADAMW, mu="bfloat16", nu="bfloat16")
EIGHT = gradtx.store(ADAMW, mu="fp8", nu="fp8_root")


def bytes_per_parameter(tx: Any, dtype: Any) -> list[float]:
    """Return the bytes of a parameter, of its gradient, of its state and of all three."""
    p = {"w": jax.ShapeDtypeStruct((1024, 1024), dtype)}
    plan = gradtx.describe(tx, p)
    return [size.in_all / 2**20 for size in (plan.params, plan.grads, plan.state, plan.total)]


ROWS: list[tuple[str, Any, Any]] = [
    ("float32", ADAMW, jnp.float32),
    ("bfloat16 and `keep_residue()`", gradtx.chain(ADAMW, gradtx.keep_residue()), jnp.bfloat16),
    (
        'the same, `store(adamw(...), mu="bfloat16", nu="bfloat16")`',
        gradtx.chain(NARROW, gradtx.keep_residue()),
        jnp.bfloat16,
    ),
    (
        'the same, `store(adamw(...), mu="fp8", nu="fp8_root")`',
        gradtx.chain(EIGHT, gradtx.keep_residue()),
        jnp.bfloat16,
    ),
    ("`stochastic_rounding()` and fp8", gradtx.chain(EIGHT, gradtx.stochastic_rounding()), jnp.bfloat16),
]


@pytest.mark.parametrize(("name", "tx", "dtype"), ROWS, ids=[row[0] for row in ROWS])
def test_bytes_of_adamw_are_those_of_the_table(name: str, tx: Any, dtype: Any) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} |") and line.count("|") == 6)
    told = [sum(map(float, cell.split("+"))) for cell in line.split("|")[2:6]]
    assert told == [pytest.approx(size, abs=0.006) for size in bytes_per_parameter(tx, dtype)]


@pytest.mark.parametrize(
    ("name", "last", "dtype"),
    [
        ("float32", gradtx.identity(), jnp.float32),
        ("bfloat16", gradtx.identity(), jnp.bfloat16),
        ("bfloat16, `stochastic_rounding()`", gradtx.stochastic_rounding(), jnp.bfloat16),
        ("bfloat16, `keep_residue(bits=8)`", gradtx.keep_residue(bits=8), jnp.bfloat16),
        ("bfloat16, `keep_residue()`", gradtx.keep_residue(), jnp.bfloat16),
    ],
)
def test_bytes_of_a_parameter_are_those_of_the_table(name: str, last: Any, dtype: Any) -> None:
    told = re.search(rf"^\| {re.escape(name)} \| (\d) \| [^|]*\|$", PAGE, re.MULTILINE)
    own, _, state, _ = bytes_per_parameter(last, dtype)
    assert told
    assert float(told[1]) == pytest.approx(own + state, abs=1e-4)


def test_one_moment_in_eight_bits() -> None:
    assert "5.03 bytes" in PAGE
    assert bytes_per_parameter(gradtx.store(ADAMW, mu="fp8"), jnp.float32)[2] == pytest.approx(5.03, abs=0.005)


def test_codes_are_no_table() -> None:
    """Nothing is looked up: tables are slow on a TPU."""
    p = {"w": jnp.zeros((64, 256))}
    text = jax.jit(EIGHT.update).lower(p, EIGHT.init(p), p).as_text()
    assert "f8E4M3FN" in text
    assert "gather" not in text


def test_without_out_shardings_an_auto_mesh_leaves_params_in_shards() -> None:
    """From the first step on, which compiles twice."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    start = jax.device_put({"w": jnp.ones((64, 16))}, NamedSharding(mesh, P()))
    tx = gradtx.shard_state(ADAMW)

    @jax.jit
    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    p, state = step(start, tx.init(start), start)
    assert not p["w"].sharding.is_fully_replicated
    for _ in range(2):
        p, state = step(p, state, start)
    assert step._cache_size() == 2


def test_watch_outside_offload_is_refused_by_jax() -> None:
    p = {"w": jax.device_put(jnp.ones((8, 8)), jax.devices()[0])}
    tx = gradtx.watch(gradtx.offload(ADAMW))
    state = tx.init(p)
    if gradtx.tree.get(state, "mu")["w"].sharding.memory_kind != "pinned_host":
        pytest.skip("this jax has one memory on a CPU")
    with pytest.raises(ValueError, match="memory_space of all inputs"):
        jax.jit(lambda g, state, p: tx.update(g, state, p, value=1.0))(p, state, p)


def test_axes_that_are_not_named_hold_copies() -> None:
    """2 x 4 devices, layers over the 4: the all-to-alls move fourths, and the numbers are one device's."""
    mesh = jax.make_mesh((2, 4), ("data", "x"), axis_types=(AxisType.Auto,) * 2)
    tx, p = muon("x"), put(tree(0), mesh, SPLIT["rows"])
    state = placed_state(tx, p, mesh)
    step = jitted(tx, p, state)
    assert collectives(step.lower(p, state, p).compile()) == {"all-to-all": 2 * SIZE // 4}
    for i in range(3):
        p, state = step(p, state, put(tree(i + 1), mesh, SPLIT["rows"]))
    chex.assert_trees_all_close(jax.device_get((p, state)), on_one_device(muon), rtol=1e-4, atol=2e-5)


def test_inside_shard_state_an_axis_left_out_is_gathered_over() -> None:
    mesh = jax.make_mesh((2, 4), ("data", "x"), axis_types=(AxisType.Auto,) * 2)
    p = put(tree(0), mesh, SPLIT["rows"])
    moved = {}
    for layers in (("data", "x"), "x"):
        tx = gradtx.shard_state(muon(layers), "data", specs=jax.tree.map(lambda x: x.sharding.spec, p))
        state = tx.init(p)
        moved[layers] = collectives(jitted(tx, p, state).lower(p, state, p).compile())
    assert sum(moved["x"].values()) > sum(moved["data", "x"].values())
    assert moved["x"]["all-gather"] > moved["data", "x"]["all-gather"]


def test_a_skipped_step_leaves_the_residue_alone() -> None:
    tx = gradtx.guard(gradtx.chain(gradtx.clip_by_global_norm(1.0), EIGHT, gradtx.keep_residue()))
    p = {"w": jnp.ones((4, 64), jnp.bfloat16)}
    u, state = tx.update(p, tx.init(p), p)
    p = gradtx.apply_updates(p, u)
    u, after = tx.update(jax.tree.map(lambda x: x * jnp.nan, p), state, p)
    residue = gradtx.tree.get(state, "residue")["w"]
    assert residue.any()
    chex.assert_trees_all_equal(gradtx.apply_updates(p, u), p)
    chex.assert_trees_all_equal(gradtx.tree.get(after, "residue")["w"], residue)


def test_watch_outside_shard_state_is_placed_by_out_shardings() -> None:
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    p = jax.device_put({"w": jnp.ones((64, 16))}, NamedSharding(mesh, P()))
    tx = gradtx.watch(gradtx.shard_state(ADAMW))
    where = jax.tree.map(lambda spec: NamedSharding(mesh, spec), gradtx.state_specs(tx, p))
    eager, placed = tx.init(p), jax.jit(tx.init, out_shardings=where)(p)
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(eager)} == {1, 8}
    assert {len(x.sharding.device_set) for x in jax.tree.leaves(placed)} == {8}


def test_check_tries_the_whole_plan_on_small_shapes() -> None:
    mesh = jax.make_mesh((2, 2, 2), ("data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 3)
    specs = {"w": P(None, "fsdp", "tensor"), "norm": P()}
    chain = gradtx.chain(gradtx.clip_by_global_norm(1.0), EIGHT, gradtx.keep_residue())
    tx = gradtx.shard_state(gradtx.guard(chain), "data", mesh=mesh, specs=specs)
    shapes = {name: jax.ShapeDtypeStruct(s, jnp.bfloat16) for name, s in (("w", (2, 8, 128)), ("norm", (8,)))}
    report = gradtx.check(tx, shapes, specs, mesh=mesh)
    assert report, str(report)
    assert not report.not_run
