"""Leaves that wait for each other on one CPU device: the same numbers to the last bit, and nothing of it elsewhere.

The suite has 8 devices, where nothing waits; here it is told that there is one. That memory is saved is held by
`tests/batteries/test_speed.py`, in a process with one device.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx._core.arrays import turns
from gradtx._core.arrays.mean_squares import held_means, held_means_by_slices, mean_squares

WAIT = {
    "adafactor": gradtx.adafactor(0.1, min_dim_size_to_factor=2, weight_decay_rate=0.1),
    "lamb": gradtx.lamb(0.1, weight_decay=0.1),
    "lars": gradtx.lars(0.1, weight_decay=0.1),
    "sm3": gradtx.sm3(0.1),
    "a factored sigma under a mean": gradtx.ratio(gradtx.ema(0.9), gradtx.scale_by_factored_rms(True, 0.8, 0, 2)),
    "acprop": gradtx.acprop(0.1),
    "adan": gradtx.adan(0.1),
    "adopt": gradtx.adopt(0.1, nesterov=True),
    "mars": gradtx.mars(0.1),
    "mars, each array": gradtx.mars(0.1, per_array=True),
    "optimistic_adam_v2": gradtx.optimistic_adam_v2(0.1),
    "rprop": gradtx.rprop(0.1),
    "schedule_free_adamw": gradtx.schedule_free_adamw(0.1),
    "dadapt_adamw": gradtx.dadapt_adamw(),
    "mechanize": gradtx.mechanize(gradtx.adam(0.1)),
}


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return the function after which all leaves but scalars wait."""

    def begin() -> None:
        monkeypatch.setattr(turns, "on_one_device", lambda: True)
        monkeypatch.setattr(turns, "LEAST", 2)
        jax.clear_caches()  # they hold what was traced before

    return begin


def params(dtype: Any) -> dict[str, Any]:
    """Return leaves of several shapes, one of them empty, one alike another."""
    shapes = {"a": (6, 5), "b": (7,), "c": (6, 5), "none": (0, 3), "scalar": (), "stack": (2, 4, 3)}
    return {key: jnp.asarray(np.random.default_rng(1).standard_normal(shape), dtype) for key, shape in shapes.items()}


def run(tx: gradtx.Transform, dtype: Any) -> Any:
    """Return where four steps lead, and the state."""

    @jax.jit
    def step(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    p = params(dtype)
    state = tx.init(p)
    for scale in (1.0, -0.5, 3.0, 1e-3):
        p, state = step(p, state, jax.tree.map(lambda x, scale=scale: jnp.cos(x) * jnp.asarray(scale, x.dtype), p))
    return p, state


@pytest.mark.share(3)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", WAIT)
def test_waiting_changes_no_number(name: str, dtype: str, wait: Callable[[], None]) -> None:
    alone = run(WAIT[name], dtype)
    wait()
    again = run(WAIT[name], dtype)
    chex.assert_trees_all_equal(again, alone)


def test_a_leaf_waits_only_where_it_helps(wait: Callable[[], None]) -> None:
    seen = []

    @jax.jit
    def look(x: jax.Array, z: jax.Array) -> jax.Array:
        seen.extend([turns.takes_turns(x), turns.takes_turns(z), turns.takes_turns(jnp.ones(3))])
        return x

    look(jnp.ones(3), jnp.ones(3, jnp.complex64))
    wait()
    look(jnp.ones(3), jnp.ones(3, jnp.complex64))
    with turns.no_turns():
        jax.clear_caches()
        look(jnp.ones(3), jnp.ones(3, jnp.complex64))
    assert seen == [False, False, False, True, False, True, False, False, False]
    assert not turns.takes_turns(jnp.ones(3))  # outside jit each leaf is a program of its own


@pytest.mark.parametrize("value", [0.0, -1.0, 3.0, np.inf, -np.inf, np.nan])
def test_the_number_is_always_1(value: float) -> None:
    assert jax.jit(turns.next_turn)(jnp.full((2, 3), value, jnp.float32)).item() == 1.0
    assert turns.next_turn(jnp.asarray(value, jnp.bfloat16)).item() == 1.0


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_nothing_waits_on_another_platform(platform: str) -> None:
    """There the number is a constant, which XLA leaves out; on a CPU it is compared."""
    traced = jax.jit(lambda x, y: turns.in_turn(x, turns.next_turn(y))).trace(jnp.ones(3), jnp.ones(3))
    assert "compare" not in traced.lower(lowering_platforms=(platform,)).as_text()
    assert "compare" in traced.lower(lowering_platforms=("cpu",)).as_text()


def test_derivatives_pass_as_if_nothing_waited(wait: Callable[[], None]) -> None:
    p = {key: params(jnp.float64)[key] for key in ("a", "c")}

    def size(g: Any) -> jax.Array:
        u, _ = WAIT["lamb"].update(g, WAIT["lamb"].init(p), p)
        return sum(jnp.vdot(x, jnp.sin(y)) for x, y in zip(jax.tree.leaves(u), jax.tree.leaves(p), strict=True))

    alone = jax.jit(jax.grad(size))(p)
    wait()
    chex.assert_trees_all_close(jax.jit(jax.grad(size))(p), alone, rtol=1e-12)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (0, 2), (2, 1)])
@pytest.mark.parametrize("size", [1.0, 1e19])
def test_means_of_squares_by_slices(axes: tuple[int, int], size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4, 5)[: max(axes) + 1]) * size, jnp.float32)
    expected = [np.minimum(np.asarray(x, np.float64) ** 2, np.finfo(np.float32).max / 4).mean(axis) for axis in axes]
    chex.assert_trees_all_close(list(mean_squares(x, axes)), expected, rtol=1e-5)
    assert "cond[" not in str(jax.make_jaxpr(lambda x: mean_squares(x, axes))(x))
    monkeypatch.setattr("gradtx._core.arrays.mean_squares.SMALL", 0)  # now it is a large leaf
    assert "cond[" in str(jax.make_jaxpr(lambda x: mean_squares(x, axes))(x))
    for form in (held_means, held_means_by_slices, mean_squares):
        chex.assert_trees_all_close(list(form(x, axes)), expected, rtol=1e-5)
