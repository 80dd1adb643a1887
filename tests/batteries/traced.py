"""The contracts that tracing decides: 1 (stable state), 2 (one structure), 4 (shapes), 8 (extras), 9 (strict)."""

import contextlib
import functools
import inspect
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

import gradtx
from gradtx._core.arguments.ranges import is_number
from tests.batteries.mixes import (
    MIXES,
    Cell,
    bound,
    grads_of,
    jitted,
    mix_of,
    params_of,
    stepping,
    structs,
    transform,
)
from tests.registry import Row


def aspects(tree: Any) -> list[Any]:
    """Return what must not change in a state: paths, shapes, dtypes, weak types."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path), x.shape, x.dtype, x.weak_type) for path, x in leaves]


def same_state(old: Any, new: Any) -> None:
    """Assert that two states agree in structure, shapes, dtypes and weak types."""
    assert jax.tree.structure(old) == jax.tree.structure(new)
    chex.assert_trees_all_equal_shapes_and_dtypes(old, new)
    assert aspects(old) == aspects(new)


def stable_state(row: Row, cell: Cell) -> None:
    """1: update keeps the state's structure, shapes, dtypes, weak types; scan and cond carry it; jit compiles once."""
    tx = transform(row)
    showing = stepping(row, tx)

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        return showing(params, state, grads)[:2]

    def carried(params: Any, state: Any, grads: Any) -> Any:
        return lax.scan(lambda carry, _: (step(*carry, grads), None), (params, state), length=2)[0]

    def chosen(params: Any, state: Any, grads: Any) -> Any:
        return lax.cond(True, lambda p, s: step(p, s, grads), lambda p, s: (p, s), params, state)

    def check(mixes: tuple[str, ...]) -> None:
        grads, params = structs(row, mixes)
        state = jax.eval_shape(tx.init, params)
        for run in (step, carried, chosen):
            new_params, new_state = jax.eval_shape(run, params, state, grads)
            same_state(state, new_state)
            chex.assert_trees_all_equal_shapes_and_dtypes(params, new_params)

    cell.together(check)
    with cell.all_mixes():
        params = jax.device_put(params_of(row, cell.mixes), jax.devices()[0] if row.on_host else None)
        state = tx.init(params)
        first = jax.eval_shape(lambda: state)
        for i in range(3):
            params, state, _ = jitted(row)(params, state, grads_of(row, cell.mixes, i))
            same_state(first, jax.eval_shape(lambda state=state: state))
        assert jitted(row)._cache_size() == 1, "jit compiles more than once"


def numbers_of(row: Row) -> dict[str, float]:
    """Return the numeric settings of a row's factory that may also be arrays or schedules."""
    accepted = inspect.signature(getattr(gradtx, row.public)).parameters
    settings = {name: value for name, value in transform(row).settings.items() if name in accepted}
    return {k: float(v) for k, v in settings.items() if is_number(v) and k not in row.numbers_only}


def one_structure(row: Row, cell: Cell) -> None:
    """2: number, array and schedule give one structure; a row without numbers gives it again when made anew."""
    numbers = numbers_of(row)
    assert row.hyper is None or row.hyper in numbers
    variants = {
        "numbers": row.make(**numbers),
        "arrays": row.make(**{name: jnp.float32(n) for name, n in numbers.items()}),
        "schedules": row.make(**{k: lambda count, n=n: jnp.where(count < 0, 0.0, n) for k, n in numbers.items()}),
    }

    def check(mixes: tuple[str, ...]) -> None:
        grads, params = structs(row, mixes)
        expected = jax.eval_shape(transform(row).init, params)
        for form, tx in variants.items():
            state = jax.eval_shape(tx.init, params)
            assert aspects(state) == aspects(expected), form
            same_state(expected, jax.eval_shape(bound(row, tx), grads, state, params)[1])

    cell.together(check)


