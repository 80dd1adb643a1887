"""Every wrapper goes round any transform: it changes nothing while idle, composes with every other, and hides nothing.

The contracts hold each wrapper's own row to scan, vmap, donation, dtypes and shardings. Here two wrappers, one round
the other, are held to them in one program.
"""

import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

import gradtx
from gradtx._core.engine.parts import parts
from tests.batteries.traced import same_state
from tests.registry import CASES, ROWS, Row

EVERY = [*ROWS, *CASES]
WRAPPERS = [row for row in EVERY if row.around is not None]
STEPS, INTERRUPTED = 4, 2
RATE = "scale_by_learning_rate.learning_rate"


def falling(count: Any) -> jax.Array:
    return 0.1 / (1.0 + jnp.asarray(count).astype(jnp.float32))


INNER = {
    "adamw": gradtx.adamw(falling, weight_decay=0.01),
    "clipped": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)),
    "optax": optax.adam(0.1),
}


# Of one device, for the wrappers that ask on which mesh the params lie.
ALONE = NamedSharding(jax.make_mesh((1,), ("x",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:1]), jax.P())


def params(seed: int = 0) -> dict[str, jax.Array]:
    generator = np.random.default_rng(seed)
    w, half = (generator.normal(size=shape) for shape in ((4, 3), (2,)))
    return jax.device_put({"w": jnp.asarray(w, jnp.float32), "half": jnp.asarray(half, jnp.bfloat16)}, ALONE)


def grads(step: int, member: int = 0) -> dict[str, jax.Array]:
    return params(1 + step + 10 * member)


def given(row: Row, g: Any, p: Any) -> dict[str, Any]:
    """Return the extra arguments of an update that rounds `row`, and one that nobody knows."""
    return {**row.given(g, p), "unknown": 1.0}


def in_own_buffers(tree: Any) -> None:
    """Assert that no buffer stands twice in a tree, so that all of it may be donated."""
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(tree)]
    assert len(set(pointers)) == len(pointers)


def stepper(tx: Any, *rows: Row) -> Callable[..., Any]:
    """Return the step that everybody writes."""
    update = optax.with_extra_args_support(tx).update

    def step(p: Any, state: Any, g: Any) -> tuple[Any, Any, Any]:
        extra = {name: x for row in rows for name, x in given(row, g, p).items()}
        updates, state = update(g, state, p, **extra)
        return gradtx.apply_updates(p, updates), state, updates

    return step


def run(tx: Any, *rows: Row) -> tuple[list[Any], Any, Any]:
    """Return the updates of a few steps, the last params and the last state; operation by operation, uncompiled."""
    step, p, updates = stepper(tx, *rows), params(), []
    state = tx.init(p)
    with jax.disable_jit():
        for t in range(STEPS):
            p, state, u = step(p, state, grads(t))
            updates.append(u)
    return updates, p, state


@cache
def alone(name: str) -> tuple[list[Any], Any, Any]:
    """Return the run of a transform with nothing around it."""
    return run(INNER[name])


def around(row: Row, tx: Any) -> Any:
    """Return the wrapper round a transform."""
    assert row.around is not None
    return row.around(gradtx, tx)


def inside(tx: Any, state: Any, inner: Any) -> list[Any]:
    """Return the states of `inner` in what a wrapper says that it holds."""
    if getattr(tx, "init", None) == inner.init:
        return [state]
    return [found for part in parts(tx, state) for found in inside(part.tx, part.state, inner)]


def bits(tree: Any) -> list[tuple[Any, bytes]]:
    """Return the dtypes and the bytes of a tree's leaves."""
    return [(np.asarray(x).dtype, np.asarray(x).tobytes()) for x in jax.tree.leaves(tree)]


def each(rows: list[Row]) -> Any:
    """Parametrize a test over rows, with their names as ids."""
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def test_every_wrapper_is_in_the_battery() -> None:
    """A wrapper that can go round no transform says why."""
    wrappers = {row.public for row in EVERY if row.kind == "wrapper"}
    missing = wrappers - {row.public for row in WRAPPERS} - {row.public for row in EVERY if row.alone}
    assert not missing, f"give a row of {sorted(missing)} an `around`, or say in `alone` why it goes round no transform"
    assert [row.name for row in WRAPPERS if row.alone or row.kind != "wrapper"] == []
    assert len({row.public for row in WRAPPERS}) == len(WRAPPERS), "one row of a name is enough"


@pytest.mark.share(4)
@pytest.mark.parametrize("name", INNER)
@each([row for row in WRAPPERS if row.idle])
def test_an_idle_wrapper_changes_no_bit(row: Row, name: str) -> None:
    """Updates, params and the inner one's own state are those of the bare transform."""
    inner = INNER[name]
    tx = around(row, inner)
    updates, p, state = run(tx, row)
    want, end, own = alone(name)
    assert bits(updates) == bits(want)
    assert bits(p) == bits(end)
    found = inside(tx, state, inner)
    assert len(found) == 1, f"{tx} shows {len(found)} states of the transform inside, expected one"
    assert bits(found) == bits(own)


@each(WRAPPERS)
def test_it_is_seen_through(row: Row) -> None:
    """By print, by hyperparams, and by the walk that others look with."""
    inner = INNER["adamw"]
    tx = around(row, inner)
    assert repr(tx).startswith(f"{tx.name}(")
    assert repr(inner) in repr(tx)
    state, p = tx.init(params()), params()
    with jax.disable_jit():
        _, state, _ = stepper(tx, row)(p, state, grads(0))
    rates = [value for name, value in gradtx.hyperparams(tx, state).items() if name.endswith(RATE)]
    assert pytest.approx(falling(1)) in rates
    assert "optax." in repr(around(row, INNER["optax"]))


