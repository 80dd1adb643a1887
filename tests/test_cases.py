"""What users' inputs must give: each test is named after a reported trouble and stands for all inputs of its kind."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import gradtx

ONE = jnp.ones((), jnp.float32)


def first_updates(tx: Any, grads: list[Any], params: Any) -> list[Any]:
    """Return the updates of some steps at fixed params."""
    state, out = tx.init(params), []
    for g in grads:
        u, state = tx.update(g, state, params)
        out.append(u)
    return out


# --- outside jit every callable is live -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda f: gradtx.sgd(f), lambda f: gradtx.chain(gradtx.trace(0.0), gradtx.sgd(f))])
def test_schedule_outside_jit_is_called_anew(make: Callable[..., Any]) -> None:
    rate = [1.0]
    tx = make(lambda count: rate[0])
    state = tx.init(ONE)
    one, state = tx.update(ONE, state)
    rate[0] = 0.1
    (seen,) = [v for k, v in gradtx.hyperparams(tx, state).items() if k.endswith("learning_rate")]
    two, _ = tx.update(ONE, state)
    assert (one.item(), seen) == (-1.0, pytest.approx(0.1))
    assert two.item() == pytest.approx(-0.1)


def test_rule_of_the_users_outside_jit_is_called_anew() -> None:
    factor = [1.0]
    for rule in (
        gradtx.Rule("r", lambda g, s, p, k: (g * factor[0], s)),
        gradtx.Rule("r", lambda g, s, p, k: (g * k.f, s), scalars=lambda k, count: {"f": factor[0]}),
        gradtx.Rule("r", lambda g, s, p, k: (g * k.f, s), whole_tree=lambda k, tree: ({"f": factor[0]}, {})),
    ):
        factor[0] = 1.0
        tx = gradtx.chain(gradtx.leafwise(rule), gradtx.scale(1.0))
        state = tx.init(ONE)
        one, state = tx.update(ONE, state)
        factor[0] = 0.25
        assert (one.item(), tx.update(ONE, state)[0].item()) == (1.0, 0.25)
        jitted = [jax.jit(lambda g, s, tx=tx: tx.update(g, s)[0])(ONE, state).item()]
        factor[0] = 0.5
        jitted.append(jax.jit(lambda g, s, tx=tx: tx.update(g, s)[0])(ONE, state).item())
        assert jitted == [0.25, 0.5], "a new trace of the step sees the new value"


@pytest.mark.parametrize(
    "schedule",
    [
        lambda c: 0.5 if c < 1 else 0.25,
        lambda c: 0.5 / (1.0 + float(c)),
        lambda c: [0.5, 0.25, 0.125][int(c)],
        lambda c: np.interp(c, [0, 1], [0.5, 0.25]),
        lambda c: np.float32(0.5) if int(c) == 0 else np.float32(0.25),
    ],
)
def test_schedule_in_plain_python_works_outside_jit(schedule: Callable[..., Any]) -> None:
    updates = first_updates(gradtx.sgd(schedule), [ONE, ONE], ONE)
    assert [u.item() for u in updates] == [-0.5, -0.25]


def test_schedule_of_a_users_function_inside_ours_is_live() -> None:
    rate = [1.0]
    joined = gradtx.join_schedules([lambda count: rate[0], 0.5], [5])
    assert not joined.pure
    tx = gradtx.sgd(joined)
    state = tx.init(ONE)
    first, state = tx.update(ONE, state)
    rate[0] = 0.25
    assert (first.item(), tx.update(ONE, state)[0].item()) == (-1.0, -0.25)
    waits = gradtx.sgd(gradtx.schedules.hold_until(1.0, lambda count: rate[0], below=0.5))
    state = waits.init(ONE)
    one, state = waits.update(ONE, state, error=0.1)
    rate[0] = 0.125
    assert (one.item(), waits.update(ONE, state, error=0.9)[0].item()) == (-0.25, -0.125)


# --- transforms survive being rebuilt ---------------------------------------------------------------------------------


def test_rebuilt_pair_is_the_same_transform() -> None:
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(1e-3), optax.identity())
    rebuilt = jax.tree.map(lambda x: x, tx)
    again = jax.tree.unflatten(jax.tree.structure(tx), jax.tree.leaves(tx))
    for other in (rebuilt, again, type(tx)(*tx), tx._replace(init=tx.init)):
        assert isinstance(other, gradtx.Transform)
        assert str(other) == str(tx)
        assert gradtx.hyperparams(other, other.init(ONE)) == gradtx.hyperparams(tx, tx.init(ONE)) != {}
    halves = jax.tree.map(lambda x: None, tx), jax.tree.map(lambda x: x, tx)
    assert repr(halves[0]).startswith("transform")
    plain = optax.GradientTransformationExtraArgs(*gradtx.adam(1e-3))  # only the two functions are left
    assert "scale_by_adam" in str(gradtx.chain(plain))
    doubled = gradtx.adam(1e-3)._replace(update=lambda g, s, p=None, **extra: (2 * g, s))
    assert doubled.update(ONE, doubled.init(ONE))[0].item() == 2.0
    assert isinstance(doubled, gradtx.Transform)


def test_arrays_inside_a_transform_are_constants_of_the_program_and_not_of_the_trace() -> None:
    def jaxpr(rate: float) -> Any:
        tx = gradtx.adam(jnp.float32(rate))
        state = tx.init(ONE)
        return jax.make_jaxpr(lambda g, s: tx.update(g, s)[0])(ONE, state)

    one, two = jaxpr(0.1), jaxpr(0.2)
    assert [float(c) for c in one.consts if jnp.size(c) == 1 and float(c) == pytest.approx(0.1)]
    assert str(one.jaxpr).replace(" ", "") == str(two.jaxpr).replace(" ", "")


def test_keyword_of_optax_is_accepted() -> None:
    for tx in (
        gradtx.adamw(1e-3),
        gradtx.sgd(0.1),
        gradtx.identity(),
        gradtx.watch(gradtx.adam(0.1)),
        gradtx.scale(2.0),
    ):
        state = tx.init(ONE)
        chex.assert_trees_all_equal(tx.update(updates=ONE, state=state, params=ONE), tx.update(ONE, state, ONE))


def test_tree_map_params_sees_the_slots() -> None:
    params = {"w": jnp.ones(2), "b": jnp.ones(3)}
    for tx in (
        gradtx.adamw(1e-3, mask={"w": True, "b": False}),
        gradtx.adamw(1e-3, mask=lambda p: {"w": True, "b": False}),
    ):
        state = tx.init(params)
        specs = optax.tree_map_params(
            tx, lambda _, s: s, state, {"w": "W", "b": "B"}, transform_non_params=lambda _: "-"
        )
        assert specs[0].slots["mu"] == {"w": "W", "b": "B"}
        assert specs[0].count == "-"


# --- dtypes with optax's wrappers -------------------------------------------------------------------------------------

WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda tx: tx,
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "conditionally_mask": lambda tx: optax.conditionally_mask(tx, lambda step, **_: step < 5),
    "conditionally_transform": lambda tx: optax.conditionally_transform(tx, lambda step, **_: step < 5),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(),
    "masked": lambda tx: optax.masked(tx, {"w": True, "b": False}),
    "partition": lambda tx: optax.partition({"a": tx, "f": optax.set_to_zero()}, {"w": "a", "b": "f"}),
    "chain": lambda tx: optax.chain(optax.clip_by_global_norm(1.0), tx),
    "chain, ema after": lambda tx: optax.chain(tx, optax.ema(0.9)),
    "chain, apply_every after": lambda tx: optax.chain(tx, optax.apply_every(2)),
    "our chain, ema after": lambda tx: gradtx.chain(tx, optax.ema(0.9)),
    "our chain, conditionally": lambda tx: gradtx.chain(
        optax.conditionally_transform(tx, lambda step, **_: step < 5), gradtx.scale(0.5)
    ),
    "our chain, apply_every after": lambda tx: gradtx.chain(tx, optax.apply_every(2)),
}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "adamw": lambda: gradtx.adamw(1e-2),
    "sgd": lambda: gradtx.sgd(1e-2, momentum=0.9),
    "clip + rmsprop": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.rmsprop(1e-2, centered=True)),
}


@pytest.mark.share(4)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_half_precision_runs_inside_optax(wrapper: str, name: str) -> None:
    """Updates have optax's dtype, states keep theirs, a step compiles once, a scan carries it, `p + u` stays half."""
    tx = WRAPPERS[wrapper](OPTIMIZERS[name]())
    params = {"w": jnp.ones((3, 2), jnp.bfloat16), "b": jnp.ones(3, jnp.bfloat16)}

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        with jax.numpy_dtype_promotion("standard"):
            updates, state = tx.update(jax.tree.map(lambda p: 0.5 * p, params), state, params)
            return (jax.tree.map(lambda p, u: p + u, params, updates), state), updates

    with jax.numpy_dtype_promotion("standard"):
        carry = (params, jax.jit(tx.init)(params))
        chex.clear_trace_counter()
        traced = jax.jit(chex.assert_max_traces(lambda *args: step(*args), n=1))
        for _ in range(3):
            new, updates = traced(carry, None)
            chex.assert_trees_all_equal_shapes_and_dtypes(carry, new)
            assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}
            carry = new
        jax.eval_shape(lambda c: jax.lax.scan(step, c, length=3), carry)


