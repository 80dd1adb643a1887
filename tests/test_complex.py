"""Complex leaves: a turn of all gradients turns the updates, and numbers without imaginary part are as real ones."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

TURN = 0.6 + 0.8j
METHODS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adabelief": {"eps_root": 1e-3},
    "sign_sgd": {},
    "signum": {},
    "lion": {},
    "adamax": {},
    "adamaxw": {},
    "adan": {},
    "adadelta": {},
    "ademamix": {},
    "simplified_ademamix": {},
    "adopt": {},
    "madgrad": {},
    "acprop": {"eps_root": 1e-3},
}
ALL = [*METHODS, "yogi"]  # its mean starts at a real number, which no turn of the gradients turns


def make(name: str) -> gradtx.Transform:
    return getattr(gradtx, name)(learning_rate=0.1, **METHODS.get(name, {}))


def run(tx: gradtx.Transform, grads: list[jax.Array], params: jax.Array) -> tuple[list[jax.Array], Any]:
    """Return the updates of all steps, the parameters moving on, and the last state."""
    state, updates = tx.init(params), []
    for g in grads:
        u, state = tx.update(g, state, params)
        params = gradtx.apply_updates(params, u)
        updates.append(u)
    return updates, state


def inputs(kind: Any) -> tuple[list[jax.Array], jax.Array]:
    """Return gradients with a number that is always 0, and parameters."""
    rng = np.random.default_rng(11)
    numbers = rng.normal(size=(6, 2, 5)) * [1.0, 1.0, 1.0, 1.0, 0.0]
    grads = [jnp.asarray(x + 1j * y if kind is complex else x) for x, y in numbers]
    return grads, jnp.asarray(rng.normal(size=5)).astype(kind)


@pytest.mark.parametrize("name", METHODS)
def test_a_turn_of_the_gradients_turns_the_updates(name: str) -> None:
    grads, params = inputs(complex)
    plain, state = run(make(name), grads, params)
    turned, _ = run(make(name), [TURN * g for g in grads], TURN * params)
    chex.assert_trees_all_close(turned, [TURN * u for u in plain], rtol=1e-12, atol=1e-14)
    assert {x.dtype for x in jax.tree.leaves(state)} <= {jnp.dtype(d) for d in ("complex128", "float64", "int32")}


@pytest.mark.parametrize("name", ALL)
def test_without_imaginary_part_they_are_as_real_ones(name: str) -> None:
    grads, params = inputs(float)
    real, _ = run(make(name), grads, params)
    same, _ = run(make(name), [g.astype(complex) for g in grads], params.astype(complex))
    chex.assert_trees_all_close(same, [u.astype(complex) for u in real], rtol=1e-12, atol=1e-14)


@pytest.mark.share(4)
@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("name", ALL)
def test_derivatives_are_right_and_finite_where_a_gradient_is_zero(name: str, kind: Any) -> None:
    grads, params = inputs(kind)
    turn = 0.5 + TURN if kind is complex else 1.0
    tx, along = make(name), 1e-4 * turn * grads[0] * jnp.array([0.8, -0.5, 0.3, 1.0, 0.6], kind)

    def total(first: jax.Array) -> jax.Array:
        updates, _ = run(tx, [first, *grads[1:3]], params)
        return jnp.sum(jnp.abs(jnp.stack(updates) + 1.0) ** 2)

    _, slope = jax.jvp(total, (grads[0],), (along,))
    np.testing.assert_allclose(slope, (total(grads[0] + along) - total(grads[0] - along)) / 2, rtol=1e-4, atol=1e-12)
    assert np.all(np.isfinite(jax.grad(total)(grads[0])))