@pytest.mark.share(3)
@each(WRAPPERS)
def test_watch_records_round_it_and_inside_it(row: Row) -> None:
    inner = INNER["clipped"]
    for tx in (gradtx.watch(around(row, inner)), around(row, gradtx.watch(inner))):
        p, state = params(), tx.init(params())
        step = stepper(tx, row)
        with jax.disable_jit():
            for t in range(2):
                p, state, _ = step(p, state, grads(t))
        if row.public != "watch":  # which has two records then
            assert gradtx.metrics(state)["grad_norm"] > 0


@each(WRAPPERS)
def test_a_leaf_without_a_gradient_is_left_alone(row: Row) -> None:
    """None, and the float0 of an integer parameter."""
    tx = around(row, INNER["adamw"])
    p = {"w": params()["w"], "none": None, "steps": jnp.arange(3, dtype=jnp.int32)}
    g = {"w": grads(0)["w"], "none": None, "steps": np.zeros(3, jax.dtypes.float0)}
    state = tx.init(p)
    with jax.disable_jit():
        for _ in range(2):
            new, state, _ = stepper(tx, row)(p, state, g)
            assert new["none"] is None
            assert new["steps"].tolist() == [0, 1, 2]
            assert np.all(np.isfinite(new["w"]))


@pytest.mark.share(3)
@each(WRAPPERS)
def test_it_composes_with_every_other(row: Row) -> None:
    """Round each other and inside it, on shapes alone, the state as stable as that of one."""
    p = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=ALONE), params())
    for other in WRAPPERS:
        tx = around(row, around(other, INNER["adamw"]))
        try:
            state = jax.eval_shape(tx.init, p)
            new, after, updates = jax.eval_shape(stepper(tx, row, other), p, state, p)
            same_state(state, after)
            chex.assert_trees_all_equal_shapes_and_dtypes(p, new, updates)
        except Exception as error:
            error.add_note(f"{row.name} round {other.name}")
            raise


def next_to(row: Row) -> Row:
    """Return another wrapper."""
    return WRAPPERS[(WRAPPERS.index(row) + 1) % len(WRAPPERS)]


@pytest.mark.share(3)
@each(WRAPPERS)
def test_two_run_as_one_program(row: Row) -> None:
    """A scan of two members at once, in half precision too, is each of them alone, step by step; both are donated."""
    other = next_to(row)
    tx = around(row, around(other, INNER["clipped"]))
    step = stepper(tx, row, other)
    members = [[grads(t, member) for t in range(3)] for member in (0, 1)]
    starts = []
    for member in (0, 1):
        p = params(member)
        starts.append((p, tx.init(p)))
        in_own_buffers(starts[-1])

    def stacked(trees: list[Any]) -> Any:
        return jax.tree.map(lambda *xs: jnp.stack(xs), *trees)

    def body(carry: Any, g: Any) -> tuple[Any, Any]:
        p, state, updates = step(*carry, g)
        return (p, state), updates

    together = jax.jit(jax.vmap(lambda carry, gs: lax.scan(body, carry, gs)), donate_argnums=0)
    (ends, states), updates = together(stacked(starts), stacked([stacked(member) for member in members]))
    for i, ((p, state), member) in enumerate(zip(starts, members, strict=True)):
        with jax.disable_jit():
            for t, g in enumerate(member):
                p, state, u = step(p, state, g)
                got = jax.tree.map(lambda x, i=i, t=t: x[i, t], updates)
                np.testing.assert_allclose(got["w"], u["w"], rtol=1e-4, atol=1e-6)
        end, kept = jax.tree.map(lambda x, i=i: x[i], (ends, states))
        chex.assert_trees_all_equal_shapes_and_dtypes((end, kept), (p, state))
        np.testing.assert_allclose(end["w"], p["w"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(*(np.asarray(x["half"], np.float32) for x in (end, p)), rtol=2**-6)


@pytest.mark.share(3)
@each(WRAPPERS)
def test_it_resumes_sharded(row: Row) -> None:
    """Slots lie as their params and stay so; a run saved between two steps goes on bit for bit, by a transform anew."""
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
    spread = NamedSharding(mesh, PartitionSpec("x"))

    def lies_spread(tree: Any) -> None:
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            where = jax.tree_util.keystr(path)
            if where.endswith("['w']") and leaf.shape == (4, 3):
                assert leaf.sharding.is_equivalent_to(spread, leaf.ndim), (where, leaf.sharding)

    tx, anew = around(row, INNER["adamw"]), around(row, INNER["adamw"])
    p = jax.device_put(params(), spread)
    state = tx.init(p)
    lies_spread(state)
    gs = [jax.device_put(grads(t), spread) for t in range(STEPS)]
    step = jax.jit(stepper(tx, row))
    saved = b""
    for t in range(STEPS):
        if t == INTERRUPTED:
            saved = pickle.dumps([np.asarray(x) for x in jax.tree.leaves((p, state))])
            where = [x.sharding for x in jax.tree.leaves((p, state))]
        p, state, _ = step(p, state, gs[t])
        lies_spread((p, state))
    treedef = jax.tree.structure(jax.eval_shape(lambda: (params(), anew.init(params()))))
    leaves = [jax.device_put(x, place) for x, place in zip(pickle.loads(saved), where, strict=True)]
    again, kept = treedef.unflatten(leaves)
    for t in range(INTERRUPTED, STEPS):
        again, kept, _ = step(again, kept, gs[t])
    assert bits((again, kept)) == bits((p, state))