@pytest.mark.parametrize(("g", "p"), [(a, b) for a in ("f2", "f4", "f8", "bf") for b in ("f2", "f4", "f8", "bf")])
def test_update_has_the_wider_dtype_of_gradient_and_parameter(g: str, p: str) -> None:
    kinds = {"f2": jnp.float16, "f4": jnp.float32, "f8": jnp.float64, "bf": jnp.bfloat16}
    g, p = jnp.ones(3, kinds[g]), jnp.ones(3, kinds[p])
    with jax.numpy_dtype_promotion("standard"):
        wider = jnp.promote_types(g.dtype, p.dtype)
    for tx in (gradtx.adamw(0.1), gradtx.sgd(0.1), gradtx.chain(gradtx.trace(0.9), gradtx.clip_by_global_norm(1.0))):
        state = tx.init(p)
        assert tx.update(g, state, p)[0].dtype == wider


@pytest.mark.parametrize(("g", "p", "wider"), [
    ("float8_e4m3fn", "float32", "float32"),
    ("float8_e5m2", "bfloat16", "bfloat16"),
    ("float16", "float8_e4m3fn", "float16"),
    ("float8_e5m2", "float8_e5m2", "float8_e5m2"),
    ("float8_e5m2", "float8_e4m3fn", "float32"),
])  # fmt: skip
def test_floats_of_8_bits_are_taken(g: str, p: str, wider: str) -> None:
    """JAX has no rule for what is wider than they are."""
    grads, params = jnp.full(3, 0.5, g), jnp.ones(3, p)
    tx = gradtx.chain(gradtx.clip_by_global_norm(10.0), gradtx.adam(0.5))
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates.dtype == jnp.dtype(wider)
    new = gradtx.apply_updates(params, updates)
    assert new.dtype == params.dtype
    assert new.astype(jnp.float32).tolist() == [0.5] * 3


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("mean", [1e2, 1e3, 1e4])
def test_stddev_about_a_large_mean(mean: float, corrected: bool) -> None:
    """float32 gradients whose mean is many deviations: within 1e-3 of float64 on the very same gradients."""
    rng = np.random.default_rng(0)
    grads = (mean + rng.standard_normal((150, 8))).astype(np.float32)
    d, eps = 0.9, 1e-8
    tx = gradtx.scale_by_stddev(d, eps, bias_correction=corrected)
    got = np.stack(first_updates(tx, list(jnp.asarray(grads)), jnp.zeros(8, jnp.float32)))
    mu = nu = np.zeros(8, np.longdouble)
    for t, g in enumerate(grads.astype(np.longdouble), 1):
        mu, nu = d * mu + (1 - d) * g, d * nu + (1 - d) * g * g
        c = 1 / (1 - np.longdouble(d) ** t) if corrected else 1
        want = g / np.sqrt(nu * c - (mu * c) ** 2 + eps)
        if t > 5:
            np.testing.assert_allclose(got[t - 1], want.astype(float), rtol=1e-3)


