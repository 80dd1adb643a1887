"""The contract that watching changes nothing: 10 (a watched run gives the same bits, under jit and eagerly)."""

import zlib
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.batteries.mixes import (
    GRADS,
    MIXES,
    Cell,
    bound,
    few_of,
    grads_of,
    jitted,
    mixes_of,
    params_of,
    state_leaves,
    stepping,
    structs,
    transform,
)
from tests.registry import Row, stands_for
from tests.registry.base import LEAVES

STEPS = 5


def run(row: Row, tx: gradtx.Transform, mixes: Any, jit: bool) -> dict[str, list[Any]]:
    """Return, by mix and for the rest of the state, all updates, the last params and the transform's own last state."""
    bare = tx is transform(row)
    step = stepping(row, tx)
    if jit:  # the bare step is the one that other contracts have compiled
        step = jitted(row) if bare else jax.jit(step, donate_argnums=(0, 1))
    params = params_of(row, mixes)
    state, updates = tx.init(params), []
    for t in range(STEPS):
        params, state, new = step(params, state, grads_of(row, mixes, t % len(GRADS)))
        updates.append(new)
    inner = state
    while isinstance(inner, gradtx.WatchState):  # a row may be a watch itself
        inner = inner.inner
    found = {mix: [*(u[mix] for u in updates), params[mix], *(x for _, x in state_leaves(inner, mix))] for mix in mixes}
    found["rest"] = [x for path, x in jax.tree_util.tree_flatten_with_path(inner)[0] if not named(path)]
    return jax.tree.map(np.asarray, found)


def named(path: Any) -> bool:
    """Return True if a leaf belongs to a mix."""
    return any(getattr(key, "key", None) in MIXES for key in path)


def units(a: np.ndarray, b: np.ndarray, widest: Any = jnp.float64) -> float:
    """Return the largest difference of two arrays in units in the last place, infinite where they have other dtypes.

    Where they hold more digits than `widest`, a unit is that of `widest`.
    """
    if a.dtype != b.dtype or a.shape != b.shape:
        return np.inf
    if a.tobytes() == b.tobytes():
        return 0.0
    if not jnp.issubdtype(a.dtype, jnp.floating):
        return np.inf
    x, y = a.astype(np.float64), b.astype(np.float64)
    last = float(max(jnp.finfo(a.dtype).eps, jnp.finfo(widest).eps)) * 2.0 ** np.floor(
        np.log2(np.maximum(np.abs(x), np.abs(y)))
    )
    return float(np.max(np.abs(x - y) / last))


def spy(row: Row) -> gradtx.Transform:
    """Return the watched transform; one group compiles sooner than one a leaf.

    Nothing may stand round a state on the host: there what is inside is watched.
    """
    if row.on_host:
        inside = gradtx.watch(transform(row).settings["tx"], groups=lambda path: "all")
        return gradtx.offload(inside)
    return gradtx.watch(transform(row), groups=lambda path: "all")


def differences(row: Row, mixes: Any, jit: bool) -> dict[str, list[float]]:
    """Return how far the watched run is from the bare one, in units in the last place."""
    # one unit in a float32 leaf is one in every leaf where a scalar of the step comes from all of them
    widest = jnp.float64 if LEAVES in row.laws else jnp.float32
    bare, watched = (run(row, tx, mixes, jit) for tx in (transform(row), spy(row)))
    return {mix: [units(a, b, widest) for a, b in zip(bare[mix], watched[mix], strict=True)] for mix in bare}


def traced(row: Row, mixes: tuple[str, ...]) -> None:
    """Hold a watched update to the shapes and dtypes of the bare one."""
    grads, params = structs(row, mixes)

    def shapes(tx: gradtx.Transform) -> Any:
        return jax.eval_shape(bound(row, tx), grads, jax.eval_shape(tx.init, params), params)

    updates, state = shapes(spy(row))
    chex.assert_trees_all_equal_shapes_and_dtypes((updates, state.inner), shapes(transform(row)))


def watched(row: Row, cell: Cell) -> None:
    """10: updates, params and inner state of a watched run are those of the bare one, bit for bit.

    A row that declares `fused` is held, under jit, to one unit in the last place a step; `test_watch.py` shows that it
    too is exact where the processor has no fused multiply-add. Rows that another stands for and most of the others are
    traced alone: a test of exhaustive runs compiles the latter too, and runs what adds code eagerly.
    """
    with cell.all_mixes():
        traced(row, few_of(row, cell.mixes, exhaustive=cell.exhaustive))
    if is_compiled(row) or cell.exhaustive:
        same_bits(row, cell)


def adds_code(row: Row) -> bool:
    """Return True if the code that differs between a watched and a bare run is the row's own."""
    return row.kind in ("combinator", "wrapper")


def is_compiled(row: Row) -> bool:
    """Return True if every run compiles the watched step of a row: a third of those that add code, an eighth else."""
    return stands_for(row) is row and zlib.crc32(row.name.encode()) % (3 if adds_code(row) else 8) == 0


def same_bits(row: Row, cell: Cell) -> None:
    """Hold the numbers of a watched run to those of the bare one."""
    with cell.all_mixes():
        if cell.exhaustive and adds_code(row):
            eager = differences(row, mixes_of(row, exhaustive=False), jit=False)
            assert not any(any(far) for far in eager.values()), f"eager: {eager} units in the last place"
        compiled = differences(row, cell.mixes, jit=True)
        assert max(compiled.pop("rest"), default=0.0) <= (STEPS if row.fused else 0)
    for mix, far in compiled.items():
        with cell.mix(mix):
            allowed = [*range(1, STEPS + 1), *[STEPS] * (len(far) - STEPS)] if row.fused else [0] * len(far)
            assert all(a <= b for a, b in zip(far, allowed, strict=True)), f"jit: {far} units in the last place"
