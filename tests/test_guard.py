"""Guards: what they leave out, whole; what they count; what they cost; where they stand."""

import json
import sys
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx._core.engine.finite import found_bad, stays_finite
from tests.batteries.mixes import PARAMS
from tests.batteries.test_speed import KIB, shapes, step
from tests.batteries.traced import same_state
from tests.registry import ROWS, Row
from tests.registry.base import SHAPES
from tests.registry.guard import spikes_of

NAN, INF = jnp.nan, jnp.inf
START = {"b": jnp.array([0.5, 1.0], jnp.float32), "n": None, "w": jnp.array([[1.0, -2.0]], jnp.bfloat16)}


def grads(size: float = 1.0, bad: float | None = None) -> Any:
    """Return gradients, the last of them of this value where it is given."""
    w = jnp.full((1, 2), size, jnp.bfloat16)
    return {"b": jnp.full(2, size, jnp.float32), "n": None, "w": w if bad is None else w.at[0, 1].set(bad)}


def ways(tx: Any) -> dict[str, Callable[..., Any]]:
    """Return the update outside jit and inside."""
    return {"eager": tx.update, "jit": jax.jit(tx.update)}


class TracedOnce:
    """An optimizer of a user's that stores a gradient twice and its own update, and passes on what it likes."""

    init = staticmethod(lambda params: (params, params, jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32)))

    @staticmethod
    def update(g: Any, state: Any, params: Any = None) -> Any:
        """Return a step along the last gradient."""
        del params
        u = jax.tree.map(lambda a, b: a - b, g, state[0])
        return u, (g, g, u, state[3] + 1)


INSIDE: dict[str, Callable[[], Any]] = {
    "adamw": lambda: gradtx.adamw(0.1),
    "a chain": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(gradtx.linear_schedule(0.1, 0.0, 9))),
    "muon": lambda: gradtx.chain(gradtx.muon(0.1), gradtx.identity()),
    "prodigy": gradtx.prodigy,
    "optax": lambda: optax.adamw(0.1),
    "a user's": lambda: optax.GradientTransformation(TracedOnce.init, TracedOnce.update),
    "another wrapper": lambda: gradtx.mechanize(gradtx.sgd(1.0)),
}


@pytest.mark.share(3)
@pytest.mark.parametrize("way", ["eager", "jit"])
@pytest.mark.parametrize("inside", INSIDE)
def test_a_bad_gradient_leaves_no_trace(inside: str, way: str) -> None:
    """However many come in a row; before and after, the steps are those of a run that never met them."""
    with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
        tx, bare = gradtx.guard(INSIDE[inside]()), INSIDE[inside]()
        run, alone = (ways(x)[way] for x in (tx, bare))
        state, kept = tx.init(START), bare.init(START)
        for t in range(9):
            if t in (2, 4, 5, 6):
                before = state
                u, state = run(grads(bad=(NAN, INF, -INF)[t % 3]), state, START)
                assert not any(np.any(x) for x in jax.tree.leaves(u))
                chex.assert_trees_all_equal(state.inner, before.inner)
                same_state(before, state)
            else:
                u, state = run(grads(t + 1.0), state, START)
                want, kept = alone(grads(t + 1.0), kept, START)
                chex.assert_trees_all_close(u, want, rtol=1e-2)
                chex.assert_trees_all_close(u["b"], want["b"], rtol=1e-6)
            assert [x.dtype for x in jax.tree.leaves(u)] == [jnp.float32, jnp.bfloat16]
        chex.assert_trees_all_close(state.inner, kept, rtol=1e-5)
        assert gradtx.skipped(state, START) == (4, 4, 0, 2, 6, 0, "['w']")


def test_an_array_that_stands_in_the_state_twice_keeps_both_its_pasts() -> None:
    start = {"one": jnp.zeros(2), "two": jnp.ones(2)}
    twice = optax.GradientTransformation(
        lambda params: start, lambda g, state, params=None: (g, dict.fromkeys(state, state["one"] + g))
    )
    tx = gradtx.guard(twice)
    state = tx.init(jnp.ones(2))
    for g, wanted in ((jnp.full(2, NAN), start), (jnp.ones(2), {"one": jnp.ones(2), "two": jnp.ones(2)})):
        chex.assert_trees_all_equal(jax.jit(tx.update)(g, state)[1].inner, wanted)