def test_derivative_of_a_derivative_through_a_scan() -> None:
    """grad(grad(...)) over the rate, where a gradient entry is exactly 0: the unrolled value, never NaN."""
    makers = {
        "adam": gradtx.adam,
        "amsgrad": gradtx.amsgrad,
        "nadam": gradtx.nadam,
        "rmsprop": lambda r: gradtx.rmsprop(r, eps_in_sqrt=False),
    }

    def loss(p: jax.Array) -> jax.Array:
        return jnp.sum(p[:2] ** 4)  # the third entry never has a gradient

    def trained(rate: jax.Array, make: Any, scanned: bool) -> jax.Array:
        tx = make(rate)
        p = jnp.array([1.0, -2.0, 0.5])

        def step(carry: Any, _: Any) -> Any:
            p, state = carry
            updates, state = tx.update(jax.grad(loss)(p), state, p)
            return (p + updates, state), None

        carry = (p, tx.init(p))
        if scanned:
            return loss(jax.lax.scan(step, carry, length=4)[0][0])
        for _ in range(4):
            carry, _ = step(carry, None)
        return loss(carry[0])

    for name, make in makers.items():
        twice = jax.jit(jax.grad(jax.grad(trained)), static_argnums=(1, 2))
        second = [twice(jnp.array(0.1), make, scanned) for scanned in (False, True)]
        assert np.all(np.isfinite(second)), name
        np.testing.assert_allclose(second[1], second[0], rtol=1e-8, err_msg=name)
        h = 1e-5
        slope = [jax.grad(trained)(jnp.array(0.1 + s * h), make, True) for s in (1, -1)]
        np.testing.assert_allclose(second[1], (slope[0] - slope[1]) / (2 * h), rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "make", [gradtx.adam, gradtx.amsgrad, gradtx.nadamw, gradtx.rmsprop, gradtx.adagrad, gradtx.radam]
)
def test_one_huge_gradient_does_not_stop_a_parameter_for_good(make: Callable[..., Any]) -> None:
    tx = make(0.1)
    grads = [jnp.array([1.0, 3e19 if i == 2 else 1.0], jnp.float32) for i in range(6)]
    params = jnp.zeros(2, jnp.float32)
    state = tx.init(params)
    for g in grads:
        updates, state = tx.update(g, state, params)
        chex.assert_tree_all_finite(state)
        chex.assert_tree_all_finite(updates)
    if make is gradtx.rmsprop:  # its mean forgets within some hundred steps; the slot was infinite for good before
        later = jax.jit(
            lambda s: jax.lax.fori_loop(0, 1000, lambda _, s: tx.update(jnp.ones_like(params), s, params)[1], s)
        )
        updates, state = tx.update(jnp.ones_like(params), later(state), params)
        np.testing.assert_allclose(updates[1], updates[0], rtol=1e-3)
    bad, _ = tx.update(jnp.array([jnp.nan, jnp.inf], jnp.float32), state, params)
    assert not np.any(np.isfinite(bad)), "what is not finite is never hidden"


