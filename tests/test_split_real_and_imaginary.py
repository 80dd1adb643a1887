"""Complex arrays as pairs of real ones: agreement with optax and with two real parameters; what looks inside."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax.contrib
import pytest

import gradtx

RNG = np.random.default_rng(9)
INNER = {
    "adamw": lambda library: library.adamw(0.1, weight_decay=0.1),
    "rprop": lambda library: library.rprop(0.1),
    "clipped sgd": lambda library: library.chain(library.clip_by_global_norm(1.0), library.sgd(0.1, 0.9)),
}


def complex_tree() -> Any:
    z = RNG.standard_normal((2, 3, 2))
    return {"z": jnp.asarray(z[0] + 1j * z[1]), "x": jnp.asarray(RNG.standard_normal(4)), "none": None}


def parts(tree: Any) -> Any:
    return {"z": {"re": jnp.real(tree["z"]), "im": jnp.imag(tree["z"])}, "x": tree["x"], "none": None}


def run(tx: Any, params: Any, grads: list[Any], **extra: Any) -> list[Any]:
    state, out = tx.init(params), []
    with jax.numpy_dtype_promotion("standard"):
        for g in grads:
            u, state = tx.update(g, state, params, **extra)
            params = gradtx.apply_updates(params, u)
            out.append(u)
    return out


@pytest.mark.parametrize("name", INNER)
def test_a_complex_array_is_two_real_ones(name: str) -> None:
    params, grads = complex_tree(), [complex_tree() for _ in range(6)]
    ours = run(gradtx.split_real_and_imaginary(INNER[name](gradtx)), params, grads)
    chex.assert_trees_all_close(
        list(map(parts, ours)), run(INNER[name](gradtx), parts(params), list(map(parts, grads)))
    )
    theirs = run(optax.contrib.split_real_and_imaginary(INNER[name](optax)), params, grads)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-9)


def test_extra_arguments_reach_the_transform_inside() -> None:
    tx = gradtx.split_real_and_imaginary(gradtx.polyak_sgd())
    grads = {"z": jnp.array(3.0 + 4.0j)}
    u, _ = tx.update(grads, tx.init(grads), grads, value=12.5)
    assert u["z"] == -1.5 - 2.0j
    with pytest.raises(ValueError, match="scale_by_polyak: extra argument value is missing"):
        tx.update(grads, tx.init(grads), grads)


def test_text_and_hyperparams_see_through_it() -> None:
    tx = gradtx.split_real_and_imaginary(gradtx.sgd(gradtx.schedules.linear(1.0, 0.0, 4)))
    assert str(tx).startswith("split_real_and_imaginary(chain(identity(), scale_by_learning_rate(linear(")
    state = tx.init(jnp.ones(2, complex))
    _, state = tx.update(jnp.ones(2, complex), state)
    assert gradtx.hyperparams(tx, state) == {"scale_by_learning_rate.learning_rate": 0.75}
    assert str(gradtx.split_real_and_imaginary(optax.sgd(0.1))) == "split_real_and_imaginary(optax.chain)"


def test_a_watch_reads_the_rates_of_both_parts() -> None:
    """The first step of Adam is eta in each part, whose gradients are 1 and 4."""
    tx = gradtx.watch(gradtx.chain(gradtx.clip_by_global_norm(1e9), gradtx.split_real_and_imaginary(gradtx.adam(0.1))))
    params = {"z": jnp.full(3, 1 + 4j)}
    state = tx.init(params)
    for update in (tx.update, jax.jit(tx.update)):
        u, state = update(params, state, params)
        seen = gradtx.metrics(state)
        np.testing.assert_allclose([seen["rate_min"], seen["rate_max"]], [0.025, 0.1], rtol=1e-5)
        np.testing.assert_allclose(u["z"], -0.1 - 0.1j, rtol=1e-6)


def test_scales_on_both_sides_have_no_common_rate() -> None:
    tx = gradtx.watch(gradtx.chain(gradtx.scale_by_rms(), gradtx.split_real_and_imaginary(gradtx.adam(0.1))))
    params = {"z": jnp.full(3, 1 + 4j)}
    _, state = tx.update(params, tx.init(params), params)
    seen = gradtx.metrics(state)
    assert seen["learning_rate"] == pytest.approx(0.1)
    assert not [name for name in seen if name.startswith("rate_")]


def test_errors_name_the_part() -> None:
    tx = gradtx.split_real_and_imaginary(gradtx.trace(0.9))
    state = tx.init({"z": jnp.ones(3, complex)})
    with pytest.raises(ValueError, match=r"trace: grads\['z'\].real has shape \(2,\)"):
        tx.update({"z": jnp.ones(2, complex)}, state)
    with pytest.raises(ValueError, match="split_real_and_imaginary: state is LeafState, expected a SplitState; use"):
        tx.update({"z": jnp.ones(3, complex)}, state.inner_state)
    with pytest.raises(TypeError, match="split_real_and_imaginary: inner is float"):
        gradtx.split_real_and_imaginary(0.1)


def test_shapes_alone_and_donation() -> None:
    tx, params = gradtx.split_real_and_imaginary(gradtx.adam(0.1)), complex_tree()
    like = jax.eval_shape(tx.init, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(like, tx.init(params))

    def step(params: Any, state: Any, grads: Any) -> Any:
        u, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, u), state

    step = jax.jit(step, donate_argnums=(0, 1))
    params, state = step(params, tx.init(params), complex_tree())
    params, state = step(params, state, complex_tree())
    chex.assert_trees_all_equal_shapes_and_dtypes(like, state)
