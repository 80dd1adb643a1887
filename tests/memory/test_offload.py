"""The state on the host: where it lies, that no bit differs, that leaves are fetched in turn."""

import pickle
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding

import gradtx

P = jax.P


def labels(p: Any) -> Any:
    return {name: "m" if x.ndim > 1 else "a" for name, x in p.items()}


FIRST = jax.devices()[0]


def goes_to_the_host() -> bool:
    """Return True if XLA:CPU leaves on the host what a program puts there, as it does from jax 0.10 on."""
    made = jax.jit(lambda x: jax.device_put(x, jax.memory.Space.Host))(jax.device_put(np.ones(8), FIRST))
    return bool(made.sharding.memory_kind == "pinned_host")


pytestmark = pytest.mark.skipif(not goes_to_the_host(), reason="this jax has one memory on a CPU")

INNER = {
    "chain": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-2)),
    "guard": lambda: gradtx.guard(gradtx.adamw(1e-2)),
    "watch": lambda: gradtx.watch(gradtx.adamw(1e-2)),
    "store": lambda: gradtx.store(gradtx.adamw(1e-2), mu="fp8", nu="fp8_root"),
    "partition": lambda: gradtx.partition({"m": gradtx.muon(1e-2), "a": gradtx.adamw(1e-2)}, labels),
    "optax": lambda: optax.adam(1e-2),
}


def tree(seed: int = 0) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    shapes = {"w": (16, 64), "v": (8, 64), "b": (64,), "s": ()}
    return {
        name: jax.device_put(jnp.asarray(rng.normal(size=shape), jnp.float32), FIRST) for name, shape in shapes.items()
    }


def step_of(tx: Any) -> Any:
    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    return jax.jit(step, donate_argnums=(0, 1))


def run(tx: Any, step: Any = None) -> tuple[Any, Any]:
    p = tree()
    state, step = tx.init(p), step or step_of(tx)
    for i in range(3):
        p, state = step(p, state, tree(i + 1))
    return p, state


def kinds(state: Any) -> set[tuple[bool, str]]:
    return {(x.ndim > 0, x.sharding.memory_kind) for x in jax.tree.leaves(state)}


@pytest.mark.share(3)
@pytest.mark.parametrize("name", INNER)
def test_the_state_lies_on_the_host_and_no_bit_differs(name: str) -> None:
    """Round gradtx's wrappers and round optax's transforms; donated, compiled once, structure and dtypes kept."""
    with jax.numpy_dtype_promotion("standard" if name == "optax" else "strict"):
        inner = INNER[name]()
        tx, wanted = gradtx.offload(inner), run(inner)
        assert kinds(tx.init(tree())) == {(True, "pinned_host"), (False, "device")}
        step = step_of(tx)
        p, state = run(tx, step)
    assert kinds(state) == {(True, "pinned_host"), (False, "device")}
    assert kinds(p) == {(True, "device"), (False, "device")}
    assert step._cache_size() == 1
    chex.assert_trees_all_equal(jax.device_get((p, state)), jax.device_get(wanted))
    assert pickle.dumps(jax.tree.structure(state)) == pickle.dumps(jax.tree.structure(wanted[1]))


def test_outside_jit_and_in_a_scan() -> None:
    tx, wanted = gradtx.offload(gradtx.adamw(1e-2)), run(gradtx.adamw(1e-2))
    p, state = run(tx, lambda p, state, g: step_of(tx).__wrapped__(p, state, g))
    assert kinds(state) == {(True, "pinned_host"), (False, "device")}
    chex.assert_trees_all_close(jax.device_get((p, state)), jax.device_get(wanted), rtol=1e-6)
    gs = jax.tree.map(lambda *xs: jnp.stack(xs), *[tree(i + 1) for i in range(3)])

    @jax.jit
    def scanned(p: Any, state: Any) -> Any:
        return jax.lax.scan(lambda carry, g: (step_of(tx).__wrapped__(*carry, g), None), (p, state), gs)[0]

    chex.assert_trees_all_close(jax.device_get(scanned(tree(), tx.init(tree()))), jax.device_get(wanted), rtol=1e-6)