@pytest.mark.parametrize("g", [4e-18, 1e-10, 1.0, 1e10, 9e18])
def test_adam_is_invariant_over_the_stated_range(g: float) -> None:
    (u,) = first_updates(gradtx.scale_by_adam(eps=0.0), [jnp.float32(g)], ONE)
    assert u.item() == pytest.approx(1.0, rel=1e-4)


def test_complex_momentum_keeps_its_imaginary_part() -> None:
    p = jnp.ones(2, jnp.complex64)
    for dtype, kept in (
        ("float32", "complex64"),
        ("bfloat16", "complex64"),
        ("float64", "complex128"),
        (None, "complex64"),
    ):
        for tx in (gradtx.adam(0.1, mu_dtype=dtype), gradtx.sgd(0.1, 0.9, accumulator_dtype=dtype)):
            state = tx.init(p)
            slot = next(iter(state[0].slots.values()))
            assert slot.dtype == kept
            u, state = tx.update(jnp.array([1j, 2.0 + 1j], jnp.complex64), state, p)
            assert np.all(np.abs(u.imag) > 0)


def test_values_that_optax_takes_are_taken() -> None:
    for tx in (
        gradtx.trace(1.0),
        gradtx.add_decayed_weights(-0.1),
        gradtx.adamw(0.1, weight_decay=-0.01),
        gradtx.adam(0.1, eps=2**31),
        gradtx.scale(2**40),
        gradtx.clip_by_global_norm(10**400),  # no float is as large
        gradtx.sgd(0.1, momentum=1.0),
    ):
        u, _ = tx.update(ONE, tx.init(ONE), ONE)
        assert np.isfinite(u)


