"""GaLore beyond the registry: against optax, weights of more dimensions, ranks, odd gradients and what it stores."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gradtx
from gradtx import GaLoreDimensionNumbers

SHAPES = {"tall": (6, 4), "wide": (3, 5), "square": (4, 4), "bias": (3,), "gain": (), "heads": (3, 2, 4)}
HEADS = {name: GaLoreDimensionNumbers(0, (1, 2)) if name == "heads" else None for name in SHAPES}


def trees(steps: int, dtype: Any = jnp.float32) -> list[Any]:
    rng = np.random.default_rng(5)
    return [{k: jnp.asarray(rng.standard_normal(s), dtype) for k, s in SHAPES.items()} for _ in range(steps)]


def run(tx: Any, grads: list[Any], params: Any) -> tuple[list[Any], Any]:
    state, update, out = tx.init(params), jax.jit(tx.update), []
    for g in grads:
        u, state = update(g, state, params)
        out.append(u)
    return out, state


@pytest.mark.share(3)
@pytest.mark.parametrize("settings", [{}, {"weight_dimension_numbers": HEADS}, {"scale": 0.25, "rank": 3}], ids=str)
def test_agrees_with_optax(settings: dict[str, Any]) -> None:
    """In float32, which is what optax takes the singular vectors in, up to the second choice of directions."""
    params, *grads = trees(6)
    settings = {"rank": 2, "update_proj_gap": 5, **settings}
    with jax.enable_x64(False):
        ours, state = run(gradtx.galore(0.1, weight_decay=0.01, **settings), grads, params)
        with jax.numpy_dtype_promotion("standard"):
            theirs, other = run(optax.contrib.galore(0.1, weight_decay=0.01, **settings), grads, params)
    chex.assert_trees_all_close(ours, theirs, rtol=2e-4, atol=2e-5)
    mine, their = state[0].base_optimizer_state.mu, other[0].base_optimizer_state.mu
    chex.assert_trees_all_equal_shapes(mine, their)
    chex.assert_trees_all_close(jax.tree.map(jnp.abs, mine), jax.tree.map(jnp.abs, their), rtol=2e-3, atol=1e-5)


def test_in_float64_it_is_exact_where_optax_is_not() -> None:
    g = trees(1, jnp.float64)[0]["tall"]
    plain = gradtx.scale_by_galore(rank=4, base_optimizer=gradtx.identity())
    u, _ = plain.update(g, plain.init(g), g)
    np.testing.assert_allclose(u, g, rtol=1e-12)
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.contrib.scale_by_galore(rank=4, base_optimizer=optax.identity())
        v, _ = theirs.update(g, theirs.init(g), g)
    assert np.max(np.abs(np.asarray(v - g))) > 1e-9


def test_the_projection_is_the_best_of_its_rank() -> None:
    """Eckart & Young: no matrix of the rank is nearer to the gradient."""
    for name in ("tall", "wide", "square"):
        g = trees(1, jnp.float64)[0][name]
        for rank in (1, 2, 128):
            tx = gradtx.scale_by_galore(rank=rank, base_optimizer=gradtx.identity())
            u, state = tx.update(g, tx.init(g), g)
            left, values, right = np.linalg.svd(np.asarray(g), full_matrices=False)
            best = (left[:, :rank] * values[:rank]) @ right[:rank]
            np.testing.assert_allclose(u, best, atol=1e-12)
            assert state.projector.shape == (max(g.shape), min(rank, *g.shape))


def test_a_batch_of_matrices_is_each_by_itself() -> None:
    rng = np.random.default_rng(1)
    grads = [jnp.asarray(rng.standard_normal((3, 6, 4))) for _ in range(3)]
    tx = gradtx.scale_by_galore(rank=2, weight_dimension_numbers=GaLoreDimensionNumbers(-2, -1))
    together, state = run(tx, grads, grads[0])
    assert state.base_optimizer_state.mu.shape == (3, 2, 4)
    for i in range(3):
        alone, _ = run(gradtx.scale_by_galore(rank=2), [g[i] for g in grads], grads[0][i])
        chex.assert_trees_all_close([u[i] for u in together], alone, rtol=1e-12)


def test_dimension_numbers_may_be_optaxs_or_a_function() -> None:
    params, g = trees(2)
    theirs = {**HEADS, "heads": optax.contrib.GaLoreDimensionNumbers(0, (1, 2))}
    results = [
        run(gradtx.scale_by_galore(rank=2, weight_dimension_numbers=numbers), [g], params)[0]
        for numbers in (HEADS, theirs, lambda params: {k: HEADS[k] for k in params})
    ]
    chex.assert_trees_all_equal(results[0], results[1], results[2])


def test_a_gradient_that_is_not_finite_chooses_no_directions() -> None:
    g = trees(1, jnp.float64)[0]["tall"]
    tx = gradtx.scale_by_galore(rank=2, update_proj_gap=1, base_optimizer=gradtx.identity())
    _, one = tx.update(g, tx.init(g), g)
    _, two = jax.jit(tx.update)(g.at[0, 0].set(jnp.nan), one, g)
    np.testing.assert_array_equal(two.projector, one.projector)
    u, _ = tx.update(g, two, g)
    assert np.all(np.isfinite(u))


def test_complex_matrices() -> None:
    rng = np.random.default_rng(2)
    g = jnp.asarray(rng.standard_normal((4, 3)) + 1j * rng.standard_normal((4, 3)))
    for x in (g, g.T):
        tx = gradtx.scale_by_galore(rank=3, base_optimizer=gradtx.identity())
        u, state = tx.update(x, tx.init(x), x)
        np.testing.assert_allclose(u, x, rtol=1e-12)
        largest = np.take_along_axis(
            np.asarray(state.projector), np.argmax(np.abs(state.projector), axis=0, keepdims=True), axis=0
        )
        np.testing.assert_allclose(largest.imag, 0.0, atol=1e-12)


def test_half_precision_has_wide_state() -> None:
    params, g = trees(2, jnp.bfloat16)
    with jax.enable_x64(False):
        u, state = run(gradtx.galore(0.1, rank=2), [g], params)
    assert {x.dtype for x in jax.tree.leaves(state)} == {jnp.dtype("float32"), jnp.dtype("int32")}
    assert {x.dtype for x in jax.tree.leaves(u)} == {jnp.dtype("bfloat16")}


def test_a_base_that_needs_params_says_so() -> None:
    params, g = trees(2)
    tx = gradtx.scale_by_galore(rank=2, base_optimizer=gradtx.adamw(0.1))
    with pytest.raises(ValueError, match="add_decayed_weights: params is None"):
        tx.update(g, tx.init(params), params)


def test_galore_is_seen_through() -> None:
    params, g = trees(2)
    tx = gradtx.galore(0.1, rank=2, scale=0.5, base_optimizer=gradtx.scale_by_adam(b1=0.8))
    text = "scale_by_galore(rank=2, update_proj_gap=200, scale=0.5, base_optimizer=scale_by_adam(b1=0.8"
    assert text in str(tx)
    seen = gradtx.hyperparams(tx, tx.init(params))
    assert seen["scale_by_galore.scale"] == 0.5
    assert seen["scale_by_galore.scale_by_adam.b1"] == 0.8
    spy = gradtx.watch(tx)
    state = spy.init(params)
    for _ in range(3):
        _, state = spy.update(g, state, params)
    assert gradtx.metrics(state)["learning_rate"] == pytest.approx(0.1)