def bad_state() -> Any:
    """Return a transform of a user's whose state overflows while its update is finite."""
    return optax.GradientTransformation(
        lambda p: jax.tree.map(jnp.zeros_like, p),
        lambda g, s, p=None: (g, jax.tree.map(lambda a, b: 4 * a * a + b, g, s)),
    )


LOST: dict[str, tuple[Callable[[], Any], float]] = {
    "the update, of a function": (lambda: gradtx.stateless(lambda u, p: jax.tree.map(lambda x: x / 0.0, u)), 1.0),
    "the update, of a schedule": (lambda: gradtx.sgd(lambda count: NAN), 1.0),
    "the update, of an array": (lambda: gradtx.scale(jnp.float32(3e38)), 9.0),
    "the update, of optax": (lambda: optax.scale(NAN), 1.0),
    "the state": (bad_state, 1e19),
    "the square of the gradient": (lambda: gradtx.adam(0.1), 2e19),
    "the square of the gradient, of optax": (lambda: optax.adam(0.1), 1e25),
}


@pytest.mark.parametrize("way", ["eager", "jit"])
@pytest.mark.parametrize("lost", LOST)
def test_a_result_that_is_not_finite_is_no_step(lost: str, way: str) -> None:
    make, size = LOST[lost]
    tx, params = gradtx.guard(make()), jnp.ones(3, jnp.float32)
    state = tx.init(params)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
        u, new = ways(tx)[way](jnp.full(3, size, jnp.float32), state, params)
    assert not np.any(u)
    chex.assert_trees_all_equal(new.inner, state.inner)
    assert gradtx.skipped(new)[:2] == (1, 1)


def test_the_leaf_is_that_of_the_update_where_the_gradient_is_finite() -> None:
    tx = gradtx.guard(gradtx.stateless(lambda u, p: {"a": u["a"], "b": u["b"] / 0.0}))
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    for run in ways(tx).values():
        assert gradtx.skipped(run(params, tx.init(params), params)[1], params).group == "['b']"
    alone = gradtx.guard(bad_state())
    big = jnp.full(2, 1e19, jnp.float32)
    assert gradtx.skipped(alone.update(big, alone.init(big), big)[1], big).group is None


SIZES = [1e19, 1e-30, 1e19, 1e-40, 3.0, 1e-10, 0.0, 1e-22, 1e19, 1e-23]


@pytest.mark.exhaustive
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_said_to_stay_finite_stays_so(row: Row) -> None:
    """A guard does not look at the results of these, under jit."""
    if any("mask" in name for name in row.settings):
        return
    holds_finite(row)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.name in ("adamw", "lion", "trace")], ids=lambda row: row.name
)
def test_the_usual_ones_stay_finite(row: Row) -> None:
    assert holds_finite(row)


def holds_finite(row: Row) -> bool:
    """Return True if a row is said to stay finite, and hold it to that."""
    tx = row.make()
    params = {k: jnp.asarray(PARAMS[: int(np.prod(SHAPES[k]))].reshape(SHAPES[k]), jnp.float32) for k in row.shapes}
    if not stays_finite(tx, params, params):
        return False

    def one(state: Any, size: Any) -> Any:
        u, state = tx.update(jax.tree.map(lambda p: p * (size / 5.0), params), state, params)
        return state, found_bad((u, state), None)[0]

    sizes = np.array([*SIZES, *SIZES[::-1], *[1e19] * 9, 1e-45, 1e-38, 1e-20], np.float32)
    signs = np.resize(np.array([1.0, -1.0, -1.0], np.float32), sizes.shape)
    assert not np.any(jax.lax.scan(one, tx.init(params), sizes * signs)[1])
    return True


def test_who_is_said_to_stay_finite() -> None:
    params = jnp.ones(2, jnp.float32)
    assert stays_finite(gradtx.adamw(gradtx.linear_schedule(1.0, 0.0, 9)), params, params)
    for tx in (gradtx.sgd(1e10), gradtx.lbfgs(), gradtx.muon(0.1), optax.sgd(0.1), gradtx.prodigy()):
        assert not stays_finite(tx, params, params)
    assert not stays_finite(gradtx.adamw(0.1), params.astype(jnp.float16), params)
    rule = gradtx.Rule("mine", lambda g, slots, p, k: (1.0 / g, slots))
    assert not stays_finite(gradtx.leafwise(rule), params, params)