def test_no_false_alarm_of_checkify() -> None:
    from jax.experimental import checkify

    p = jnp.ones(3)

    def f(p: jax.Array) -> jax.Array:
        return jnp.sum(p**4 + (p - 1) ** 2)

    value, g = jax.value_and_grad(f)(p)
    given = {"value": value, "grad": g, "value_fn": f}
    for tx in (
        gradtx.radam(0.1, b2=0.6),
        gradtx.radam(0.1),
        gradtx.adam(0.1),
        gradtx.reduce_on_plateau(),
        gradtx.chain(gradtx.scale(-1.0), gradtx.scale_by_zoom_linesearch(4)),
    ):
        update = checkify.checkify(functools.partial(tx.update, **given), errors=checkify.float_checks)
        error, _ = jax.jit(update)(g, tx.init(p), p)
        assert error.get() is None, tx


# --- states and hyperparameters ---------------------------------------------------------------------------------------


def test_slots_are_attributes() -> None:
    state = gradtx.adam(0.1).init(ONE)
    assert state[0].mu is state[0].slots["mu"]
    assert state[0].nu is state[0].slots["nu"]
    assert gradtx.sgd(0.1, 0.9).init(ONE)[0].trace is not None
    with pytest.raises(AttributeError, match=r"no field or slot 'm', expected one of the slots \['mu', 'nu'\]"):
        _ = state[0].m
    assert not hasattr(state[0], "inner")


@pytest.mark.parametrize(
    "make", [gradtx.sgd, gradtx.adamw, lambda r: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(r))]
)
def test_leaves_without_a_gradient_are_left_alone(make: Callable[..., Any]) -> None:
    params = {"w": jnp.ones(2), "steps": jnp.arange(3), "key": jax.random.key(0), "on": jnp.array(True), "n": 3}
    tx = make(0.1)
    state = tx.init(params)
    grads = {"w": jnp.ones(2), "steps": None, "key": None, "on": None, "n": None}
    updates, state = tx.update(grads, state, params)
    new = gradtx.apply_updates(params, updates)
    assert new["steps"] is params["steps"]
    assert new["n"] == 3
    assert new["w"][0] < 1.0
    numbers = {"w": params["w"], "steps": params["steps"]}
    zero = jax.grad(lambda p: jnp.sum(p["w"]) + 0.0 * jnp.sum(p["steps"]).astype(float), allow_int=True)(numbers)
    updates, _ = tx.update(zero, tx.init(numbers), numbers)
    chex.assert_trees_all_equal(gradtx.apply_updates(numbers, updates)["steps"], params["steps"])
    with pytest.raises(TypeError, match=r"grads\['steps'\] is int"):
        tx.update({"w": jnp.ones(2), "steps": jnp.arange(3)}, tx.init(numbers), numbers)


def test_hyperparams_of_a_batch_of_states() -> None:
    tx = gradtx.sgd(gradtx.schedules.linear(1.0, 0.0, 4), momentum=0.9)
    states = jax.vmap(tx.init)(jnp.ones((3, 2)))
    states = (states[0], states[1]._replace(count=jnp.array([0, 1, 2], jnp.int32)))
    found = gradtx.hyperparams(tx, states)
    np.testing.assert_allclose(found["scale_by_learning_rate.learning_rate"], [1.0, 0.75, 0.5])
    assert found["trace.decay"] == 0.9


@pytest.mark.parametrize("wrapper", [w for w in WRAPPERS if w != "plain"])
def test_hyperparams_are_found_inside_optax(wrapper: str) -> None:
    params = {"w": jnp.ones((3, 2)), "b": jnp.ones(3)}
    tx = WRAPPERS[wrapper](gradtx.adamw(gradtx.schedules.linear(1e-2, 0.0, 10)))
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
        state = tx.init(params)
        for _ in range(2):
            _, state = tx.update(params, state, params)
    found = {k: v for k, v in gradtx.hyperparams(tx, state).items() if k.endswith("learning_rate")}
    used = 1 if "MultiSteps" in wrapper else 2
    assert list(found.values()) == [pytest.approx(1e-2 * (1 - used / 10), rel=1e-5)], found


def test_hyperparams_of_inject_hyperparams() -> None:
    tx = optax.inject_hyperparams(gradtx.adam)(learning_rate=0.25)
    assert gradtx.hyperparams(tx, tx.init(ONE))["learning_rate"] == 0.25


