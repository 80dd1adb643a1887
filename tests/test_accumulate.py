"""Accumulation beyond the registry: one update for a large batch, bad micro-batches, optax's MultiSteps, and errors."""

import functools
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

P = {"w": jnp.asarray([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]], jnp.float32), "b": jnp.asarray([0.5, 1.0], jnp.bfloat16)}


def micro(i: int) -> Any:
    """Return gradients whose mean over 4 is exact."""
    return jax.tree.map(lambda p: (p.astype(jnp.float32) * (i % 5 - 1.5) + i % 3).astype(p.dtype), P)


def mean_of(grads: list[Any]) -> Any:
    wide = [jax.tree.map(lambda x: x.astype(jnp.float32), g) for g in grads]
    return jax.tree.map(lambda *xs: sum(xs) / len(xs), *wide)


def falling(count: Any) -> jax.Array:
    return 0.1 / (1.0 + jnp.asarray(count).astype(jnp.float32))


INNER: dict[str, Callable[[], Any]] = {
    "adamw": lambda: gradtx.adamw(0.1),
    "schedule": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(falling)),
    "muon": lambda: gradtx.muon(falling),
}


@pytest.mark.parametrize("jit", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("name", INNER)
def test_four_micro_batches_are_one_batch(name: str, jit: bool) -> None:
    """Bit for bit, where the mean of the gradients is exact."""
    inner, tx = INNER[name](), gradtx.accumulate(INNER[name](), 4)
    one, many = (jax.jit(x.update) if jit else x.update for x in (inner, tx))
    p, q, state, sums = P, P, inner.init(P), tx.init(P)
    for t in range(3):
        grads = [micro(4 * t + i) for i in range(4)]
        for i, g in enumerate(grads):
            u, sums = many(g, sums, q)
            chex.assert_trees_all_equal_dtypes(u, P)
            assert (i == 3) == any(bool(jnp.any(x != 0)) for x in jax.tree.leaves(u))
            q = gradtx.apply_updates(q, u)
        u, state = one(mean_of(grads), state, p)
        p = gradtx.apply_updates(p, jax.tree.map(lambda u, p: u.astype(p.dtype), u, p))
        chex.assert_trees_all_equal(p, q)
        chex.assert_trees_all_equal(state, sums.inner)
        assert int(sums.updates) == t + 1


def test_in_a_scan() -> None:
    tx = gradtx.accumulate(gradtx.adamw(falling), 3)

    def body(carry: Any, g: Any) -> Any:
        p, state = carry
        u, state = tx.update(g, state, p)
        return (gradtx.apply_updates(p, u), state), state.updates

    grads = jax.tree.map(lambda *xs: jnp.stack(xs), *[micro(i) for i in range(9)])
    (_, state), counts = jax.jit(lambda p: lax.scan(body, (p, tx.init(p)), grads))(P)
    assert counts.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert int(state.micro_step) == 0


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("jit", [True, False], ids=["jit", "eager"])
def test_a_bad_micro_batch_leaves_no_trace(bad: float, jit: bool) -> None:
    tx = gradtx.accumulate(gradtx.adamw(0.1), 2)
    update = jax.jit(tx.update) if jit else tx.update
    spoilt = {**micro(0), "b": micro(0)["b"].at[1].set(bad)}
    runs = {}
    for name, grads in {"good": [0, 1, 2, 3], "bad": [0, None, 1, None, None, 2, 3]}.items():
        p, state = P, tx.init(P)
        for i in grads:
            u, state = update(spoilt if i is None else micro(i), state, p)
            p = gradtx.apply_updates(p, u)
        runs[name] = p, state
    chex.assert_trees_all_equal(runs["good"][0], runs["bad"][0])
    chex.assert_trees_all_equal(runs["good"][1]._replace(left_out=0), runs["bad"][1]._replace(left_out=0))
    assert int(runs["bad"][1].left_out) == 3


def test_only_bad_micro_batches_make_no_update() -> None:
    tx = gradtx.accumulate(gradtx.sgd(0.1), 2)
    state = tx.init(P)
    for _ in range(5):
        u, state = tx.update(jax.tree.map(lambda p: p * jnp.nan, P), state, P)
        assert all(not np.any(x) for x in jax.tree.leaves(u))
    assert (int(state.updates), int(state.micro_step), int(state.left_out)) == (0, 0, 5)


def test_the_number_may_be_a_schedule_of_updates() -> None:
    tx = gradtx.accumulate(gradtx.sgd(1.0), lambda updates: 1 + updates)
    update, state, seen = jax.jit(tx.update), tx.init(jnp.array(0.0)), []
    for g in (1.0, 2.0, 4.0, 3.0, 6.0, 9.0):
        u, state = update(jnp.array(g), state)
        seen.append(u.item())
    assert seen == [-1.0, 0.0, -3.0, 0.0, 0.0, -6.0]


def test_the_inner_update_runs_in_the_last_micro_step_only() -> None:
    calls: list[int] = []

    def note(updates: Any, params: Any = None) -> Any:
        del params
        jax.debug.callback(lambda: calls.append(1))
        return updates

    tx = gradtx.accumulate(gradtx.stateless(note), 3)
    update, state = jax.jit(tx.update), tx.init(jnp.array(0.0))
    for i in range(7):
        _, state = update(jnp.array(1.0), state)
        jax.effects_barrier()
        assert len(calls) == (i + 1) // 3


def test_a_step_writes_no_model() -> None:
    """The update stands where the sums were: no array as large as the model, and no pass to set the sums to 0."""
    p = {f"w{i}": jnp.ones((64, 128)) for i in range(16)}
    tx = gradtx.accumulate(gradtx.adamw(0.1), 4)

    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(p, tx.init(p), p).compile()
    model = sum(x.nbytes for x in jax.tree.leaves(p))
    assert compiled.memory_analysis().temp_size_in_bytes < model / 2


def test_hyperparams_and_print_see_the_inside() -> None:
    tx = gradtx.accumulate(gradtx.adamw(0.125), 4)
    assert str(tx).startswith("accumulate(chain(scale_by_adam(")
    assert str(tx).endswith(", k=4, mean=True)")
    assert 0.125 in gradtx.hyperparams(tx, tx.init(P)).values()


def test_a_watch_records_through_micro_steps() -> None:
    tx = gradtx.watch(gradtx.accumulate(gradtx.adamw(0.1), 4))
    state, p = tx.init(P), P
    for i in range(40):
        u, state = tx.update(micro(i), state, p, value=1.0 / (i + 1))
        p = gradtx.apply_updates(p, u)
    assert "40" in str(gradtx.diagnose(state))
    assert int(state.record.step) == 40


@pytest.mark.parametrize("use_grad_mean", [True, False])
@pytest.mark.parametrize("every", [1, 3, lambda count: 1 + count % 2], ids=["1", "3", "schedule"])
def test_multi_steps_is_optaxs(every: Any, use_grad_mean: bool) -> None:
    p = jnp.asarray([1.0, -2.0])
    runs = [lib.MultiSteps(lib.adam(0.1), every, use_grad_mean) for lib in (gradtx, optax)]
    states = [tx.init(p) for tx in runs]
    with jax.numpy_dtype_promotion("standard"):
        for t in range(8):
            g = p * (0.5 + t)
            (u, ours), (v, theirs) = (tx.update(g, s, p) for tx, s in zip(runs, states, strict=True))
            states = [ours, theirs]
            np.testing.assert_allclose(u, v, rtol=1e-6, atol=1e-12)
            assert (int(ours.mini_step), int(ours.gradient_step)) == (int(theirs.mini_step), int(theirs.gradient_step))
            assert bool(runs[0].has_updated(ours)) == bool(runs[1].has_updated(theirs))
    assert ours.inner_opt_state is ours.inner
    assert runs[0].gradient_transformation().init(p).micro_step == 0
    assert isinstance(runs[0].inner_opt, gradtx.Transform)


@pytest.mark.parametrize("name", ["skip_not_finite", "skip_large_updates"])
def test_skips_are_optaxs(name: str) -> None:
    bound = {} if name == "skip_not_finite" else {"max_squared_norm": 10.0}
    for g in ({"a": jnp.ones(3), "n": None}, {"a": jnp.asarray([1.0, jnp.nan])}, {"a": jnp.full(3, 100.0)}):
        ours, theirs = (getattr(lib, name)(g, 0, None, **bound) for lib in (gradtx, optax))
        assert bool(ours[0]) == bool(theirs[0])
        assert set(ours[1]) == set(theirs[1])
    skip = functools.partial(getattr(gradtx, name), **bound)
    tx = gradtx.MultiSteps(gradtx.sgd(1.0), 2, should_skip_update_fn=skip)
    state = tx.init({"a": jnp.zeros(2)})
    for x in (1.0, jnp.nan, 2.0):
        u, state = jax.jit(tx.update)({"a": jnp.full(2, x)}, state)
    assert u["a"].tolist() == [-1.5, -1.5]
    assert not bool(state.skip_state["should_skip"])


def test_a_bound_is_large_in_half_precision_too() -> None:
    big = {"a": jnp.full(1000, 300.0, jnp.float16)}  # its sum of squares is beyond float16's range
    assert not bool(gradtx.skip_large_updates(big, 0, None, max_squared_norm=1e9)[0])


def test_shards_leave_out_the_same_micro_batches() -> None:
    mesh = jax.make_mesh((4,), ("x",), devices=jax.devices()[:4], axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.P("x")

    def last(tx: Any, *gs: Any) -> Any:
        state = tx.init(gs[0])
        for g in gs:
            u, state = tx.update(g, state)
        return u

    def multi(skip: Any) -> Any:
        skip = functools.partial(skip, axis_name="x")
        return gradtx.MultiSteps(gradtx.sgd(1.0), 2, should_skip_update_fn=skip).gradient_transformation()

    good = jnp.arange(4.0)
    bad = good.at[2].set(jnp.nan)
    large = functools.partial(gradtx.skip_large_updates, max_squared_norm=15.0)  # of good 14, of twice that 56
    for tx, left_out in (
        (gradtx.accumulate(gradtx.sgd(1.0), 2, axis_name="x"), bad),
        (gradtx.MultiSteps(gradtx.sgd(1.0), 2, axis_name="x").gradient_transformation(), bad),
        (multi(gradtx.skip_not_finite), bad),
        (multi(large), 2 * good),
    ):
        run = jax.shard_map(functools.partial(last, tx), mesh=mesh, in_specs=(spec, spec, spec), out_specs=spec)
        assert jax.jit(run)(good, left_out, good).tolist() == (-good).tolist()
    alone = gradtx.accumulate(gradtx.sgd(1.0), 2)
    lone = jax.shard_map(lambda g: alone.update(g, alone.init(g))[0], mesh=mesh, in_specs=spec, out_specs=spec)
    with pytest.raises(ValueError, match=r"accumulate: grads.*axis_name"):
        lone(good)


def odd(step: Any) -> Any:
    return step % 2 == 1


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "k of 0": (
        lambda: gradtx.accumulate(gradtx.sgd(0.1), 0),
        ValueError,
        r"accumulate: k is 0, expected a whole number",
    ),
    "a share": (lambda: gradtx.accumulate(gradtx.sgd(0.1), 2.5), TypeError, "accumulate: k is"),
    "a bool": (lambda: gradtx.accumulate(gradtx.sgd(0.1), True), TypeError, "accumulate: k is"),
    "a text": (lambda: gradtx.accumulate(gradtx.sgd(0.1), "2"), TypeError, "accumulate: k is str, expected a whole"),
    "some": (lambda: gradtx.accumulate(gradtx.sgd(0.1), jnp.ones(2, int)), ValueError, "accumulate: k has shape"),
    "no transform": (lambda: gradtx.accumulate(gradtx.sgd, 2), TypeError, "accumulate: tx is"),
    "MultiSteps of 0": (
        lambda: gradtx.MultiSteps(gradtx.sgd(0.1), -1),
        ValueError,
        "MultiSteps: every_k_schedule is -1",
    ),
    "a schedule of 0": (
        lambda: (lambda tx: tx.update(P, tx.init(P)))(gradtx.accumulate(gradtx.sgd(0.1), lambda n: 0)),
        ValueError,
        "accumulate: k is 0",
    ),
    "another state": (
        lambda: gradtx.accumulate(gradtx.sgd(0.1), 2).update(P, gradtx.sgd(0.1).init(P)),
        ValueError,
        "accumulate: state is",
    ),
    "another shape": (
        lambda: (lambda tx: tx.update({**P, "w": P["w"][0]}, tx.init(P)))(gradtx.accumulate(gradtx.sgd(0.1), 2)),
        ValueError,
        r"accumulate: grads\['w'\] has shape",
    ),
    "a skip that is a number": (
        lambda: (lambda tx: tx.update(P, tx.init(P)))(
            gradtx.MultiSteps(gradtx.sgd(0.1), 2, should_skip_update_fn=lambda *_: (0, ()))
        ),
        ValueError,
        "MultiSteps: should_skip_update_fn returned",
    ),
    "apply_every of 0": (lambda: gradtx.apply_every(0), ValueError, "apply_every: k is 0"),
    "apply_every of a schedule": (
        lambda: gradtx.apply_every(lambda n: 2),
        TypeError,
        "apply_every: k is function, expected a whole number",
    ),
    "no function": (lambda: gradtx.conditionally_mask(gradtx.sgd(0.1), 3), TypeError, "should_transform_fn is"),
    "a number for a bool": (
        lambda: (lambda tx: tx.update(P, tx.init(P)))(gradtx.conditionally_transform(gradtx.sgd(0.1), lambda t: 1)),
        ValueError,
        "conditionally_transform: should_transform_fn returned",
    ),
}


@pytest.mark.parametrize(("call", "error", "says"), ERRORS.values(), ids=ERRORS)
def test_errors(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_apply_every_recovers_from_what_is_not_finite() -> None:
    tx = gradtx.apply_every(2)
    state, seen = tx.init(jnp.array(0.0)), []
    for g in (1.0, jnp.nan, 2.0, 3.0):
        u, state = tx.update(jnp.array(g), state)
        seen.append(u.item())
    np.testing.assert_array_equal(seen, [0.0, np.nan, 0.0, 5.0])


def test_a_condition_may_see_the_extra_arguments() -> None:
    tx = gradtx.conditionally_mask(
        gradtx.sgd(1.0), lambda step, loss: loss > step.astype(float), forward_extra_args=True
    )
    state = tx.init(jnp.array(0.0))
    for loss, wanted in ((1.0, -2.0), (0.5, 0.0), (3.0, -2.0)):
        u, state = tx.update(jnp.array(2.0), state, loss=loss)
        assert u.item() == wanted


def test_a_chosen_step_keeps_the_state_of_a_half_precision_run() -> None:
    """The one of optax fails here: the two branches of its `lax.cond` have other dtypes."""
    tx = gradtx.conditionally_mask(gradtx.chain(optax.scale_by_adam(), gradtx.scale(-0.1)), odd)
    p = jnp.ones(3, jnp.bfloat16)
    state = tx.init(p)
    with jax.numpy_dtype_promotion("standard"):  # for what is optax's
        for _ in range(3):
            u, state = jax.jit(tx.update)(jnp.ones(3, jnp.float32), state, p)
    chex.assert_trees_all_equal_dtypes(state, tx.init(p))
    assert u.dtype == jnp.float32