def test_a_leaf_is_fetched_after_the_one_before_it_is_gone() -> None:
    """By the traced step: each fetch after the first stands behind a barrier with what went back before it."""
    tx, p = gradtx.offload(gradtx.adamw(1e-2)), tree()
    lines = str(jax.make_jaxpr(tx.update)(p, tx.init(p), p)).splitlines()
    barriers = [line for line in lines if "optimization_barrier" in line and "<host>" in line]
    assert len(barriers) == 2 * 2  # mu and nu of the second and the third array; a scalar lies on the device


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
def test_a_cpu_needs_no_more_temporary_memory(library: Any) -> None:
    p = {f"w{i}": jax.device_put(jnp.ones((128, 128)), FIRST) for i in range(4)}
    needed = []
    with jax.numpy_dtype_promotion("standard" if library is optax else "strict"):
        for tx in (library.adamw(1e-3), gradtx.offload(library.adamw(1e-3))):
            compiled = step_of(tx).lower(p, tx.init(p), p).compile()
            needed.append(compiled.memory_analysis().temp_size_in_bytes)
    assert needed[1] <= needed[0] + 1024


def test_what_an_update_does_not_read_stays_there() -> None:
    def update(g: Any, state: Any, p: Any = None) -> Any:
        del p
        return jax.tree.map(lambda x: -state["used"] * x, g), {**state, "used": state["used"] * 0.5}

    inner = optax.GradientTransformation(lambda p: {"kept": jnp.arange(5.0), "used": jnp.ones(3)}, update)
    tx, g = gradtx.offload(inner), jnp.ones(3)
    u, state = jax.jit(tx.update)(g, tx.init(g), g)
    assert u.tolist() == [-1.0] * 3
    assert {name: (x.tolist(), x.sharding.memory_kind) for name, x in state.items()} == {
        "kept": ([0.0, 1.0, 2.0, 3.0, 4.0], "pinned_host"),
        "used": ([0.5, 0.5, 0.5], "pinned_host"),
    }


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_round_shard_state(kind: AxisType) -> None:
    """An eighth of the state on each host; specs as without it."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    p = jax.tree.map(lambda x: jax.device_put(np.asarray(x), NamedSharding(mesh, P(*[None] * x.ndim))), tree())
    inner = gradtx.shard_state(gradtx.adamw(1e-2), "data")
    tx = gradtx.offload(inner)
    state = tx.init(p)
    specs = gradtx.state_specs(tx, p)
    assert specs == gradtx.state_specs(inner, p)
    where = jax.tree.map(lambda x: x.sharding, (p, state))

    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    step = jax.jit(step, donate_argnums=(0, 1), out_shardings=where)
    for i in range(3):
        g = jax.tree.map(lambda x: jax.device_put(np.asarray(x), NamedSharding(mesh, P(*[None] * x.ndim))), tree(i + 1))
        p, state = step(p, state, g)
    assert step._cache_size() == 1
    assert gradtx.tree.get(state, "mu")["w"].addressable_shards[0].data.shape == (2, 64)
    assert kinds(state) == {(True, "pinned_host"), (False, "device")}
    chex.assert_trees_all_equal(jax.device_get(p), jax.device_get(run(gradtx.adamw(1e-2))[0]))


def test_it_is_seen_through() -> None:
    tx = gradtx.offload(gradtx.adamw(1e-2))
    state = tx.init(tree())
    assert repr(tx) == f"offload({gradtx.adamw(1e-2)!r})"
    assert any(name.endswith("learning_rate") for name in gradtx.hyperparams(tx, state))
    with pytest.raises(TypeError, match="offload: tx is int, expected a transform"):
        gradtx.offload(3)