def test_a_rule_that_hides_its_sigma_has_no_known_rate() -> None:
    from gradtx.diagnosis.record.rates import effective_rate

    hidden = gradtx.leafwise(gradtx.Rule("hidden", lambda g, s, p, k: (g / (abs(g) + 1.0), s)))
    said = gradtx.quotient(gradtx.Rule("said", lambda g, s, p, k: ((g, abs(g) + 1.0), s)))
    g = jnp.array([1.0, 3.0])
    for tx, want in ((hidden, None), (said, [0.05, 0.025])):
        chained = gradtx.chain(tx, gradtx.scale_by_learning_rate(0.1))
        got = effective_rate(chained, chained.init(g), g)
        assert got is None if want is None else np.allclose(got, want)


def test_rates_inside_optax_are_read_or_not_known() -> None:
    """Wrappers of optax show their parts other trees; the rate of some leaves is not that of all."""
    from gradtx.diagnosis.record.rates import effective_rate, learning_rate

    p, to = {"w": jnp.ones((3, 2)), "b": jnp.ones(3)}, {"w": "a", "b": "b"}
    on_w, on_b = {"w": True, "b": False}, {"w": False, "b": True}
    adam, sgd = gradtx.adam(0.5), gradtx.sgd(0.25)
    for tx, eta, rate in (
        (optax.masked(adam, on_w), None, None),
        (optax.flatten(adam), 0.5, None),
        (optax.selective_transform(adam, freeze_mask=on_b), None, None),
        (optax.partition({"a": adam, "b": sgd}, to), None, None),
        (optax.chain(optax.masked(adam, on_w), optax.masked(sgd, on_b)), None, None),
        (optax.chain(adam, gradtx.scale(0.5)), 0.25, 0.25),
        (optax.named_chain(("one", adam), ("two", gradtx.scale(0.5))), 0.25, 0.25),
        (optax.apply_if_finite(adam, 3), 0.5, 0.5),
    ):
        state = tx.init(p)
        assert learning_rate(tx, state) == eta, tx
        got = effective_rate(tx, state, p, p)
        assert got is None if rate is None else got["w"][0, 0] == pytest.approx(rate, rel=1e-5), tx
        spy = gradtx.watch(tx)
        jax.eval_shape(spy.update, p, spy.init(p), p)


# --- masks ------------------------------------------------------------------------------------------------------------


@jax.tree_util.register_pytree_with_keys_class
class Frozen(dict):
    """A mapping of another type with the same keys, as flax's FrozenDict."""

    def tree_flatten_with_keys(self) -> Any:
        keys = sorted(self)
        return [(jax.tree_util.DictKey(k), self[k]) for k in keys], tuple(keys)

    @classmethod
    def tree_unflatten(cls, keys: Any, children: Any) -> "Frozen":
        return cls(zip(keys, children, strict=True))


def test_a_mask_matches_by_keys() -> None:
    inner = {"kernel": jnp.ones(2), "bias": jnp.ones(2)}
    for params, mask in (
        (Frozen({"dense": Frozen(inner)}), {"dense": {"kernel": True, "bias": False}}),
        ({"dense": inner}, Frozen({"dense": Frozen({"kernel": True, "bias": False})})),
        (
            Frozen({"dense": Frozen(inner), "head": jnp.ones(2)}),
            {"dense": {"kernel": True, "bias": False}, "head": False},
        ),
    ):
        tx = gradtx.add_decayed_weights(1.0, mask)
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        assert updates["dense"]["kernel"][0] == 1.0
        assert updates["dense"]["bias"][0] == 0.0


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass
class Variable:
    """A box round a value, as flax nnx's Param."""

    value: Any

    def tree_flatten_with_keys(self) -> Any:
        return [(jax.tree_util.GetAttrKey("value"), self.value)], None

    @classmethod
    def tree_unflatten(cls, _: Any, children: Any) -> "Variable":
        return cls(*children)


def test_a_mask_made_of_variables_fits_bare_arrays() -> None:
    """`nnx.Optimizer` makes the state from variables and updates with the arrays in them."""
    params = {"dense": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}}
    boxed = jax.tree.map(Variable, params)
    tx = gradtx.add_decayed_weights(1.0, {"dense": {"kernel": Variable(True), "bias": Variable(False)}})
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(boxed), params)
    assert (updates["dense"]["kernel"][0], updates["dense"]["bias"][0]) == (1.0, 0.0)


