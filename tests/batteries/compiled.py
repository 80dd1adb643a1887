"""The contracts that need numbers: 3 (donation), 5 (one result however run), 6 (odd leaves), 7 (accumulators)."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.batteries.mixes import (
    GRADS,
    MIXES,
    PRECISE,
    Cell,
    bound,
    few_of,
    grads_of,
    is_half,
    jitted,
    params_of,
    state_leaves,
    tolerance,
    transform,
    update_dtype,
)
from tests.registry import Row, stands_for
from tests.registry.base import SHAPES

STEPS = len(GRADS)


def donation(row: Row, cell: Cell) -> None:
    """3: right after init the step may be given params and state to overwrite: no buffer stands in them twice."""
    tx = transform(row)
    params = params_of(row, cell.mixes)
    state = tx.init(params)
    with cell.all_mixes():
        owners: dict[int, str] = {}
        for path, leaf in jax.tree_util.tree_flatten_with_path({"params": params, "state": state})[0]:
            name, pointer = jax.tree_util.keystr(path), leaf.unsafe_buffer_pointer()
            assert pointer not in owners, f"{name} shares the buffer of {owners[pointer]}"
            owners[pointer] = name

        flat = jax.tree_util.tree_flatten_with_path((params, state))[0]
        unread = [f"['{name}']" for name in row.unread]
        donated = [leaf for path, leaf in flat if not any(name in jax.tree_util.keystr(path) for name in unread)]
        old = params
        params, state, _ = jitted(row)(params, state, grads_of(row, cell.mixes, 0))
        params, state, _ = jitted(row)(params, state, grads_of(row, cell.mixes, 1))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))
        assert all(leaf.is_deleted() for leaf in donated)
    for mix in cell.mixes:
        with cell.mix(mix):
            chex.assert_tree_all_finite((params[mix], [leaf for _, leaf in state_leaves(state, mix)]))


def by_jit(row: Row, cell: Cell) -> Any:
    """Return the row's update as the jitted step gives it, at params that stay."""

    def update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        del params  # the step overwrites what it is given
        _, state, updates = jitted(row)(params_of(row, cell.mixes), state, grads)
        return updates, state

    return update


def steps_of(row: Row, cell: Cell, update: Any, init: Any, factor: float = 1.0) -> tuple[Any, Any]:
    """Return the stacked updates and the last state of a few steps at fixed params."""
    params = params_of(row, cell.mixes)
    state, updates = init(params), []
    for i in range(STEPS):
        new, state = update(grads_of(row, cell.mixes, i, factor), state, params)
        updates.append(new)
    return jax.tree.map(lambda *xs: jnp.stack(xs), *updates), state


def close(cell: Cell, got: Any, want: Any, what: str, mixes: tuple[str, ...] | None = None) -> None:
    """Note each mix whose updates or state differ by more than rounding."""
    for mix in cell.mixes if mixes is None else mixes:
        with cell.mix(mix):
            mine = (got[0][mix], [leaf for _, leaf in state_leaves(got[1], mix)])
            other = (want[0][mix], [leaf for _, leaf in state_leaves(want[1], mix)])
            rtol = tolerance(want[1], mix, want[0])
            chex.assert_trees_all_equal_shapes_and_dtypes(mine, other)
            mine, other = jax.tree.map(lambda x: np.asarray(x, np.float64), (mine, other))
            chex.assert_trees_all_close(mine, other, rtol=rtol, atol=rtol * 1e-2, custom_message=what)


def one_result(row: Row, cell: Cell) -> None:
    """5: eager, jit, scan and vmap give the same numbers, and the derivative through update is right.

    A row that another stands for is compared under jit alone, unless the run is exhaustive.
    """
    tx = transform(row)
    update = bound(row, tx)
    eager = [steps_of(row, cell, update, tx.init), steps_of(row, cell, update, tx.init, -0.5)]
    close(cell, steps_of(row, cell, by_jit(row, cell), tx.init), eager[0], "jit differs from eager")
    if stands_for(row) is not row and not cell.exhaustive:
        return

    few = few_of(row, cell.mixes, exhaustive=cell.exhaustive)
    params = params_of(row, few)

    def run(grads: Any) -> tuple[Any, Any]:
        def body(state: Any, grads: Any) -> tuple[Any, Any]:
            updates, state = update(grads, state, params)
            return state, updates

        state, updates = lax.scan(body, tx.init(params), grads)
        return updates, state

    both = [
        jax.tree.map(lambda *xs: jnp.stack(xs), *[grads_of(row, few, i, factor) for i in range(STEPS)])
        for factor in (1.0, -0.5)
    ]
    with cell.all_mixes():
        if cell.exhaustive:  # else the scan inside vmap stands for it
            close(cell, jax.jit(run)(both[0]), eager[0], "scan differs from eager", few)
        stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *both)
        batch = jax.jit(jax.vmap(run))(stacked)
        for i, want in enumerate(eager):
            close(cell, jax.tree.map(lambda x, i=i: x[i], batch), want, "vmap of scan differs from eager", few)
        derivative(row, cell, few, jax.tree.map(lambda x: x[0], batch[1]))