def sized(tx: Any, sizes: Any, **extra: Any) -> Any:
    """Return the state after gradients of these norms, and which updates were zeros."""
    params = jnp.ones(1)

    def one(state: Any, both: Any) -> Any:
        given = {"value": both[1]} if extra else {}
        u, state = tx.update(both[0][None], state, params, **given)
        return state, u[0] == 0

    values = extra.get("value", sizes)
    return jax.lax.scan(one, tx.init(params), (jnp.asarray(sizes), jnp.asarray(values)))


def noise(n: int, spread: float = 0.3) -> np.ndarray:
    return np.exp(np.random.default_rng(0).normal(size=n) * spread)


def test_a_spike_is_left_out_and_the_rest_is_not() -> None:
    sizes = noise(400)
    sizes[[150, 300]] *= 30.0
    state, out = sized(gradtx.guard(gradtx.sgd(0.1), spikes=4.0), sizes)
    assert list(np.flatnonzero(out)) == [150, 300]
    assert gradtx.skipped(state) == (2, 0, 2, 150, 300, 0, None)


def test_spikes_are_those_of_the_recurrence() -> None:
    sizes = noise(400, 0.5)
    sizes[150:] *= 20.0
    _, out = sized(gradtx.guard(gradtx.sgd(0.1), spikes=1.5, window=40), sizes)
    wanted = spikes_of([float(n) for n in sizes], 1.5, 40)
    assert 10 < sum(wanted) < 100
    assert out.tolist() == wanted


@pytest.mark.parametrize("factor", [2.0, 10.0])
def test_a_new_level_is_taken_in(factor: float) -> None:
    """Gradients of a hundred times the size are a spike at first; the statistics follow within some hundred steps."""
    sizes = noise(1000)
    sizes[200:] *= 100.0
    _, out = sized(gradtx.guard(gradtx.sgd(0.1), spikes=factor), sizes)
    assert out[200]
    assert 10 < np.sum(out[200:]) < 300
    assert not np.any(out[:200])
    assert not np.any(out[500:])


def test_the_warm_up_skips_nothing_and_nan_is_no_number() -> None:
    sizes = np.ones(60)
    sizes[5] = 1e6
    tx = gradtx.guard(gradtx.sgd(0.1), spikes=2.0)
    _, out = sized(tx, sizes)
    assert not np.any(out[:20])
    for odd in (np.nan, 0.0):
        plain, other = np.ones(60) * 2.0, np.ones(61) * 2.0
        other[30] = odd
        wanted, got = sized(tx, plain)[0].level, sized(tx, other)[0].level
        chex.assert_trees_all_equal(got, wanted)


def test_the_loss_stands_for_the_norm_where_it_is_given() -> None:
    loss = -3.0 + 0.1 * noise(300)
    loss[[100, 200]] = 40.0, -50.0  # far below is no spike
    loss[150] = np.nan
    tx = gradtx.guard(gradtx.sgd(0.1), spikes=3.0)
    state, out = sized(tx, noise(300, 3.0), value=loss)
    assert list(np.flatnonzero(out)) == [100]
    assert np.isfinite(state.level.mean)


def test_skipped_is_read_at_any_depth() -> None:
    bad = grads(bad=NAN)
    tx = gradtx.named_chain(("a", gradtx.watch(gradtx.guard(gradtx.sgd(0.1)))), ("b", gradtx.scale(1.0)))
    _, state = tx.update(bad, tx.init(START), START)
    assert gradtx.skipped({"train": [state]}, START) == (1, 1, 0, 0, 0, 1, "['w']")
    assert gradtx.skipped(state).group == 2
    assert jax.jit(gradtx.skipped)(state).total == 1
    two = gradtx.chain(gradtx.guard(gradtx.sgd(0.1)), gradtx.apply_if_finite(gradtx.stateless(lambda u, p: u), 1))
    _, state = two.update(bad, two.init(START), START)
    _, state = two.update(grads(), state, START)
    assert gradtx.skipped(state, START) == (1, 1, 0, 0, 0, 0, "['w']")
    inside = gradtx.guard(gradtx.guard(optax.scale(NAN)))
    _, state = inside.update(bad, inside.init(START), START)
    _, state = inside.update(grads(), state, START)
    assert gradtx.skipped(state)[:5] == (2, 2, 0, 0, 0)  # the first step that the one inside sees is its step 0
    with pytest.raises(ValueError, match="skipped: state holds no guard, expected the state of a guard inside; give"):
        gradtx.skipped(gradtx.adam(0.1).init(START))