def test_no_slot_where_a_mask_says_no() -> None:
    rule = gradtx.Rule(
        "sum", lambda g, s, p, k: (g + s["s"], {"s": s["s"] + g}), lambda p: {"s": jnp.zeros_like(p)}, ("s",)
    )
    tx = gradtx.chain(gradtx.leafwise(rule, mask={"a": True, "b": False}), gradtx.scale(-1.0))
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    state = tx.init(params)
    assert state[0].s["b"] is None
    for run in (tx.update, jax.jit(tx.update)):
        updates, new = run(params, state, params)
        assert new[0].s["b"] is None
        np.testing.assert_array_equal(updates["b"], -np.ones(3))


# --- devices ----------------------------------------------------------------------------------------------------------


def mesh(n: int = 8) -> jax.sharding.Mesh:
    kind = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((n,), ("data",), devices=jax.devices()[:n], axis_types=kind)


def shard_map(f: Any, mesh: Any, specs: Any) -> Any:
    return jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=specs)


def test_clip_inside_shard_map_is_that_of_all_shards() -> None:
    spec = PartitionSpec("data")
    grads = jnp.ones(64)
    for tx in (gradtx.clip_by_global_norm(1.0, axis_name="data"), gradtx.clip_by_global_norm(1.0, axis_name=("data",))):
        clipped = shard_map(lambda g, tx=tx: tx.update(g, tx.init(g))[0], mesh(), spec)(grads)
        assert float(jnp.linalg.norm(clipped)) == pytest.approx(1.0, rel=1e-6)
    norm = shard_map(lambda g: g * 0 + gradtx.global_norm(g, axis_name="data"), mesh(), spec)(grads)
    np.testing.assert_allclose(norm, 8.0, rtol=1e-6)
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.scale(1.0))
    with pytest.raises(ValueError, match=r"clip_by_global_norm: grads\['w'\] varies over .* 'data'.*axis_name"):
        shard_map(lambda g: tx.update({"w": g}, tx.init({"w": g}))[0]["w"], mesh(), spec)(grads)
    with pytest.raises(ValueError, match=r"global_norm: updates\['w'\] varies over the mesh axis 'data'"):
        shard_map(lambda g: g * gradtx.global_norm({"w": g}), mesh(), spec)(grads)


def test_a_leaf_that_is_the_same_on_all_shards_counts_once() -> None:
    def step(split: jax.Array, same: jax.Array) -> Any:
        tx = gradtx.clip_by_global_norm(1.0, axis_name="data")
        grads = {"split": split, "same": same}
        return tx.update(grads, tx.init(grads))[0]["split"]

    specs = (PartitionSpec("data"), PartitionSpec())
    run = jax.shard_map(step, mesh=mesh(), in_specs=specs, out_specs=PartitionSpec("data"))
    clipped = run(jnp.full(64, 0.375), jnp.full(4, 2.0))  # norms 3 and 4
    np.testing.assert_allclose(clipped, 0.375 / 5.0, rtol=1e-6)


def test_new_params_lie_where_the_old_ones_lay() -> None:
    sharded, copied = (NamedSharding(mesh(), spec) for spec in (PartitionSpec("data"), PartitionSpec()))
    params, updates = jax.device_put(jnp.ones(16), copied), jax.device_put(jnp.ones(16), sharded)
    new = gradtx.apply_updates(params, updates)
    assert new.sharding.is_equivalent_to(copied, 1)
    assert gradtx.apply_updates(updates, params).sharding.is_equivalent_to(sharded, 1)
    explicit = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    sharded, copied = (NamedSharding(explicit, spec) for spec in (PartitionSpec("data"), PartitionSpec()))
    params, updates = jax.device_put(jnp.ones(16), copied), jax.device_put(jnp.ones(16), sharded)
    assert jax.jit(gradtx.apply_updates)(params, updates).sharding.is_equivalent_to(copied, 1)
    assert jax.jit(gradtx.apply_updates)(updates, params).sharding.is_equivalent_to(sharded, 1)


@dataclasses.dataclass
class Unused:
    """A class that is no pytree: a leaf of another kind."""


def test_a_leaf_of_another_kind_is_an_error_that_names_its_path() -> None:
    with pytest.raises(TypeError, match=r"trace: params\['net'\] is Unused"):
        gradtx.trace(0.9).init({"net": Unused()})
