"""L-BFGS beyond the registry: against optax where both converge, where the curvature is negative, and what it costs."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import gradtx
from tests.objectives import BOWL, ROSENBROCK, bowl, rosenbrock, train

LONG = jnp.array([-1.2, 1.0, 0.5, 2.0])


@pytest.mark.share(3)
@pytest.mark.parametrize("settings", [{}, {"memory_size": 3}, {"scale_init_precond": False}], ids=str)
@pytest.mark.parametrize(
    ("f", "start", "steps"), [(rosenbrock, ROSENBROCK, 45), (bowl, BOWL, 20)], ids=["rosenbrock", "bowl"]
)
def test_agrees_with_optax(f: Any, start: Any, steps: int, settings: dict[str, Any]) -> None:
    """Each step of ours at optax's parameters gives its next ones; on its own it comes to the same minimum.

    In Rosenbrock's valley the last bit of one step is 1e-9 of a step 20 steps later, in whatever library.
    """
    with jax.numpy_dtype_promotion("standard"):
        theirs = train(optax, optax.lbfgs(**settings), f, start, steps)
    tx, at = gradtx.lbfgs(**settings), start
    step = jax.jit(lambda g, state, p, value: tx.update(g, state, p, value=value, grad=g, value_fn=f))
    state = tx.init(start)
    # an inverse Hessian of the wrong size makes long searches, whose cubics multiply what rounding leaves
    close = 1e-7 if f is rosenbrock and "scale_init_precond" in settings else 1e-9
    for p, value, their_state in theirs:
        u, state = step(jax.grad(f)(at), state, at, value)
        chex.assert_trees_all_close(gradtx.apply_updates(at, u), p, rtol=close, atol=close)
        assert abs(state[-1].learning_rate - their_state[-1].learning_rate) < 1e-6 or value < 1e-10
        at = p
    ours = train(gradtx, tx, f, start, steps)
    chex.assert_trees_all_close(ours[9][0], theirs[9][0], rtol=close, atol=close)
    chex.assert_trees_all_close(ours[-1][:2], theirs[-1][:2], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours[-1][1], {rosenbrock: 0.0, bowl: -7 / 3}[f], atol=1e-9)


@pytest.mark.share(2)
@pytest.mark.parametrize("search", [True, False], ids=["backtracking", "rate alone"])
def test_other_searches_and_none_agree_too(search: bool) -> None:
    runs = []
    for library in (gradtx, optax):
        own = library.scale_by_backtracking_linesearch(30) if search else None
        tx = library.lbfgs(1.0 if search else 0.5, linesearch=own)
        p, state, seen = BOWL, tx.init(BOWL), []
        with jax.numpy_dtype_promotion("strict" if library is gradtx else "standard"):
            for _ in range(20):
                value, g = jax.value_and_grad(bowl)(p)
                u, state = tx.update(g, state, p, **({"value": value, "grad": g, "value_fn": bowl} if search else {}))
                p = optax.apply_updates(p, u)
                seen.append(p)
        runs.append(seen)
    chex.assert_trees_all_close(*runs, rtol=1e-9, atol=1e-9)
    assert bowl(runs[0][-1]) < -2.3


def test_a_quadratic_takes_as_many_steps_as_it_has_dimensions() -> None:
    """With exact searches the pairs are conjugate: n + 1 steps, as of the method of conjugate gradients."""
    h = jnp.asarray(np.diag([1.0, 3.0, 10.0, 40.0]) + 0.3)
    f = lambda p: 0.5 * p @ h @ p - jnp.sum(p)  # noqa: E731
    exact = gradtx.lbfgs(linesearch=gradtx.scale_by_zoom_linesearch(60, curv_rtol=1e-12, stepsize_precision=0.0))
    p = train(gradtx, exact, f, jnp.ones(4), 6)[-1][0]
    np.testing.assert_allclose(p, jnp.linalg.solve(h, jnp.ones(4)), rtol=1e-7)


def test_negative_curvature_gives_no_direction_uphill() -> None:
    """<s, y> < 0 where the objective is bent down; optax keeps such a pair, and its direction climbs."""
    f = lambda p: jnp.cos(p[0]) + 0.05 * p[1] ** 2  # noqa: E731
    uphill = {}
    for library in (gradtx, optax):
        tx, p, slopes = library.scale_by_lbfgs(5), jnp.array([0.3, 1.0]), []
        state = tx.init(p)
        for _ in range(5):
            g = jax.grad(f)(p)
            with jax.numpy_dtype_promotion("strict" if library is gradtx else "standard"):
                u, state = tx.update(g, state, p)
            slopes.append(float(g @ u))
            p = p - 0.1 * g
        uphill[library] = min(slopes) < 0
    assert uphill == {gradtx: False, optax: True}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_narrow_dtypes_converge(dtype: str) -> None:
    with jax.enable_x64(False):
        f = lambda p: rosenbrock(p.astype(jnp.float32))  # noqa: E731
        *_, (p, value, state) = train(gradtx, gradtx.lbfgs(), f, jnp.asarray(ROSENBROCK, dtype), 60)
    assert value < {"float32": 1e-9, "bfloat16": 4.5}[dtype]
    assert p.dtype == dtype
    assert {x.dtype for x in jax.tree.leaves(state[0])} == {jnp.dtype("float32"), jnp.dtype("int32")}


def test_float32_far_from_1() -> None:
    """Neither do gradients of 1e25 overflow in the first step, nor does the pair of steps that they would make."""
    tx, p = gradtx.scale_by_lbfgs(), jnp.zeros(2, jnp.float32)
    with jax.enable_x64(False):
        u, state = tx.update(jnp.asarray([3e25, 4e25], jnp.float32), tx.init(p), p)
        np.testing.assert_allclose(u, [0.6, 0.8], rtol=1e-5)
        u, _ = tx.update(jnp.asarray([3e25, -4e25], jnp.float32), state, p - u)
    assert np.all(np.isfinite(u))


def test_complex_parameters_take_the_path_of_their_parts() -> None:
    target = jnp.array([1 + 2j, -3 + 0.5j])

    def f(z: Any) -> Any:
        way = z - target
        return jnp.sum(jnp.array([1.0, 7.0]) * (way.real**2 + way.imag**2)) + jnp.sum(way.real * way.imag) ** 2

    together = train(gradtx, gradtx.lbfgs(), f, jnp.zeros(2, complex), 12)
    parts = train(gradtx, gradtx.lbfgs(), lambda p: f(jax.lax.complex(p[0], p[1])), jnp.zeros((2, 2)), 12)
    for (z, *_), (p, *_) in zip(together, parts, strict=True):
        np.testing.assert_allclose(z, np.asarray(p[0]) + 1j * np.asarray(p[1]), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(together[-1][0], target, atol=1e-5)


def test_a_run_inside_scan_and_vmap_is_the_run() -> None:
    tx = gradtx.lbfgs()

    def run(p: Any) -> Any:
        def body(carry: Any, _: None) -> Any:
            p, state = carry
            value, grad = gradtx.value_and_grad_from_state(rosenbrock)(p, state=state)
            u, state = tx.update(grad, state, p, value=value, grad=grad, value_fn=rosenbrock)
            return (gradtx.apply_updates(p, u), state), value

        return jax.lax.scan(body, (p, tx.init(p)), length=12)[1]

    starts = jnp.stack([LONG, LONG * 0.5, LONG[::-1]])
    together = jax.jit(jax.vmap(run))(starts)
    for start, values in zip(starts, together, strict=True):
        alone = [value for _, value, _ in train(gradtx, tx, rosenbrock, start, 12, jit=False)]
        np.testing.assert_allclose(values, alone, rtol=1e-8)


def test_a_pair_that_is_not_finite_is_left_out() -> None:
    tx, p = gradtx.scale_by_lbfgs(3), jnp.array([1.0, 2.0])
    state = tx.init(p)
    for g in ([1.0, 2.0], [jnp.nan, 1.0], [0.5, 1.0], [0.4, 0.7]):
        u, state = tx.update(jnp.array(g), state, p)
        p = p - 0.1 * jnp.nan_to_num(u)
    assert state.pairs == 1
    assert np.all(np.isfinite(u))
    assert np.all(np.isfinite(state.diff_updates_memory))


@pytest.mark.parametrize("dtype", [float, complex])
def test_a_large_leaf_is_its_parts(dtype: Any) -> None:
    """Sums over a leaf of more than 65,536 numbers are matrix products."""
    rng, tx = np.random.default_rng(0), gradtx.scale_by_lbfgs(3)
    bend, start = (jnp.asarray(rng.uniform(1.0, 9.0, (300, 220)) + dtype(0)) for _ in range(2))
    start = start * (1.0 + 0.5j) if dtype is complex else start
    runs = []
    for parts in (1, 2):
        p, bends = jnp.split(start, parts), jnp.split(bend, parts)
        state, step, seen = tx.init(p), jax.jit(tx.update), []
        for _ in range(6):
            u, state = step([a * b for a, b in zip(p, bends, strict=True)], state, p)
            p = [a - b for a, b in zip(p, u, strict=True)]
            seen.append(jnp.concatenate(u))
        runs.append(seen)
    chex.assert_trees_all_close(*runs, rtol=1e-8, atol=1e-10)
    assert jnp.linalg.norm(runs[0][-1]) < 0.1 * jnp.linalg.norm(runs[0][1])


def compiled(params: Any) -> str:
    """Return the text of the compiled update."""
    tx = gradtx.scale_by_lbfgs()
    return jax.jit(tx.update).lower(params, tx.init(params), params).compile().as_text()


@pytest.mark.parametrize("shape", [(8, 3), (512, 256)], ids=["small", "large"])
def test_no_leaf_is_gathered_from_devices(shape: tuple[int, ...]) -> None:
    split = NamedSharding(Mesh(np.array(jax.devices()), ("x",)), PartitionSpec("x"))
    p = jax.device_put(jnp.ones(shape), split)
    text = compiled(p)
    assert "all-reduce" in text
    assert "all-gather" not in text


def test_what_is_compiled_grows_as_the_leaves() -> None:
    """XLA:CPU repeats the sum over all leaves in the loop of each leaf, if it is a sum of scalars that they read."""
    few, many = (compiled([jnp.ones(50)] * n).count("\n") for n in (16, 64))
    assert many < 4.1 * few


def test_lbfgs_is_seen_through() -> None:
    tx = gradtx.lbfgs(0.5, memory_size=4)
    text = "chain(scale_by_lbfgs(4), scale_by_learning_rate(0.5), scale_by_zoom"
    assert text in str(tx)
    p = ROSENBROCK
    assert gradtx.hyperparams(tx, tx.init(p))["scale_by_learning_rate.learning_rate"] == 0.5
    spy = gradtx.watch(tx)
    state, bare = spy.init(p), tx.init(p)
    for _ in range(4):
        value, grad = jax.value_and_grad(rosenbrock)(p)
        u, state = spy.update(grad, state, p, value=value, grad=grad, value_fn=rosenbrock)
        wanted, bare = tx.update(grad, bare, p, value=value, grad=grad, value_fn=rosenbrock)
        chex.assert_trees_all_equal(u, wanted)
        p = p + u
    assert gradtx.metrics(state)["loss"] > 0
