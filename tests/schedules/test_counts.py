"""Counts, lengths and values as users give them: floats, arrays, beyond int32, none, negative; and what they cost."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx import schedules
from tests.schedules.table import INT32_MAX, LONG_SCHEDULES, SCHEDULES, Row, evaluate

rows = pytest.mark.parametrize("row", SCHEDULES, ids=lambda row: row.text)


# --- float counts -----------------------------------------------------------------------------------------------------


@pytest.mark.share(4)
@rows
@pytest.mark.parametrize("x64", [False, True])
def test_a_whole_float_count_has_the_value_of_the_whole_count(row: Row, x64: bool):
    counts = np.array([count for count in row.counts() if count < 2**24])
    with jax.enable_x64(x64):
        schedule = jax.jit(row.make())
        whole = schedule(jnp.asarray(counts, jnp.int32))
        tolerance = {"rtol": 1e-14 if x64 else 5e-7, "atol": 1e-16 if x64 else 1e-8}
        np.testing.assert_allclose(schedule(counts.astype(np.float32)), whole, **tolerance)


@rows
def test_dtype_and_shape_at_float_counts(row: Row):
    for x64 in (False, True):
        with jax.enable_x64(x64), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            schedule = row.make()
            for count in (2.5, np.float32(2.5), jnp.bfloat16(2.5), jnp.linspace(0.0, 9.0, 4), np.full((2, 3), 2.5)):
                out = jax.eval_shape(schedule, count)
                assert out.dtype == (jnp.float64 if x64 else jnp.float32)
                assert out.shape == np.shape(count)
                assert not out.weak_type


@pytest.mark.parametrize(
    ("text", "longer"),
    [
        ("linear(1.0, 0.1, 20, 5)", "linear(1.0, 0.1, 80, 20)"),
        ("polynomial(0.0, 0.5, 3.5, 20, 3)", "polynomial(0.0, 0.5, 3.5, 80, 12)"),
        ("exponential(0.1, 10, 0.5, 5, end_value=0.01)", "exponential(0.1, 40, 0.5, 20, end_value=0.01)"),
        ("inverse_time(0.1, 10, 0.5)", "inverse_time(0.1, 40, 0.5)"),
        ("cosine(0.1, 20, 0.1, 1.5)", "cosine(0.1, 80, 0.1, 1.5)"),
        ("cosine_restarts(0.1, 10, 2, 0.5)", "cosine_restarts(0.1, 40, 2, 0.5)"),
        ("linear_one_cycle(40, 0.1, 0.25, 0.75)", "linear_one_cycle(160, 0.1, 0.25, 0.75)"),
        ("warmup_cosine(0.1, 10, 50, 0.0)", "warmup_cosine(0.1, 40, 200, 0.0)"),
        ("warmup_stable_decay(0.1, 5, 20, 10, 0.0)", "warmup_stable_decay(0.1, 20, 80, 40, 0.0)"),
        ("join([linear(0.0, 1.0, 4), cosine(1.0, 9)], [4])", "join([linear(0.0, 1.0, 16), cosine(1.0, 36)], [16])"),
    ],
)
def test_between_two_updates_lies_what_a_longer_schedule_has_at_updates(text: str, longer: str):
    np.testing.assert_allclose(evaluate(text)(np.arange(400) / 4), evaluate(longer)(np.arange(400)), rtol=1e-12)


@rows
def test_no_count_is_nan_and_none_is_infinite(row: Row):
    schedule = row.make()
    assert jnp.isnan(schedule(math.nan))
    assert jnp.isfinite(schedule(math.inf))
    assert schedule(-math.inf) == schedule(-2.5) == schedule(0)
    if row.ends:
        assert schedule(math.inf) == schedule(INT32_MAX)


def test_the_slope_at_a_float_count():
    slope = jax.grad(schedules.cosine(2.0, 10))(2.5)
    np.testing.assert_allclose(slope, -2.0 * math.pi / 20 * math.sin(math.pi / 4), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(schedules.exponential(2.0, 10, 0.5))(25.0), 2.0 * 0.5**2.5 * math.log(0.5) / 10)
    assert jax.grad(schedules.piecewise(1.0, {10: 0.5}))(25.0) == 0.0
    np.testing.assert_allclose(jax.grad(schedules.join([0.1, schedules.linear(1.0, 0.0, 4)], [2]))(3.0), -0.25)
    assert jax.grad(schedules.join([0.1, lambda count: jnp.sqrt(count + 1.0)], [2]))(1.0) == 0.0


# --- lengths ----------------------------------------------------------------------------------------------------------

LONG = 10**10


@pytest.mark.share(3)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("linear(1.0, 0.0, LONG)", 0.5),
        ("polynomial(1.0, 0.0, 2, LONG)", 0.25),
        ("cosine(1.0, LONG)", 0.5),
        ("exponential(1.0, LONG, 0.25)", 0.5),
        ("exponential(1.0, LONG // 10, 0.5, staircase=True)", 0.5**5),
        ("exponential(1.0, 10, 0.5, LONG)", 1.0),
        ("inverse_time(1.0, LONG, 2.0)", 0.5),
        ("inverse_time(1.0, LONG, 2.0, staircase=True)", 1.0),
        ("cosine_restarts(1.0, LONG)", 0.5),
        ("cosine_restarts(1.0, LONG, 2)", 0.5),
        ("cosine_restarts(1.0, 1_250_000_000, 1.5)", None),
        ("warmup_constant(1.0, LONG, 0.0)", 0.5),
        ("warmup_linear(1.0, 0, LONG)", 0.5),
        ("warmup_cosine(1.0, 0, LONG)", 0.5),
        ("warmup_stable_decay(1.0, 0, 0, LONG)", 0.5),
        ("warmup_stable_decay(1.0, 0, LONG, LONG)", 1.0),
        ("one_cycle(LONG, 1.0, 0.5)", 1.0),
        ("linear_one_cycle(LONG, 1.0, 0.5)", 1.0),
        ("piecewise(1.0, {LONG: 0.5, 4 * 10**9: 0.25})", 0.25),
        ("piecewise_interpolate_schedule('linear', 1.0, {LONG: 0.5})", 0.75),
        ("join([0.5, linear(1.0, 0.0, LONG), 7.0], [2 * 10**9, LONG])", 0.7),
        ("sgdr_schedule([dict(init_value=0.0, peak_value=1.0, warmup_steps=0, decay_steps=LONG)] * 2)", 0.5),
    ],
)
def test_lengths_beyond_the_largest_count(text: str, value: float | None):
    """A Python count of 5e9 is taken as it is, a counter of int32 stops at its end; both are on the way."""
    for x64, tolerance in ((False, 1e-6), (True, 1e-13)):
        with jax.enable_x64(x64):
            schedule = eval(text, {**vars(schedules), "LONG": LONG})
            if value is not None:
                np.testing.assert_allclose(schedule(5 * 10**9), value, rtol=tolerance)
                np.testing.assert_allclose(schedule(5e9), value, rtol=tolerance)
            at_end = jax.jit(schedule)(jnp.asarray(INT32_MAX, jnp.int32))
            np.testing.assert_allclose(at_end, schedule(float(INT32_MAX)), rtol=tolerance)
            assert jnp.isfinite(schedule(10**30))
    if value is not None:
        with jax.enable_x64(True):
            np.testing.assert_allclose(jax.jit(schedule)(jnp.asarray(5 * 10**9)), value, rtol=1e-13)


@pytest.mark.parametrize("beyond", [1, 5, 0.5])
def test_the_last_count_of_int32_is_exact_for_a_length_just_beyond_it(beyond: float):
    length = INT32_MAX + beyond
    with jax.enable_x64(False):
        np.testing.assert_allclose(schedules.linear(1.0, 0.0, length)(INT32_MAX), beyond / length, rtol=2e-7)


@pytest.mark.parametrize("count", [9_999_999, 10_000_000, 10_000_001])
def test_a_fractional_length_is_exact_to_the_last_step(count: int):
    length, begin = 9_999_000.5, 1000
    expected = min(max((length - (count - begin)) / length, 0.0), 1.0)
    with jax.enable_x64(False):
        for steps in (length, jnp.float32(9_999_000.0) + 0.5):
            got = schedules.linear(1.0, 0.0, steps, begin)(count)
            exact = expected if steps is length else max((float(steps) - count + begin) / float(steps), 0.0)
            np.testing.assert_allclose(got, exact, rtol=2e-7)


GIVEN = [
    100,
    100.0,
    1e2,
    np.int64(100),
    np.uint8(100),
    np.float32(100),
    np.array(100),
    jnp.int32(100),
    jnp.float32(100),
]


@pytest.mark.parametrize("steps", GIVEN, ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}")
def test_forms_of_a_length(steps: object):
    for make in (
        lambda n: schedules.linear(1.0, 0.0, n),
        lambda n: schedules.cosine(1.0, n),
        lambda n: schedules.exponential(1.0, n, 0.5, transition_begin=n, staircase=True),
        lambda n: schedules.cosine_restarts(1.0, n, 2),
        lambda n: schedules.warmup_cosine(1.0, n, 1000),
        lambda n: schedules.join([1.0, schedules.linear(2.0, 1.0, 10)], [n]),
        lambda n: schedules.one_cycle(n, 1.0),
    ):
        got, expected = jax.make_jaxpr(make(steps))(3), jax.make_jaxpr(make(100))(3)
        assert str(got) == str(expected)
        jax.tree.map(np.testing.assert_array_equal, got.consts, expected.consts)


@pytest.mark.parametrize(("product", "whole"), [(0.07 * 100, 7), (0.29 * 100, 29), (0.1 * 3 * 1e9, 300_000_000)])
def test_a_length_that_misses_a_whole_number_by_rounding_is_that_number(product: float, whole: int):
    assert product != whole
    counts = np.array([whole - 1, whole, whole + 1])
    for make in (
        lambda n: schedules.piecewise_constant_schedule(1.0, {n: 0.5}),
        lambda n: schedules.exponential_decay(1.0, n, 0.5, staircase=True),
        lambda n: schedules.join_schedules([1.0, 2.0], [n]),
    ):
        np.testing.assert_array_equal(make(product)(counts), make(whole)(counts))


@pytest.mark.parametrize("steps", [100.5, np.float32(100.5), jnp.float32(100.5), jnp.bfloat16(100.5)])
def test_no_length_is_cut_to_a_whole_number(steps: object):
    expected = (1 + math.cos(math.pi * 100 / 100.5)) / 2
    np.testing.assert_allclose(schedules.cosine_decay_schedule(1, steps)(100), expected, rtol=1e-9)
    np.testing.assert_allclose(
        jax.jit(lambda n: schedules.cosine_decay_schedule(1, n)(100))(steps), expected, rtol=1e-9
    )


@pytest.mark.share(4)
@pytest.mark.parametrize("length", [10.5, 10.0, 10, 0, -3, 0.5])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: schedules.linear(1.0, 0.25, n),
        lambda n: schedules.linear(1.0, 0.25, 7, n),
        lambda n: schedules.polynomial(1.0, 0.25, 2.5, n),
        lambda n: schedules.exponential(1.0, n, 0.5, end_value=0.2),
        lambda n: schedules.exponential(1.0, n, 0.5, staircase=True),
        lambda n: schedules.exponential(1.0, 7, 0.5, n),
        lambda n: schedules.inverse_time(1.0, n, 0.5),
        lambda n: schedules.inverse_time(1.0, n, 0.5, staircase=True),
        lambda n: schedules.join([lambda c: 1.0 * c, lambda c: 100.0 + c], [n]),
        lambda n: schedules.join([lambda c: 1.0 * c, lambda c: 100.0 + c, lambda c: 200.0 + c], [n, 11]),
    ],
)
def test_a_traced_length_is_the_known_one(make: object, length: float):
    for counts in (np.array([0, 3, 10, 11, 200]), np.array([0.0, 3.0, 10.25, 11.0, 200.0])):
        with jax.numpy_dtype_promotion("standard"):
            traced = jax.jit(lambda n, counts=counts: make(n)(counts))(length)
            np.testing.assert_allclose(traced, make(length)(counts), rtol=1e-13)


ZERO = [0, 0.0, np.int32(0), np.float64(0.0), jnp.int32(0)]


@pytest.mark.parametrize("none", ZERO, ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}")
def test_a_part_of_no_steps_is_passed_over(none: object):
    counts = np.array([0, 1, 4, 10, 20])
    for make in (
        lambda n: schedules.warmup_constant(2.0, n),
        lambda n: schedules.warmup_constant(2.0, n, init_value=-1.0),
        lambda n: schedules.warmup_constant_schedule(-1.0, 2.0, n),
        lambda n: schedules.warmup_stable_decay(2.0, n, 100, 10, -1.0),
    ):
        np.testing.assert_array_equal(make(none)(counts), 2.0)
        np.testing.assert_array_equal(jax.jit(lambda n, make=make: make(n)(counts))(none), 2.0)
    down = schedules.cosine(2.0, 10)(counts)
    for make in (
        lambda n: schedules.warmup_cosine(2.0, n, 10),
        lambda n: schedules.warmup_cosine_decay_schedule(-1.0, 2.0, n, 10),
        lambda n: schedules.join_schedules([-1.0, schedules.cosine(2.0, 10)], [n]),
        lambda n: schedules.warmup_stable_decay(2.0, n, n, 10, -1.0, shape="cosine"),
    ):
        np.testing.assert_array_equal(make(none)(counts), down)
        np.testing.assert_allclose(jax.jit(lambda n, make=make: make(n)(counts))(none), down, rtol=1e-13)
    np.testing.assert_array_equal(schedules.linear(-1.0, 2.0, none)(counts), -1.0)
    np.testing.assert_array_equal(schedules.exponential(-1.0, none, 0.5)(counts), -1.0)
    np.testing.assert_array_equal(schedules.inverse_time(-1.0, none, 0.5)(counts), -1.0)
    np.testing.assert_array_equal(schedules.warmup_stable_decay(2.0, 4, none, none, -2.0, 0.5)(counts)[2:], 0.5)
    np.testing.assert_array_equal(schedules.join([1.0, 2.0, 3.0], [4, 4])(counts), [1.0, 1.0, 3.0, 3.0, 3.0])


# --- values of any sign -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "signed"),
    [
        ("constant", (0.1,), {}, {0}),
        ("linear", (1.0, -0.5, 20), {}, {0, 1}),
        ("polynomial", (1.0, -0.5, 2.5, 20), {}, {0, 1}),
        ("cosine", (0.5, 20, -0.5), {}, {0}),
        ("exponential", (0.5, 10, 0.7), {}, {0}),
        ("inverse_time", (0.5, 10, 0.7), {}, {0}),
        ("inverse_sqrt", (64, 5, 2.0), {}, {2}),
        ("warmup_constant", (0.5, 5), {}, {0}),
        ("warmup_linear", (0.5, 5, 20, -0.1, -0.3), {}, {0, 3, 4}),
        ("warmup_cosine", (0.5, 5, 20, -0.1, 0.2, 1.5), {}, {0, 3, 4}),
        ("warmup_stable_decay", (0.5, 5, 5, 10, -0.2, 0.1), {"shape": "sqrt"}, {0, 4, 5}),
        ("cosine_restarts", (0.5, 10, 2, 1.5, -0.1), {}, {0}),
        ("one_cycle", (20, 0.5), {}, {1}),
        ("linear_one_cycle", (20, 0.5), {}, {1}),
        ("piecewise", (0.5, {3: 0.1, 7: 2.0}), {}, {0}),
        ("piecewise_interpolate_schedule", ("cosine", 0.5, {3: 0.1, 7: 2.0}), {}, {1}),
    ],
)
def test_the_sign_of_the_values_is_the_sign_of_the_schedule(name: str, args: tuple, kwargs: dict, signed: set):
    counts = np.arange(60)
    turned = [-arg if i in signed else arg for i, arg in enumerate(args)]
    make = getattr(schedules, name)
    np.testing.assert_array_equal(make(*turned, **kwargs)(counts), -make(*args, **kwargs)(counts))


def test_a_coefficient_that_rises_from_below_0():
    rise = schedules.linear(-1.0, 1.0, 8)
    assert [rise(count).item() for count in (0, 2, 4, 6, 8, 9)] == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.0]
    stairs = schedules.exponential_decay(1.0, 10, -0.5, staircase=True)
    assert [stairs(count).item() for count in (9, 10, 20, 39)] == [1.0, -0.5, 0.25, -0.125]


@pytest.mark.parametrize("schedule", [schedules.piecewise_constant_schedule(-0.1, {1: 2.0}), lambda n: -0.1 * (n + 1)])
@pytest.mark.parametrize("make", [gradtx.scale, gradtx.scale_by_schedule])
def test_a_negative_coefficient_scales_updates(make: object, schedule: object):
    tx = make(schedule)
    state = tx.init(jnp.zeros(()))
    first, state = tx.update(jnp.ones(()), state)
    second, _ = jax.jit(tx.update)(jnp.ones(()), state)
    np.testing.assert_allclose([first, second], [-0.1, -0.2], rtol=1e-12)


def test_every_coefficient_of_a_transform_may_be_a_schedule():
    half = schedules.join_schedules([0.5, schedules.linear(0.5, -0.5, 4)], [0])
    params, grads = jnp.ones(3), jnp.full(3, 0.25)
    for make in (
        lambda x: gradtx.scale_by_adam(b1=x, b2=x),
        lambda x: gradtx.trace(decay=x),
        lambda x: gradtx.ema(decay=x),
        lambda x: gradtx.scale_by_rms(decay=x),
        lambda x: gradtx.add_decayed_weights(x),
        lambda x: gradtx.scale_by_learning_rate(x),
    ):
        tx, fixed = make(half), make(0.5)
        got, _ = tx.update(grads, tx.init(params), params)
        expected, _ = fixed.update(grads, fixed.init(params), params)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_optax_takes_our_schedules():
    rise = schedules.linear_schedule(-1.0, 1.0, 8)
    with jax.numpy_dtype_promotion("standard"):
        for tx in (optax.scale_by_schedule(rise), optax.inject_hyperparams(optax.scale)(step_size=rise)):
            state = tx.init(jnp.ones(()))
            got = []
            for _ in range(3):
                update, state = tx.update(jnp.ones(()), state)
                got.append(float(update))
            np.testing.assert_allclose(got, [-1.0, -0.75, -0.5])


# --- what it costs ----------------------------------------------------------------------------------------------------


def equations(jaxpr: object) -> int:
    """Return how many operations a jaxpr has, those inside its calls included."""
    inner = [p.jaxpr for e in jaxpr.eqns for p in e.params.values() if hasattr(p, "jaxpr")]
    return sum(map(equations, inner)) + sum(not any(hasattr(p, "jaxpr") for p in e.params.values()) for e in jaxpr.eqns)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("constant(0.1)", 1),
        ("linear(1.0, 0.1, 20)", 26),
        ("cosine(0.1, 20)", 32),
        ("piecewise(0.1, {10: 0.1, 20: 0.2})", 5),
        ("warmup_cosine(0.0003, warmup_steps=500, decay_steps=20000)", 62),
        ("warmup_cosine(0.0003, warmup_steps=0, decay_steps=20000)", 32),
        ("join([linear(0.0, 0.1, 10), 0.1, cosine(0.1, 20)], [10, 15])", 69),
        ("inverse_sqrt(512)", 10),
    ],
)
def test_an_int32_count_costs_few_operations(text: str, most: int):
    """They stand in every step's program; before float counts were taken, a line was 32 and warmup_cosine 76."""
    with jax.enable_x64(False):
        assert equations(jax.make_jaxpr(evaluate(text))(jnp.int32(3)).jaxpr) <= most


@pytest.mark.parametrize("row", SCHEDULES + LONG_SCHEDULES, ids=lambda row: row.text)
def test_an_int32_count_stays_an_integer_until_differences_are_taken(row: Row):
    """In float32 every count up to 2**24 is a float; one more and neighbours fall together."""
    with jax.enable_x64(False):
        jaxpr = jax.make_jaxpr(row.make())(jnp.int32(3)).jaxpr
        first = [e for e in jaxpr.eqns if jaxpr.invars[0] in [v for v in e.invars if not hasattr(v, "val")]]
    allowed = {"max", "min", "sub", "lt", "ge", "div", "jit", "pjit", "floor_divide"}
    if row.public not in {"inverse_sqrt", "inverse_time"}:  # these have no end to be exact at
        assert {e.primitive.name for e in first} <= allowed