def test_watch_goes_on_through_a_skipped_step() -> None:
    tx = gradtx.watch(gradtx.guard(gradtx.adamw(0.1)))
    state, run = tx.init(START), jax.jit(tx.update)
    for t in range(30):
        _, state = run(grads(t + 1.0, NAN if t in (10, 20) else None), state, START)
    assert gradtx.metrics(state)["skipped"] == 2
    report = gradtx.diagnose(state)
    assert report.verdict != "non_finite"
    assert "2 steps were skipped, the first 10, the last 20" in str(report)
    assert gradtx.hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == 0.1
    assert str(gradtx.guard(gradtx.scale(0.5), spikes=3.0)) == "guard(scale(0.5), spikes=3.0, window=100)"


def test_the_fields_of_optax_and_no_nan_after_many_errors() -> None:
    tx = gradtx.apply_if_finite(gradtx.adam(0.1), 2)
    for run in ways(tx).values():
        state = tx.init(START)
        for t in range(6):
            u, state = run(grads(bad=NAN), state, START)
            assert (int(state.notfinite_count), int(state.total_notfinite)) == (t + 1, t + 1)
            assert not state.last_finite
        assert not any(np.any(x) for x in jax.tree.leaves((u, state.inner_state[0].slots)))
        _, state = run(grads(), state, START)
        assert (int(state.notfinite_count), int(state.total_notfinite), bool(state.last_finite)) == (0, 6, True)


def test_integers_keys_and_float0_pass() -> None:
    params = {"w": jnp.ones(2), "n": jnp.array(3), "k": jax.random.key(0)}
    for make in (gradtx.guard, gradtx.loss_scale):
        for inner in (gradtx.adam(0.1), optax.identity()):
            tx = make(inner)
            own = {"w": params["w"], "n": params["n"]} if inner is not None and not hasattr(inner, "body") else params
            g = {k: jnp.ones(2) if k == "w" else np.zeros((), jax.dtypes.float0) for k in own}
            state = tx.init(own)
            assert tx.update(g, state, own)[0]["n"].dtype == jax.dtypes.float0

            def inside(w: Any, state: Any, tx: Any = tx, g: Any = g, own: Any = own) -> Any:
                u, state = tx.update({**g, "w": w}, state, own)
                return u["w"], state

            assert np.all(jax.jit(inside)(g["w"], state)[0] != 0)


def test_a_population_skips_one_by_one() -> None:
    tx = gradtx.guard(gradtx.adamw(0.1))
    params = jnp.ones((3, 2))
    state = jax.vmap(tx.init)(params)
    g = params.at[1, 0].set(NAN)
    u, state = jax.jit(jax.vmap(tx.update))(g, state, params)
    assert np.any(u, axis=1).tolist() == [True, False, True]
    assert gradtx.skipped(state).total.tolist() == [0, 1, 0]


MESH = jax.sharding.Mesh(np.array(jax.devices()), ("x",))


@pytest.mark.parametrize("inner", [lambda: gradtx.adamw(0.1), lambda: optax.adam(0.1)], ids=["ours", "optax's"])
def test_shards_skip_together(inner: Callable[[], Any]) -> None:
    params = {"v": jnp.ones(3), "w": jnp.ones((8, 2))}
    specs = {"v": jax.P(), "w": jax.P("x")}
    bad = {"v": jnp.ones(3), "w": jnp.ones((8, 2)).at[5, 1].set(NAN)}

    def run(tx: Any, p: Any, b: Any) -> Any:
        state = tx.init(p)
        first, state = tx.update(b, state, p)
        second, state = tx.update(p, state, p)
        return first, second, state.skips

    tx = gradtx.guard(inner(), spikes=3.0, axis_name="x")
    with jax.numpy_dtype_promotion("standard"):
        both = jax.shard_map(
            lambda p, b: run(tx, p, b), mesh=MESH, in_specs=(specs, specs), out_specs=(specs, specs, jax.P())
        )
        first, second, skips = jax.jit(both)(params, bad)
        plain = run(gradtx.guard(inner()), params, bad)
        placed = jax.device_put((params, bad), jax.NamedSharding(MESH, jax.P()))
        spread = jax.tree.map(lambda x, s: jax.device_put(x, jax.NamedSharding(MESH, s)), placed, (specs, specs))
        sharded = jax.jit(lambda p, b: run(gradtx.guard(inner()), p, b))(*spread)
    assert not any(np.any(x) for x in jax.tree.leaves(first))
    chex.assert_trees_all_close((first, second, skips), plain, rtol=1e-6)
    chex.assert_trees_all_close(sharded, plain, rtol=1e-6)
    assert sharded[1]["w"].sharding.spec == jax.P("x")
    if inner() is not None and hasattr(inner(), "body"):
        alone = gradtx.guard(inner())
        split = jax.shard_map(
            lambda p, b: run(alone, p, b), mesh=MESH, in_specs=(specs, specs), out_specs=(specs, specs, jax.P())
        )
        with pytest.raises(ValueError, match=r"guard: grads\['w'\] varies over the mesh axis 'x', expected all shards"):
            jax.jit(split)(params, bad)


