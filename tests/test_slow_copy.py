"""Slow copies of the parameters: a moving average, and a copy that is renewed every few steps."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import gradtx

RNG = np.random.default_rng(2)
NEW, OLD = ({"w": jnp.asarray(RNG.normal(size=(3, 2))), "b": [jnp.asarray(RNG.normal()), None]} for _ in range(2))


@pytest.mark.parametrize("step", [0.0, 0.01, 0.5, 1.0, jnp.float32(0.25)])
def test_an_average_moves_by_its_step(step: Any) -> None:
    got = gradtx.incremental_update(NEW, OLD, step)
    wanted = {"w": np.empty((3, 2)), "b": [np.empty(()), None]}
    for i in np.ndindex(3, 2):
        wanted["w"][i] = float(OLD["w"][i]) + float(step) * (float(NEW["w"][i]) - float(OLD["w"][i]))
    wanted["b"][0] = np.asarray(float(OLD["b"][0]) + float(step) * (float(NEW["b"][0]) - float(OLD["b"][0])))
    chex.assert_trees_all_close(got, wanted, rtol=1e-12)
    if isinstance(step, float):
        chex.assert_trees_all_close(got, optax.incremental_update(NEW, OLD, step), rtol=1e-12)
    if step in (0.0, 1.0):
        chex.assert_trees_all_equal(got, NEW if step else OLD)


@pytest.mark.parametrize("new", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("old", ["float32", "bfloat16", "float16", "float64"])
def test_an_average_keeps_its_dtype(new: str, old: str) -> None:
    p, a = jnp.full(3, 1.5, new), jnp.full(3, 0.5, old)
    run = jax.jit(lambda a: lax.scan(lambda a, _: (gradtx.incremental_update(p, a, 0.5), None), a, length=3)[0])
    assert run(a).dtype == jnp.dtype(old)
    np.testing.assert_array_equal(np.asarray(run(a), np.float64), np.full(3, 1.375))


def test_a_half_precision_average_rounds_once() -> None:
    p, a = jnp.asarray(RNG.normal(size=100), jnp.bfloat16), jnp.asarray(RNG.normal(size=100), jnp.bfloat16)
    wanted = jnp.asarray(0.3 * np.asarray(p, np.float64) + 0.7 * np.asarray(a, np.float64), jnp.bfloat16)
    np.testing.assert_array_equal(gradtx.incremental_update(p, a, 0.3), wanted)


def test_what_has_no_average_is_taken_as_it_is() -> None:
    new = {"steps": jnp.int32(7), "on": jnp.array(True), "key": jax.random.key(1), "w": jnp.array(1.0 + 1.0j)}
    old = {"steps": jnp.int32(3), "on": jnp.array(False), "key": jax.random.key(0), "w": jnp.array(3.0 - 1.0j)}
    got = gradtx.incremental_update(new, old, 0.5)
    assert int(got["steps"]) == 7
    assert got["steps"].dtype == jnp.int32
    assert bool(got["on"])
    assert got["key"] == new["key"]
    assert got["w"] == 2.0
    copy = gradtx.periodic_update(new, old, 3, 2)
    assert int(copy["steps"]) == 3
    assert copy["key"] == old["key"]


@pytest.mark.parametrize("period", [1, 3, jnp.int32(3), np.int64(4)])
def test_a_copy_is_renewed_every_few_steps(period: Any) -> None:
    copy, theirs = OLD, OLD
    for step in range(8):
        new = jax.tree.map(lambda x, step=step: x + step, NEW)
        got = gradtx.periodic_update(new, copy, step, period)
        chex.assert_trees_all_equal(got, new if step % int(period) == 0 else copy)
        theirs = optax.periodic_update(new, theirs, step, int(period))
        chex.assert_trees_all_equal(got, theirs)
        copy = got


def test_a_copy_in_another_dtype_inside_a_scan() -> None:
    p, copy = jnp.arange(6, dtype=jnp.float32), jnp.zeros((), jnp.bfloat16)

    def body(carry: Any, new: Any) -> Any:
        copy, step = carry
        copy = gradtx.periodic_update(new, copy, step, 4)
        return (copy, step + 1), copy

    _, copies = jax.jit(lambda: lax.scan(body, (copy, jnp.int32(0)), p))()
    assert copies.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(copies, np.float64), [0, 0, 0, 0, 4, 4])


def test_derivatives_pass_through_an_average() -> None:
    slope = jax.grad(lambda s: gradtx.incremental_update(jnp.array(3.0), jnp.array(1.0), s))(0.25)
    assert slope == 2.0
