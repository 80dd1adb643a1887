"""SOAP and Shampoo beyond their rows: what they are for, what they cost, and where their bases have two sides."""

import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

RNG = np.random.default_rng(11)
SHAPES = {"a": (4, 6), "b": (4, 6), "c": (5, 3), "bias": (4,)}


def grads_of(dtype: Any = jnp.float32) -> Any:
    return {name: jnp.asarray(RNG.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def loss_after(tx: gradtx.Transform, steps: int = 300) -> float:
    """Return the loss of a quadratic whose curvatures, 1 to 1000 a side, stand at an angle to the axes."""
    turn = [jnp.asarray(np.linalg.qr(np.random.default_rng(seed).standard_normal((8, 8)))[0]) for seed in (1, 2)]
    bend = jnp.logspace(0, 3, 8)

    def loss(w: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(bend[:, None] * bend[None] * (turn[0].T @ w @ turn[1]) ** 2) / 1e3

    def step(carry: Any, _: Any) -> Any:
        w, state = carry
        u, state = tx.update(jax.grad(loss)(w), state, w)
        return (gradtx.apply_updates(w, u), state), None

    w = jnp.asarray(np.random.default_rng(3).standard_normal((8, 8)))
    (w, _), _ = jax.jit(lambda carry: jax.lax.scan(step, carry, length=steps))((w, tx.init(w)))
    return float(loss(w))


def test_a_turned_quadratic_is_solved_in_its_own_basis() -> None:
    rate = gradtx.linear_schedule(0.1, 0.0, 300)
    adam = loss_after(gradtx.adam(rate))
    assert loss_after(gradtx.soap(rate, weight_decay=0.0)) < 0.1 * adam
    assert loss_after(gradtx.shampoo(rate, None, 0.9, 1e-12)) < 0.1 * adam


@pytest.mark.parametrize("make", [gradtx.scale_by_soap, gradtx.scale_by_shampoo])
def test_a_basis_is_computed_in_a_branch_alone(make: Any) -> None:
    """One choice for each matrix and side set; between refreshes a step decomposes nothing."""
    tx, grads = make(precondition_frequency=10), grads_of()
    state = tx.init(grads)
    text = jax.jit(tx.update).lower(grads, state).compile().as_text()
    sides = 1 if make is gradtx.scale_by_soap else 2
    assert len(re.findall(r" conditional\(", text)) == 3 * sides
    main = text[text.index("ENTRY") :]
    assert not re.search("syevd|geqrf|lapack", main)


def test_soap_waits_for_the_first_gradient() -> None:
    tx, grads = gradtx.scale_by_soap(precondition_frequency=3), grads_of()
    state, bases = tx.init(grads), []
    for t in range(7):
        u, state = tx.update(grads_of(), state)
        assert bool(np.any(u["a"])) == (t > 0)
        assert np.any(u["bias"])
        q = state.slots["left_basis"]["c"]
        chex.assert_trees_all_close(q.T @ q, np.eye(5, dtype=np.float32), atol=1e-5)
        bases.append(np.asarray(q))
    renewed = [t for t in range(1, 7) if not np.array_equal(bases[t], bases[t - 1])]
    assert renewed == [3, 6]


def test_soap_has_no_basis_for_a_long_side() -> None:
    tx = gradtx.scale_by_soap(max_precond_dim=5)
    slots = tx.init(grads_of()).slots
    assert slots["left"]["a"].shape == (4, 4)
    assert slots["right"]["a"].shape == (1,)
    assert slots["right_basis"]["c"].shape == (3, 3)
    assert slots["left_basis"]["bias"].shape == (1,)


@pytest.mark.share(2)
@pytest.mark.parametrize("make", [gradtx.soap, gradtx.shampoo])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.complex64])
def test_both_sides_in_a_donated_scan(make: Any, dtype: Any) -> None:
    tx, params = make(0.01, precondition_frequency=2), grads_of(dtype)

    def run(params: Any, state: Any, grads: Any) -> Any:
        def step(carry: Any, g: Any) -> Any:
            u, state = tx.update(g, carry[1], carry[0])
            return (gradtx.apply_updates(carry[0], u), state), None

        return jax.lax.scan(step, (params, state), grads)[0]

    grads = jax.tree.map(lambda *xs: jnp.stack(xs), *[grads_of(dtype) for _ in range(6)])
    start = jax.tree.map(np.asarray, params)
    new, state = jax.jit(run, donate_argnums=(0, 1))(params, tx.init(params), grads)
    chex.assert_tree_all_finite((new, state))
    for name in SHAPES:
        assert new[name].dtype == dtype
        assert np.any(np.asarray(new[name]) != start[name])
        assert state[0].slots["left"][name].dtype in (jnp.float32, jnp.complex64)


@pytest.mark.parametrize("make", [gradtx.scale_by_soap, gradtx.scale_by_shampoo])
def test_huge_gradients_leave_no_infinity(make: Any) -> None:
    tx, grads = make(), grads_of()
    state = tx.init(grads)
    for size in (1e25, 1.0, 1.0):
        u, state = jax.jit(tx.update)(jax.tree.map(lambda g, size=size: g * jnp.float32(size), grads), state)
        chex.assert_tree_all_finite((u, state))


def test_shampoo_sums_where_its_weight_is_one_in_any_form() -> None:
    grads = [grads_of(jnp.float64) for _ in range(3)]
    runs = []
    for b2 in (1.0, jnp.asarray(1.0), lambda count: 1.0):
        tx = gradtx.scale_by_shampoo(b2, 1e-3)
        state, out = tx.init(grads[0]), []
        for g in grads:
            u, state = tx.update(g, state)
            out.append(u)
        runs.append(out)
    chex.assert_trees_all_close(runs[0], runs[1], rtol=1e-9)
    chex.assert_trees_all_close(runs[0], runs[2], rtol=1e-9)


@pytest.mark.parametrize("make", [gradtx.scale_by_soap, gradtx.scale_by_shampoo])
@pytest.mark.parametrize("compiled", [True, False])
def test_slots_of_layers_are_sharded_by_layer(make: Any, compiled: bool) -> None:
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2], axis_types=(jax.sharding.AxisType.Auto,))
    by_layer = jax.NamedSharding(mesh, jax.P("x"))
    plain = jnp.asarray(RNG.standard_normal((4, 3, 3)), jnp.float32)
    tx = make(weight_dimension_numbers=gradtx.MuonDimensionNumbers(-2, -1))
    alone, _ = tx.update(plain, tx.update(plain, tx.init(plain))[1])
    w = jax.device_put(plain, by_layer)
    state = jax.jit(tx.init)(w) if compiled else tx.init(w)
    step = jax.jit(tx.update)
    u, state = step(w, step(w, state)[1])
    for slot in jax.tree.leaves(state.slots):
        assert slot.sharding.is_equivalent_to(by_layer, 3)
    chex.assert_trees_all_close(u, alone, rtol=1e-4, atol=1e-4)