def test_a_scale_grows_halves_and_keeps_its_bounds() -> None:
    tx = gradtx.loss_scale(gradtx.sgd(1.0), init_scale=4.0, growth_interval=2, min_scale=2.0, max_scale=8.0)
    for run in ways(tx).values():
        state, seen = tx.init(jnp.ones(2)), []
        for size in (1.0, 1.0, 1.0, 1.0, 1.0, INF, 1.0, NAN, INF, 1.0):
            scale = float(state.scale)
            u, state = run(jnp.full(2, size * scale), state, jnp.ones(2))
            assert u[0] == (-1.0 if np.isfinite(size) else 0.0)
            seen.append(float(state.scale))
        assert seen == [4.0, 8.0, 8.0, 8.0, 8.0, 4.0, 4.0, 2.0, 2.0, 2.0]
        assert gradtx.skipped(state)[:5] == (3, 3, 0, 5, 8)


def test_float16_gradients_that_vanish_without_a_scale_and_overflow_with_one() -> None:
    params = jnp.ones(4, jnp.float32)

    def loss(p: Any) -> Any:
        half = p.astype(jnp.float16)
        return jnp.mean(half * jnp.float16(1e-4) * jnp.float16(1e-4))

    tx = gradtx.loss_scale(gradtx.sgd(1e6), init_scale=2.0**30, max_scale=2.0**30)
    state, updates = tx.init(params), []
    for _ in range(20):
        g = jax.grad(lambda p, s=state: gradtx.scale_loss(loss(p), s))(params)
        u, state = jax.jit(tx.update)(g, state, params)
        updates.append(float(u[0]))
    assert not np.any(jax.grad(loss)(params))
    assert updates[0] == 0.0
    assert np.all(np.array(updates)[-4:] == pytest.approx(-2.5e-3, rel=0.05))
    narrow = gradtx.loss_scale(gradtx.sgd(0.25), init_scale=2.0**10)
    half = jnp.full(2, 2.0**-13, jnp.float16)
    u, _ = narrow.update(half, narrow.init(half), half)
    assert u.dtype == jnp.float16  # in float32 until it is rounded: 2^-25 is 0 in float16, 2^-23 / 4 is too
    wide, _ = narrow.update(half, narrow.init(params[:2]), params[:2])
    np.testing.assert_array_equal(wide, np.full(2, -(2.0**-25), np.float32))
    assert gradtx.scale_loss(jnp.float16(2.0), narrow.init(half)).dtype == jnp.float32
    assert gradtx.scale_loss(jnp.float64(2.0), narrow.init(half)).dtype == jnp.float64