def shapes_only(row: Row, cell: Cell) -> None:
    """4: init and update run on shapes alone, and slots are sharded as their parameters."""
    tx = transform(row)

    def check(mixes: tuple[str, ...]) -> None:
        grads, params = structs(row, mixes)
        updates, _ = jax.eval_shape(bound(row, tx), grads, jax.eval_shape(tx.init, params), params)
        chex.assert_trees_all_equal_shapes(updates, params)

    cell.together(check)
    with cell.all_mixes():
        params = params_of(row, cell.mixes)
        shape = next(iter(params.values())).shape
        mesh = jax.make_mesh(shape[:1], ("x",), devices=jax.devices()[: shape[0]])
        spread = NamedSharding(mesh, PartitionSpec("x"))
        params = jax.device_put(params, spread)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tx.init(params))[0]:
            if mix_of(path) is not None and leaf.shape == shape:
                like = spread.with_memory_kind(leaf.sharding.memory_kind)
                assert leaf.sharding.is_equivalent_to(like, leaf.ndim), (jax.tree_util.keystr(path), leaf.sharding)


class OnceBelow:
    """An event schedule of the tests' own: halve when the measurement falls below 1."""

    argument = "measured_loss"

    def happened(self, measured: jax.Array) -> jax.Array:
        return measured < 1.0

    def value(self, count: jax.Array, switched: jax.Array) -> jax.Array:
        del count
        return jnp.where(switched < 0, 0.5, 0.25)


def extras(row: Row, cell: Cell) -> None:
    """8: unknown extra arguments are ignored; one that is needed and missing is an error that names it."""
    tx = transform(row)
    waits = row.make(**{row.event: OnceBelow()}) if row.event else None

    def check(mixes: tuple[str, ...]) -> None:
        grads, params = structs(row, mixes)
        state = jax.eval_shape(tx.init, params)
        known = jax.eval_shape(bound(row, tx), grads, state, params)
        spare = bound(row, tx, unknown_to_all=1.0, another=jnp.ones(3), text="x")
        more = jax.eval_shape(spare, grads, state, params)
        assert aspects(known) == aspects(more)
        names: list[str] = []
        jax.eval_shape(lambda g, p: names.extend(row.given(g, p)), grads, params)
        for name in names:

            def lacking(g: Any, s: Any, p: Any, name: str = name) -> Any:
                return tx.update(g, s, p, **{key: x for key, x in row.given(g, p).items() if key != name})

            with pytest.raises((TypeError, ValueError), match=name):
                jax.eval_shape(lacking, grads, state, params)
        if waits is not None:
            same_state(state, jax.eval_shape(waits.init, params))
            with pytest.raises(ValueError, match="measured_loss is missing"):
                jax.eval_shape(bound(row, waits), grads, state, params)
            told = bound(row, waits, measured_loss=0.5)
            same_state(state, jax.eval_shape(told, grads, state, params)[1])

    cell.together(check)


def strict(row: Row, cell: Cell) -> None:
    """9: strict promotion raises nowhere, with float64 on or off, for hyperparameters of any dtype."""
    forms: list[dict[str, Any]] = [{}]
    if row.hyper:
        given = [jnp.asarray(0.5, jnp.bfloat16), np.float32(0.5), lambda count: 0 * count.astype(jnp.float16)]
        forms += [{row.hyper: value} for value in given]
    transforms = [transform(row) if not form else row.make(**form) for form in forms]

    def check(mixes: tuple[str, ...], *, x64: bool, transforms: list[gradtx.Transform]) -> None:
        with contextlib.ExitStack() as settings:
            settings.enter_context(jax.enable_x64(x64))
            settings.enter_context(jax.numpy_dtype_promotion("strict"))
            settings.enter_context(jax.numpy_rank_promotion("raise"))
            grads, params = structs(row, mixes)
            for tx in transforms:
                state = jax.eval_shape(tx.init, params)
                updates, _ = jax.eval_shape(bound(row, tx), grads, state, params)
                jax.eval_shape(gradtx.apply_updates, params, updates)

    # contract 2 has given other forms with float64 on
    cell.together(functools.partial(check, x64=True, transforms=transforms if cell.exhaustive else transforms[:2]))
    narrow = tuple(mix for mix in cell.mixes if jnp.float64 not in MIXES[mix])
    cell.together(functools.partial(check, x64=False, transforms=transforms), narrow)