def derivative(row: Row, cell: Cell, mixes: tuple[str, ...], state: Any) -> None:
    """Check d update / d gradient: finite in these mixes; in float64, over two steps, the slope where smooth."""
    update = bound(row, transform(row))
    params = params_of(row, mixes)
    weights = 1.0 + 0.5 * np.arange(params[PRECISE].size).reshape(params[PRECISE].shape)

    def weighted(updates: Any) -> jax.Array:
        return sum(jnp.vdot(weights, u.astype(jnp.float64)) for u in jax.tree.leaves(updates))

    slope = jax.jit(jax.grad(lambda grads: weighted(update(grads, state, params)[0])))(grads_of(row, mixes, 1))
    for mix in mixes:
        with cell.mix(mix):
            chex.assert_tree_all_finite(slope[mix])
    if not row.differentiable or row.stored:
        return
    only = {PRECISE: params[PRECISE]}
    grads = grads_of(row, cell.mixes, 0)[PRECISE]

    def total(first: jax.Array) -> jax.Array:
        one, state = update({PRECISE: first}, transform(row).init(only), only)
        two, _ = update({PRECISE: grads_of(row, cell.mixes, 1)[PRECISE]}, state, only)
        return weighted((one, two))

    with cell.mix(PRECISE):
        run = jax.jit(jax.value_and_grad(total))
        step = 1e-4 * grads * np.resize([0.8, -0.5, 0.3], grads.shape)
        above, below = (run(grads + sign * step)[0] for sign in (1.0, -1.0))
        np.testing.assert_allclose(jnp.vdot(run(grads)[1], step), (above - below) / 2, rtol=1e-4, atol=1e-9)


def odd_shapes(row: Row) -> dict[str, tuple[int, ...]]:
    """Return the shapes of leaves at the edge of what a row takes: none of an array's numbers, one, and a few."""
    first = SHAPES[row.shapes[0]]
    scalar = {"scalar": ()} if "scalar" in row.shapes else {}
    return {**scalar, "empty": (0, 3) if "vector" in row.shapes else (*first[:-1], 0), "w": first}


def odd_leaves(row: Row, cell: Cell) -> None:
    """6: None, empty trees, 0-d and zero-size leaves pass, and a zero gradient gives a finite update."""
    tx = transform(row)
    update = bound(row, tx)
    few = few_of(row, cell.mixes, exhaustive=cell.exhaustive)

    def odd(dtypes: int, *, ones: bool, mixes: tuple[str, ...] = few) -> Any:
        make = jnp.ones if ones else jnp.zeros
        return {
            mix: {"none": None} | {name: make(shape, MIXES[mix][dtypes]) for name, shape in odd_shapes(row).items()}
            for mix in mixes
        }

    with cell.all_mixes():
        for empty in ({}, (), [], {"a": None, "b": {}}) if cell.exhaustive else ((), {"a": None, "b": {}}):
            updates, _ = update(empty, tx.init(empty), empty)
            assert jax.tree.structure(updates) == jax.tree.structure(empty)
        every = [odd(1, ones=True, mixes=cell.mixes), odd(0, ones=False, mixes=cell.mixes)]
        traced, _ = jax.eval_shape(lambda p, g: update(g, tx.init(p), p), *every)
        chex.assert_trees_all_equal_shapes(traced, every[0])
        params, zero = odd(1, ones=True), odd(0, ones=False)
        state = tx.init(params)
        run = jax.jit(update)
        for p in (params, odd(1, ones=False)):
            for _ in range(2):
                updates, state = run(zero, state, p)
                for mix in few:
                    with cell.mix(mix):
                        assert updates[mix]["none"] is None
                        chex.assert_trees_all_equal_shapes(updates[mix], p[mix])
                        chex.assert_tree_all_finite((updates[mix], [leaf for _, leaf in state_leaves(state, mix)]))
        frozen = {**params_of(row, cell.mixes), PRECISE: None}
        state = tx.init(params_of(row, cell.mixes))
        updates, new = jax.eval_shape(update, {**grads_of(row, cell.mixes, 0), PRECISE: None}, state, frozen)
        assert updates[PRECISE] is None
        assert jax.tree.structure(new) == jax.tree.structure(state)


def accumulators(row: Row, cell: Cell) -> None:
    """7: slots are float32 or wider, updates of the dtype expected, and half precision gives the numbers of float64."""
    tx = transform(row)
    updates, state = steps_of(row, cell, by_jit(row, cell), tx.init)
    for mix in cell.mixes:
        g, p = MIXES[mix]
        with cell.mix(mix):
            for path, slot in state_leaves(state, mix):
                asked = next((jnp.dtype(d) for name, d in row.stored.items() if f"['{name}']" in path), None)
                assert slot.dtype == asked if asked else not is_half(slot.dtype), (path, slot.dtype)
            assert updates[mix].dtype == update_dtype(row, g, p)
            if row.random or (row.stores and is_half(p)):
                continue
            got, want = np.asarray(updates[mix], np.float64), np.asarray(updates[PRECISE])
            assert row.sparse or row.zero or np.all(np.abs(want[max(row.first, row.moves) - 1 :]) > 0)
            rtol = tolerance(state, mix, updates, 1e-4)
            np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * 1e-3)