STATE = gradtx.guard(gradtx.sgd(0.1)).init(START)
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no transform": (lambda: gradtx.guard(0.1), TypeError, "guard: tx is float, expected a transform"),
    "a factor of 1": (lambda: gradtx.guard(gradtx.sgd(0.1), 1.0), ValueError, r"guard: spikes = 1.0, .* \(1, inf\)"),
    "no factor": (lambda: gradtx.guard(gradtx.sgd(0.1), "4"), TypeError, "guard: spikes is a str, expected a number"),
    "no window": (lambda: gradtx.guard(gradtx.sgd(0.1), 2.0, 0), ValueError, "guard: window = 0, expected a whole"),
    "a tree of another form": (
        lambda: gradtx.guard(gradtx.adam(0.1)).update({"b": 1.0}, STATE, START),
        ValueError,
        r"scale_by_adam|chain: state",
    ),
    "a value that is no scalar": (
        lambda: gradtx.guard(gradtx.sgd(0.1), 2.0).update(grads(), STATE, START, value=jnp.ones(2)),
        ValueError,
        r"guard: value has shape \(2,\), expected a scalar",
    ),
    "another state": (
        lambda: gradtx.guard(gradtx.sgd(0.1)).update(grads(), gradtx.sgd(0.1).init(START), START),
        ValueError,
        "guard: state is tuple of 2, expected GuardState",
    ),
    "optax's, no transform": (lambda: gradtx.apply_if_finite(1, 1), TypeError, "apply_if_finite: inner is int"),
    "errors below 0": (
        lambda: gradtx.apply_if_finite(gradtx.sgd(0.1), -1),
        ValueError,
        "apply_if_finite: max_consecutive_errors = -1, expected a whole number >= 0",
    ),
    "no interval": (
        lambda: gradtx.loss_scale(gradtx.sgd(0.1), growth_interval=0),
        ValueError,
        "loss_scale: growth_interval = 0, expected a whole number >= 1",
    ),
    "a scale of 0": (lambda: gradtx.loss_scale(gradtx.sgd(0.1), 0.0), ValueError, "loss_scale: init_scale = 0.0"),
    "a schedule": (
        lambda: gradtx.loss_scale(gradtx.sgd(0.1), lambda count: 1.0),
        TypeError,
        "loss_scale: init_scale is a function, expected a number > 0",
    ),
    "out of its bounds": (
        lambda: gradtx.loss_scale(gradtx.sgd(0.1), 2.0, min_scale=4.0),
        ValueError,
        r"loss_scale: init_scale = 2.0, expected a number in \[min_scale, max_scale\] = \[4.0",
    ),
    "no scale": (
        lambda: gradtx.scale_loss(1.0, STATE),
        ValueError,
        "scale_loss: state holds no loss scale, expected the state of loss_scale inside",
    ),
}


@pytest.mark.parametrize(("call", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


COST = {
    "adamw": lambda: gradtx.adamw(0.1),
    "guard": lambda: gradtx.guard(gradtx.adamw(0.1)),
    "spikes": lambda: gradtx.guard(gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 9)), spikes=4.0),
    "clip": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1)),
    "guard of clip": lambda: gradtx.guard(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1))),
    "loss_scale": lambda: gradtx.loss_scale(gradtx.adamw(0.1)),
    "apply_if_finite": lambda: gradtx.apply_if_finite(gradtx.adamw(0.1), 3),
    "optax": lambda: optax.apply_if_finite(optax.adamw(0.1), 3),
}


def measured() -> dict[str, Any]:
    """Compile each donated step and return its temporary bytes, and how many times it moves each parameter."""
    out = {}
    for name, make in COST.items():
        tx: Any = make()
        params, state = shapes(tx, 4, (100_000,))
        compiled = jax.jit(step(tx), donate_argnums=(0, 1)).lower(params, state, params).compile()
        moved = compiled.cost_analysis()["bytes accessed"] / (4 * 4 * 100_000)
        out[name] = [compiled.memory_analysis().temp_size_in_bytes, moved]
    return out


@pytest.mark.skipif(jax.__version_info__ < (0, 10), reason="the XLA of older releases writes the updates out")
def test_a_guard_reads_the_gradient_once_more_and_stores_nothing() -> None:
    """A clip inside shares that pass, and so nothing is left to pay; optax's writes all updates out."""
    got = in_a_process()
    for name in ("guard", "spikes", "loss_scale", "apply_if_finite"):
        assert got[name][0] < 4 * KIB, name
        assert got[name][1] <= got["adamw"][1] + 1.01, name
    assert got["guard of clip"][1] <= got["clip"][1] + 0.01
    assert got["optax"][0] >= 4 * 4 * 100_000


def in_a_process() -> dict[str, Any]:
    """Return what a process measures that has XLA as a user has it."""
    import os
    import subprocess
    from pathlib import Path

    clean = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    env = {**clean, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    command, root = [sys.executable, "-m", "tests.test_guard"], Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(measured()))
