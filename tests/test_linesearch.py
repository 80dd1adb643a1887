"""Line searches beyond the registry: on objectives that are no bowl, where they fail, and against optax."""

import itertools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import gradtx
from tests.objectives import BOWL, ROSENBROCK, bowl, rosenbrock, train
from tests.registry.linesearch import zoom

MAKE: dict[str, Callable[[Any], Any]] = {
    "backtracking": lambda library: library.scale_by_backtracking_linesearch(60, store_grad=True),
    "zoom": lambda library: library.scale_by_zoom_linesearch(30),
    "zoom, fine": lambda library: library.scale_by_zoom_linesearch(30, curv_rtol=0.1, approx_dec_rtol=None),
    "zoom, bounded": lambda library: library.scale_by_zoom_linesearch(30, max_learning_rate=0.01, increase_factor=3.0),
    "zoom, decrease alone": lambda library: library.scale_by_zoom_linesearch(30, curv_rtol=jnp.inf),
}


def descent(library: Any, search: str) -> Any:
    return library.chain(library.scale(-1.0), MAKE[search](library))


def steps_of(state: Any) -> int:
    return int(state[-1].info.num_linesearch_steps)


@pytest.mark.share(4)
@pytest.mark.parametrize("jit", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize(("f", "start"), [(rosenbrock, ROSENBROCK), (bowl, BOWL)], ids=["rosenbrock", "bowl"])
@pytest.mark.parametrize("search", MAKE)
def test_agrees_with_optax(search: str, f: Any, start: Any, jit: bool) -> None:
    """Each step of ours at optax's parameters gives its next ones: rounding does not add up along the valley."""
    with jax.numpy_dtype_promotion("standard"):
        theirs = train(optax, descent(optax, search), f, start, 30 if jit else 6)
    tx, at = descent(gradtx, search), start

    def step(g: Any, state: Any, p: Any, value: Any) -> Any:
        return tx.update(g, state, p, value=value, grad=g, value_fn=f)

    run, state = jax.jit(step) if jit else step, tx.init(start)
    for p, value, other in theirs:
        u, state = run(jax.grad(f)(at), state, at, value)
        chex.assert_trees_all_close(gradtx.apply_updates(at, u), p, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(state[-1].learning_rate, other[-1].learning_rate, rtol=1e-7)
        assert steps_of(state) == steps_of(other)
        at = p
    assert theirs[-1][1] < 0.5 * theirs[0][1]


# objectives of one number, a direction and the first guess, by what they try
LINES: dict[str, tuple[Callable[[Any], Any], float]] = {
    "a cosine, too far": (lambda x: jnp.cos(3 * x) + 0.1 * x**2, 3.0),
    "a quartic, much too far": (lambda x: 100 * (x - 1) ** 4, 10.0),
    "a quartic, too near": (lambda x: 1e-3 * (x - 9) ** 4, 1e-3),
    "a logarithm, into what is no number": (lambda x: -jnp.log(2 - x) - 8 * x, 1.0),
    "a flat exponential": (lambda x: jnp.exp(-x), 1.0),
    "a kink": (lambda x: jnp.abs(x - 0.7) + 0.1 * jnp.abs(x - 2.1), 1.0),
    "a wave on a slope": (lambda x: jnp.sin(20 * x) / 10 - x, 1.0),
    "a bent line, to where it is as high again": (lambda x: jnp.maximum(-x, 0.5 * x - 1.5), 3.0),
    "falls for ever": (lambda x: -x, 1.0),
}


@pytest.mark.share(3)
@pytest.mark.parametrize("steps", [4, 40])
@pytest.mark.parametrize("settings", [{}, {"c2": 0.1, "c1": 1e-2}, {"c3": None, "largest": 1.5}], ids=str)
@pytest.mark.parametrize("name", LINES)
def test_zoom_is_the_books(name: str, settings: dict[str, Any], steps: int) -> None:
    f, guess = LINES[name]
    both = jax.value_and_grad(lambda x: f(x) + 3.0)
    init, step, going = gradtx.zoom_linesearch(
        steps,
        slope_rtol=settings.get("c1", 1e-4),
        curv_rtol=settings.get("c2", 0.9),
        approx_dec_rtol=settings.get("c3", 1e-6),
        max_stepsize=settings.get("largest"),
    )
    value, grad = both(jnp.zeros(()))
    direction = -jnp.sign(grad)
    state = init(direction, jnp.zeros(()), value=value, grad=grad, stepsize_guess=guess)
    state = lax.while_loop(going, lambda state: step(state, both), state)

    def line(eta: float) -> tuple[float, float]:
        value, slope = both(direction * eta)
        return float(value), float(slope * direction)

    with np.errstate(invalid="ignore"):
        eta, _ = zoom(line, guess, steps=steps, **settings)
    np.testing.assert_allclose(state.stepsize, eta, rtol=1e-9)
    assert state.done
    reached, slope = line(eta)
    first, steepness = line(0.0)
    np.testing.assert_allclose(state.value, reached, rtol=1e-12)
    if not state.failed:
        assert reached <= first + 1e-4 * eta * steepness or settings.get("c3", 1e-6) is not None
        assert abs(slope) <= settings.get("c2", 0.9) * abs(steepness)
        np.testing.assert_allclose(state.grad * direction, slope, rtol=1e-12)


def hollow(x: jax.Array) -> jax.Array:
    """Return a function that is larger everywhere but at 1, where its slope promises a fall."""
    return jnp.where(x == 1.0, x, jnp.abs(x) + 10.0)


@pytest.mark.parametrize("jit", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("search", ["backtracking", "zoom"])
def test_where_nothing_is_found_the_parameters_stay(search: str, jit: bool) -> None:
    make = {
        "backtracking": lambda: gradtx.scale_by_backtracking_linesearch(6, store_grad=True),
        "zoom": lambda: gradtx.scale_by_zoom_linesearch(6),
    }
    tx = gradtx.chain(gradtx.scale(-1.0), make[search]())
    (p, value, state), (_, again, later) = train(gradtx, tx, hollow, jnp.array(1.0), 2, jit=jit)
    assert p == 1.0
    assert value == again == state[-1].value == 1.0
    assert state[-1].grad == 1.0
    assert state[-1].info.decrease_error > 0
    # the next search goes on below, so that a second failure has tried smaller steps
    assert 0 < later[-1].learning_rate < state[-1].learning_rate < 0.5


def test_optax_goes_uphill_where_it_fails() -> None:
    """Why ours differs there: the last step size is taken although the objective grew."""
    f = lambda x: 100.0 * x**4  # noqa: E731
    ours, theirs = (
        train(library, library.chain(library.scale(-1.0), library.scale_by_zoom_linesearch(2)), f, jnp.array(1.0), 30)
        for library in (gradtx, optax)
    )
    assert ours[-1][1] < 1.0
    assert not theirs[3][1] < 1e30


@pytest.mark.parametrize("search", ["backtracking", "zoom"])
def test_a_direction_uphill_is_not_taken(search: str) -> None:
    tx = MAKE[search](gradtx)
    p = jnp.array([1.0, -2.0])
    value, grad = jax.value_and_grad(lambda p: jnp.sum(p**2))(p)
    u, state = tx.update(grad, tx.init(p), p, value=value, grad=grad, value_fn=lambda p: jnp.sum(p**2))
    assert float(jnp.sum((p + u) ** 2)) <= value + 1e-4 * float(jnp.sum(u * grad))
    assert search == "backtracking" or (not np.any(u) and state.info.num_linesearch_steps == 0)


@pytest.mark.parametrize("search", MAKE)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_narrow_dtypes_end_and_fall(dtype: str, search: str) -> None:
    """In float32 the value stops falling before the slope is 0: every search still ends, and none goes up."""
    with jax.enable_x64(False):
        start = jnp.asarray([-1.2, 1.0], dtype)
        f = lambda p: rosenbrock(p.astype(jnp.float32))  # noqa: E731
        seen = train(gradtx, descent(gradtx, search), f, start, 60)
    values = [float(value) for _, value, _ in seen]
    assert all(after <= before * (1 + 1e-6) + 1e-30 for before, after in itertools.pairwise(values))
    assert values[-1] < 5.0
    assert all(steps_of(state) <= 61 for *_, state in seen)
    assert seen[-1][0].dtype == dtype
    assert seen[-1][2][-1].grad.dtype == jnp.float32


@pytest.mark.parametrize("jit", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("search", MAKE)
def test_gradients_may_have_another_dtype_than_the_parameters(search: str, jit: bool) -> None:
    """Where the search fails, the gradient that was given is the one that is kept, in the dtype of its slot."""
    p = {"a": jnp.float32(1.0), "b": jnp.asarray([2.0, -1.0], jnp.bfloat16), "c": jnp.float64(0.5)}
    g = {"a": jnp.float64(2.0), "b": jnp.asarray([4.0, -2.0], jnp.float64), "c": jnp.float32(1.0)}
    tx = descent(gradtx, search)
    for failing in (False, True):

        def f(xs: Any, failing: bool = failing) -> Any:
            values = [jnp.sum(jnp.square(x.astype(jnp.float64))) for x in jax.tree.leaves(xs)]
            return jnp.nan * sum(values) if failing else sum(values)

        update = lambda g, s, p, f=f: tx.update(g, s, p, value=6.25, grad=g, value_fn=f)  # noqa: E731
        _, state = (jax.jit(update) if jit else update)(g, tx.init(p), p)
        kept = state[-1].grad
        assert [x.dtype for x in jax.tree.leaves(kept)] == [jnp.float32, jnp.float32, jnp.float64]
        if failing and search == "backtracking":
            chex.assert_trees_all_close(
                jax.tree.map(lambda x: x.astype(jnp.float64), kept), jax.tree.map(lambda x: x.astype(jnp.float64), g)
            )


def test_the_objective_is_taken_where_the_step_leads() -> None:
    """In half precision p + eta u is rounded: what is judged is what `apply_updates` gives."""
    seen: list[Any] = []
    tx = gradtx.scale_by_zoom_linesearch(8)

    def f(p: jax.Array) -> jax.Array:
        jax.debug.callback(seen.append, p)
        return jnp.sum(p.astype(jnp.float64) ** 2)

    p = jnp.asarray([1.0, 0.003], jnp.bfloat16)
    u, state = tx.update(-p, tx.init(p), p, value=2.0, grad=2 * p, value_fn=f)
    jax.effects_barrier()
    new = gradtx.apply_updates(p, u)
    np.testing.assert_array_equal(seen[-1], new)
    assert state.value == f(new)


def test_complex_parameters() -> None:
    target = jnp.array([1 + 2j, -3 + 0.5j])
    f = lambda z: jnp.sum(jnp.array([1.0, 7.0]) * ((z - target).real ** 2 + (z - target).imag ** 2))  # noqa: E731
    for search in ("backtracking", "zoom"):
        *_, (z, value, _) = train(gradtx, descent(gradtx, search), f, jnp.zeros(2, complex), 150)
        assert value < 1e-9
        np.testing.assert_allclose(z, target, atol=1e-4)
    # the same path as of the real and imaginary parts
    both = lambda p: f(lax.complex(p[0], p[1]))  # noqa: E731
    plain = train(gradtx, descent(gradtx, "zoom"), both, jnp.zeros((2, 2)), 10)[-1][0]
    together = train(gradtx, descent(gradtx, "zoom"), f, jnp.zeros(2, complex), 10)[-1][0]
    np.testing.assert_allclose(np.asarray(plain[0]) + 1j * np.asarray(plain[1]), together, rtol=1e-9)


def test_the_batch_reaches_the_objective() -> None:
    tx = gradtx.chain(gradtx.scale(-1.0), gradtx.scale_by_backtracking_linesearch(20))
    p = jnp.zeros(2)

    def f(p: jax.Array, x: jax.Array, *, y: Any) -> jax.Array:
        return 0.5 * (x @ p - y) ** 2

    given = {"x": jnp.array([3.0, 1.0]), "y": 2.0}
    value, grad = jax.value_and_grad(f)(p, **given)
    u, _ = tx.update(grad, tx.init(p), p, value=value, grad=grad, value_fn=f, **given, unknown="text")
    assert f(p + u, **given) < value


def test_leaves_without_a_gradient_stay() -> None:
    p = {"w": jnp.array([1.0, 2.0]), "steps": jnp.array(3), "frozen": jnp.array(2.0)}
    grads = {"w": 2 * p["w"], "steps": np.zeros((), jax.dtypes.float0), "frozen": None}
    f = lambda p: jnp.sum(p["w"] ** 2) * p["frozen"] / 2 + 0.0 * p["steps"].astype(float)  # noqa: E731
    tx = descent(gradtx, "zoom")
    u, state = tx.update(grads, tx.init(p), p, value=f(p), grad=grads, value_fn=f)
    assert u["frozen"] is None
    new = gradtx.apply_updates(p, u)
    assert new["steps"] == 3
    assert f(new) < f(p)
    assert state[-1].grad["steps"] is None


def test_the_step_size_counts_as_constant() -> None:
    """A while loop has no reverse mode; what is differentiated may be closed over by the objective all the same."""
    tx = gradtx.scale_by_zoom_linesearch(10)
    p = jnp.array([1.0, 2.0])

    def moved(scale: jax.Array) -> jax.Array:
        f = lambda x: jnp.sum(scale * x**2)  # noqa: E731
        u, _ = tx.update(-scale * p, tx.init(p), p, value=f(p), grad=2 * scale * p, value_fn=f)
        return jnp.sum(u)

    for run in (moved, jax.jit(moved)):
        np.testing.assert_allclose(jax.grad(run)(jnp.array(3.0)), jnp.sum(-p) / 3, rtol=1e-9)


def test_outside_jit_nothing_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lax, "while_loop", None)
    train(gradtx, descent(gradtx, "zoom"), rosenbrock, ROSENBROCK, 3, jit=False)


def test_verbose_says_where_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    for search in (
        gradtx.scale_by_zoom_linesearch(3, verbose=True),
        gradtx.scale_by_backtracking_linesearch(3, verbose=True),
    ):
        tx = gradtx.chain(gradtx.scale(-1.0), search)
        p, g = jnp.array(1.0), jnp.array(1.0)
        jax.jit(lambda p, tx=tx, g=g: tx.update(g, tx.init(p), p, value=1.0, grad=g, value_fn=hollow))(p)
        jax.effects_barrier()
        assert f"{search.name}: failed with decrease_error" in capfd.readouterr().out
    init, step, going = gradtx.zoom_linesearch(2, verbose=True)
    state = init(-jnp.ones(()), jnp.ones(()), value=1.0, grad=jnp.ones(()))
    while going(state):
        state = step(state, jax.value_and_grad(hollow))
    assert "zoom_linesearch: failed" in capfd.readouterr().out


def test_value_and_grad_come_from_the_state() -> None:
    tx, p = descent(gradtx, "zoom"), {"w": jnp.array([1.0, 2.0], jnp.bfloat16)}
    f = lambda p: jnp.sum(p["w"].astype(jnp.float32) ** 2)  # noqa: E731
    state, stored = tx.init(p), gradtx.value_and_grad_from_state(f)
    for run in (stored, jax.jit(stored)):
        value, grad = run(p, state=state)
        assert value == 5.0
        assert grad["w"].dtype == jnp.bfloat16
        _, later = tx.update(grad, state, p, value=value, grad=grad, value_fn=f)
        never = gradtx.value_and_grad_from_state(lambda p: 0.0 * f(p))
        got = (jax.jit(never) if run is not stored else never)(p, state=later)
        np.testing.assert_array_equal(got[0], later[-1].value)
        chex.assert_trees_all_equal(got[1]["w"].astype(jnp.float32), later[-1].grad["w"])
    takes_more = gradtx.value_and_grad_from_state(lambda p, x, *, state: f(p) * x * len(state))
    assert takes_more(p, 2.0, state=state)[0] == 20.0


def test_a_chain_with_a_search_is_seen_through() -> None:
    tx = gradtx.chain(gradtx.trace(0.5), gradtx.scale(-1.0), gradtx.scale_by_zoom_linesearch(9, curv_rtol=0.5))
    assert "scale_by_zoom_linesearch(max_linesearch_steps=9, increase_factor=2.0, slope_rtol=0.0001" in str(tx)
    p = jnp.array([1.0, 2.0])
    assert gradtx.hyperparams(tx, tx.init(p))["scale_by_zoom_linesearch.curv_rtol"] == 0.5
    spy = gradtx.watch(tx)
    bare, seen = (train(gradtx, t, rosenbrock, p, 5) for t in (tx, spy.body.inner))
    chex.assert_trees_all_equal(bare[-1][0], seen[-1][0])
    state = spy.init(p)
    f = lambda p: jnp.sum(p**2)  # noqa: E731
    for _ in range(4):
        u, state = spy.update(2 * p, state, p, value=f(p), grad=2 * p, value_fn=f)
        p = p + u
    assert np.isfinite(gradtx.metrics(state)["loss"])
    assert "learning_rate" not in gradtx.metrics(state) or not gradtx.metrics(state)["learning_rate"]


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: gradtx.scale_by_zoom_linesearch(0), ValueError, "max_linesearch_steps = 0, expected a whole number >= 1"),
    (lambda: gradtx.scale_by_backtracking_linesearch(2.5), ValueError, "max_backtracking_steps = 2.5"),
    (lambda: gradtx.zoom_linesearch(True), ValueError, "zoom_linesearch: max_linesearch_steps = True"),
    (lambda: gradtx.zoom_linesearch(5, increase_factor=1.0), ValueError, "zoom_linesearch: increase_factor = 1.0"),
    (lambda: gradtx.zoom_linesearch(5, max_stepsize=0.0), ValueError, r"max_stepsize = 0.0, expected a number in \(0"),
    (lambda: gradtx.scale_by_zoom_linesearch(5, initial_guess_strategy="last"), ValueError, "'last', expected 'keep'"),
    (lambda: stepped(value=None), ValueError, "extra argument value is missing"),
    (lambda: stepped(grad=None), ValueError, "extra argument grad is missing"),
    (lambda: stepped(value_fn=None), ValueError, "extra argument value_fn is missing"),
    (lambda: stepped(value_fn=3.0), TypeError, "value_fn is float, expected a function of the params"),
    (lambda: stepped(value_fn=lambda p: p["w"]), ValueError, r"what value_fn returned has shape \(2,\)"),
    (lambda: stepped(value_fn=lambda p: (1.0, p)), TypeError, "what value_fn returned is tuple of 2"),
    (lambda: stepped(value=jnp.ones(2)), ValueError, r"value has shape \(2,\)"),
    (lambda: stepped(grad={"w": jnp.ones(3)}), ValueError, r"grad\['w'\] is float64 of shape \(3,\)"),
    (lambda: stepped(grad={"v": jnp.ones(2)}), ValueError, r"grads\['v'\] is missing"),
    (lambda: stepped(state=()), ValueError, "state is tuple of 0, expected LinesearchState"),
    (lambda: gradtx.value_and_grad_from_state(3), TypeError, "value_fn is int"),
    (lambda: gradtx.value_and_grad_from_state(len)(1.0, state=()), ValueError, "state holds 0 line searches"),
    (lambda: read(gradtx.chain(MAKE["zoom"](gradtx), MAKE["zoom"](gradtx))), ValueError, "holds 2 line searches"),
    (lambda: read(gradtx.scale_by_backtracking_linesearch(3)), ValueError, "stores no gradient.*store_grad=True"),
]


def stepped(**wrong: Any) -> Any:
    """Make a step with something wrong."""
    tx, p = gradtx.scale_by_zoom_linesearch(5), {"w": jnp.ones(2)}
    good = {"value": 1.0, "grad": p, "value_fn": lambda p: jnp.sum(p["w"]), "state": tx.init(p)}
    given = {**good, **wrong}
    return tx.update({"w": -p["w"]}, given.pop("state"), p, **{key: x for key, x in given.items() if x is not None})


def read(tx: Any) -> Any:
    """Take value and gradient from the state of a transform."""
    return gradtx.value_and_grad_from_state(jnp.sum)(jnp.ones(2), state=tx.init(jnp.ones(2)))


@pytest.mark.parametrize(("call", "error", "says"), ERRORS, ids=[says for *_, says in ERRORS])
def test_errors(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        call()
    assert "; " in str(caught.value)
    assert len(str(caught.value)) < 600
