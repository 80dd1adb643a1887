"""Sophia beyond the registry: Hessians that are not diagonal, other estimates, what is printed, and bad inputs."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gradtx

P = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}
G = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}


def tangled(p: Any) -> jax.Array:
    """Return an objective whose Hessian is not diagonal."""
    return p["w"][0] * p["w"][1] + p["w"][1] * p["b"] + p["b"] ** 2 + jnp.sum(p["w"] ** 4)


def estimates(tx: Any, steps: int) -> list[Any]:
    state, found = tx.init(P), []
    for _ in range(steps):
        h, state = tx.update(G, state, P, obj_fn=tangled)
        found.append(h)
    return found


@pytest.mark.parametrize("seed", [None, 3])
def test_the_random_signs_are_those_of_optax(seed: int | None) -> None:
    key = None if seed is None else jax.random.PRNGKey(seed)
    ours = estimates(gradtx.hutchinson_estimator_diag_hessian(key), 4)
    with jax.numpy_dtype_promotion("standard"):
        theirs = estimates(optax.contrib.hutchinson_estimator_diag_hessian(key), 4)
    chex.assert_trees_all_close(ours, theirs, rtol=1e-12)


def test_the_estimate_is_unbiased() -> None:
    tx = gradtx.hutchinson_estimator_diag_hessian(jax.random.key(0))

    def body(state: Any, _: None) -> Any:
        h, state = tx.update(G, state, P, obj_fn=tangled)
        return state, h

    _, found = jax.lax.scan(body, tx.init(P), length=4000)
    mean = jax.tree.map(lambda h: jnp.mean(h, axis=0), found)
    chex.assert_trees_all_close(mean, {"w": 12 * P["w"] ** 2, "b": jnp.array(2.0)}, atol=0.1)
    assert np.std(found["w"][:, 0]) > 0.5


def test_a_run_is_that_of_optax() -> None:
    runs = []
    for library, promotion in ((gradtx, "strict"), (optax.contrib, "standard")):
        tx, p = library.sophia(0.01, gamma=0.3, update_interval=3, weight_decay=0.1), P
        state = tx.init(p)
        with jax.numpy_dtype_promotion(promotion):
            step = jax.jit(lambda g, s, p, tx=tx: tx.update(g, s, p, obj_fn=tangled))
            for _ in range(30):
                u, state = step(jax.grad(tangled)(p), state, p)
                p = optax.apply_updates(p, u)
        runs.append((p, state[0].mu, state[0].nu, state[0].hessian_fn_state.key))
    chex.assert_trees_all_close(*runs, rtol=1e-9)


def test_an_estimate_of_optaxs_and_one_of_its_own() -> None:
    theirs = optax.contrib.hutchinson_estimator_diag_hessian()
    ones = optax.GradientTransformation(lambda p: (), lambda g, s, p=None: (jax.tree.map(jnp.ones_like, g), s))
    for estimate, nu in ((theirs, None), (ones, 0.5)):
        tx = gradtx.scale_by_sophia(b2=0.5, hessian_diagonal_fn=estimate)
        with jax.numpy_dtype_promotion("standard"):
            _, state = tx.update(G, tx.init(P), P, obj_fn=tangled)
        assert nu is None or np.all(np.asarray(state.nu["w"]) == nu)
        assert np.any(state.nu["w"])


def test_an_estimate_is_made_when_it_is_time() -> None:
    calls: list[int] = []

    def counted(p: Any) -> jax.Array:
        jax.debug.callback(lambda: calls.append(1))
        return tangled(p)

    tx = gradtx.scale_by_sophia(update_interval=4)
    for run in (tx.update, jax.jit(tx.update, static_argnames="obj_fn")):
        calls.clear()
        state = tx.init(P)
        for _ in range(9):
            _, state = run(G, state, P, obj_fn=counted)
        jax.effects_barrier()
        assert len(calls) == 3


def test_the_win_rate_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    tx = gradtx.scale_by_sophia(eps=0.9, verbose=True, print_win_rate_every_n_steps=2)
    state = tx.init(P)
    for _ in range(4):
        _, state = tx.update(G, state, P, obj_fn=tangled)
    jax.effects_barrier()
    printed = capfd.readouterr().out.split("\n")
    assert [float(line.split()[-1]) for line in printed if line] == [pytest.approx(1 / 3)] * 2
    assert printed[0].startswith("scale_by_sophia: win rate")


def test_the_win_rate_is_that_of_all_shards(capfd: pytest.CaptureFixture[str]) -> None:
    given = {"hessian_diagonal_fn": gradtx.identity(), "verbose": True, "print_win_rate_every_n_steps": 1}
    tx, mesh = gradtx.scale_by_sophia(eps=0.9, **given), jax.sharding.Mesh(jax.devices()[:2], ("x",))
    first = jax.shard_map(lambda g: tx.update(g, tx.init(g))[0], mesh=mesh, in_specs=jax.P("x"), out_specs=jax.P("x"))
    jax.jit(first)(jnp.array([0.5, 0.5, 5.0, 0.5]))
    jax.effects_barrier()
    assert {float(line.split()[-1]) for line in capfd.readouterr().out.split("\n") if line} == {0.75}


def test_sophia_is_seen_through() -> None:
    tx = gradtx.sophia(0.1, gamma=0.5)
    assert "scale_by_sophia(b1=0.965, b2=0.99, eps=1e-08, gamma=0.5, clip_threshold=1.0" in str(tx)
    assert "hessian_diagonal_fn=hutchinson_estimator_diag_hessian()" in str(tx)
    seen = gradtx.hyperparams(tx, tx.init(P))
    assert seen["scale_by_sophia.gamma"] == 0.5
    assert seen["scale_by_learning_rate.learning_rate"] == 0.1
    spy = gradtx.watch(tx)
    state = spy.init(P)
    for _ in range(3):
        _, state = spy.update(G, state, P, obj_fn=tangled)
    assert gradtx.metrics(state)["learning_rate"] == pytest.approx(0.1)


def test_complex_parameters_are_clipped_in_size() -> None:
    p = jnp.array([1 + 1j, 2 - 1j])
    tx = gradtx.scale_by_sophia()
    u, state = tx.update(p, tx.init(p), p, obj_fn=lambda z: jnp.sum(z.real**2 + 2 * z.imag**2))
    np.testing.assert_allclose(u, np.asarray(p) / np.abs(p), rtol=1e-6)
    assert state.nu.dtype == jnp.float64
    np.testing.assert_allclose(state.nu, 0.02)
