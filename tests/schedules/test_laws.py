"""What every schedule keeps: forms of the count, dtypes, jit, vmap, derivatives, printing; and laws of some."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradtx
from gradtx import schedules
from tests.schedules.table import INT32_MAX, SCHEDULES, Row, evaluate

rows = pytest.mark.parametrize("row", SCHEDULES, ids=lambda row: row.text)
rates = st.floats(1e-6, 10.0)
lengths = st.integers(1, 1000)


@pytest.mark.share(4)
@rows
def test_jit_eager_and_vmap_agree(row: Row):
    counts = jnp.asarray(row.counts(), jnp.int32)
    schedule = row.make()
    eager = schedule(counts)
    forms = jax.jit(lambda counts: (schedule(counts), jax.vmap(schedule)(counts), schedule(counts[3])))
    together, mapped, one = forms(counts)
    np.testing.assert_allclose(together, eager, rtol=1e-13)
    np.testing.assert_allclose(mapped, eager, rtol=1e-13)
    np.testing.assert_allclose(one, eager[3], rtol=1e-13)


@rows
@pytest.mark.parametrize("x64", [False, True])
def test_dtype_shape_and_weak_type(row: Row, x64: bool):
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        schedule = row.make()
        for count in (3, np.int64(3), np.uint8(3), jnp.int32(3), np.full((2, 3), 3)):
            out = jax.eval_shape(schedule, count)
            assert out.dtype == (jnp.float64 if x64 else jnp.float32)
            assert out.shape == np.shape(count)
            assert not out.weak_type


@rows
def test_prints_as_it_was_written(row: Row):
    assert repr(row.make()) == row.text
    again = evaluate(repr(row.make()))
    counts = np.array(row.counts())
    np.testing.assert_array_equal(again(counts), row.make()(counts))


def test_prints_functions_and_arrays_shortly():
    assert repr(schedules.join([schedules.linear, jnp.zeros(())], (3,))) == "join([linear, 0], (3,))"
    cycle = {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": 5}
    assert repr(schedules.sgdr_schedule(iter([cycle]))) == f"sgdr_schedule([{cycle}])"


@pytest.mark.parametrize("count", [np.int8(5), np.uint32(5), np.int64(5), 5])
def test_forms_of_the_count(count: object):
    assert schedules.linear(1.0, 0.0, 10)(count) == 0.5


def test_counts_beyond_the_range_are_its_ends():
    schedule = schedules.warmup_linear(1.0, 4, 10, init_value=0.25)
    assert schedule(-5) == 0.25
    assert schedule(2**40) == 0.0
    assert schedule(np.uint32(2**32 - 1)) == 0.0
    with jax.enable_x64(True):
        assert jax.jit(schedule)(jnp.asarray(2**40)) == 0.0
    assert jax.jit(schedule)(jnp.asarray(200, jnp.uint8)) == 0.0


@pytest.mark.parametrize("count", ["3", True, None, 1j])
def test_a_count_that_is_no_number_is_an_error(count: object):
    with pytest.raises(TypeError, match=r"linear\(1.0, 0.0, 10\): count is .*, expected a number; give"):
        schedules.linear(1.0, 0.0, 10)(count)


ARRAYS = [
    ("linear", (0.5, 0.1, 10), {}),
    ("linear", (0.1, 0.5, 10, 3), {}),
    ("linear", (0.1, 0.1, 10, 3), {}),
    ("polynomial", (0.5, 0.1, 1.5, 10), {}),
    ("polynomial", (0.1, 0.5, 1.5, 10), {}),
    ("cosine", (0.5, 10, 0.1, 1.5), {}),
    ("exponential", (0.5, 10, 0.7, 2), {"end_value": 0.3}),
    ("inverse_time", (0.5, 10, 0.7), {}),
    ("inverse_sqrt", (64, 5, 2.0), {}),
    ("warmup_constant", (0.5, 5), {}),
    ("warmup_linear", (0.5, 5, 20), {}),
    ("warmup_cosine", (0.5, 5, 20, 0.1, 0.2, 1.5), {}),
    ("warmup_stable_decay", (0.5, 5, 5, 10), {"shape": "sqrt"}),
    ("cosine_restarts", (0.5, 10), {"m_mul": 0.7, "alpha": 0.1}),
    ("one_cycle", (20, 0.5, 0.33, 10.0, 20.0), {}),
    ("linear_one_cycle", (20, 0.5, 0.33, 0.83, 10.0, 20.0), {}),
]
COUNTS = np.array([0, 1, 2, 5, 6, 10, 19, 20, 40, INT32_MAX])


@pytest.mark.share(4)
@pytest.mark.parametrize(("name", "args", "kwargs"), ARRAYS)
def test_arguments_may_be_traced(name: str, args: tuple, kwargs: dict):
    make = getattr(schedules, name)
    plain = make(*args, **kwargs)(COUNTS)
    traced = jax.jit(lambda values, named: make(*values, **{**kwargs, **named})(COUNTS))
    named = {k: v for k, v in kwargs.items() if isinstance(v, float)}
    np.testing.assert_allclose(traced(args, named), plain, rtol=1e-12)


@pytest.mark.share(4)
@pytest.mark.parametrize(("name", "args", "kwargs"), ARRAYS)
def test_derivatives_are_finite_and_right(name: str, args: tuple, kwargs: dict):
    make = getattr(schedules, name)
    floats = [i for i, arg in enumerate(args) if isinstance(arg, float)]

    def values(x: list) -> jax.Array:
        return make(*[x[floats.index(i)] if i in floats else arg for i, arg in enumerate(args)], **kwargs)(COUNTS)

    x = [args[i] for i in floats]
    got = jax.jacobian(values)(x)
    for i in range(len(x)):
        step = 1e-6
        ahead, behind = ([v + d * (j == i) for j, v in enumerate(x)] for d in (step, -step))
        expected = (values(ahead) - values(behind)) / (2 * step)
        np.testing.assert_allclose(got[i], expected, rtol=1e-5, atol=1e-8)


def test_a_population_of_rates():
    peaks = jnp.array([0.1, 0.2, 0.4])
    values = jax.vmap(lambda peak: schedules.warmup_cosine(peak, 5, 20)(7))(peaks)
    expected = [schedules.warmup_cosine(peak, 5, 20)(7) for peak in (0.1, 0.2, 0.4)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_join_gives_each_schedule_only_its_own_counts():
    def picky(length: int):
        return lambda count: jnp.where((count >= 0) & (count < length), 1.0, jnp.nan)

    joined = schedules.join([picky(4), picky(6), 0.5], [4, 10])
    np.testing.assert_array_equal(joined(np.arange(12)), [1.0] * 10 + [0.5] * 2)

    def later(rate: jax.Array) -> jax.Array:
        return schedules.join([0.1, lambda count: rate * jnp.sqrt(count.astype(float))], [4])(jnp.int32(2))

    assert jax.grad(later)(1.0) == 0.0


@given(rates, rates, lengths, st.integers(0, 2000))
def test_linear_stays_between_its_ends(a: float, b: float, steps: int, count: int):
    value = schedules.linear(a, b, steps)(count)
    assert min(a, b) <= value <= max(a, b)


@given(rates, st.integers(2, 1000), st.integers(1, 1000))
def test_the_first_update_of_a_warm_up_moves(peak: float, steps: int, more: int):
    schedule = schedules.warmup_linear(peak, steps, steps + more)
    np.testing.assert_allclose(schedule(0), peak / (steps + 1), rtol=1e-14)
    assert schedule(steps) == peak
    assert schedule(steps + more) == 0.0


@given(rates, lengths, st.integers(0, 1000))
def test_cosine_and_what_it_lost_add_up(rate: float, steps: int, count: int):
    schedule = schedules.cosine(rate, steps)
    count = min(count, steps)
    np.testing.assert_allclose(schedule(count) + schedule(steps - count), rate, rtol=1e-13)


@given(st.integers(1, 50), st.sampled_from([1, 1.5, 2, 2.7]), st.integers(0, 20))
def test_restarts_are_at_their_peaks(first: int, growth: float, cycle: int):
    starts = [0]
    for i in range(cycle):
        starts.append(starts[-1] + round(first * growth**i))
    if starts[-1] <= INT32_MAX:
        assert schedules.cosine_restarts(1.0, first, t_mul=growth)(starts[-1]) == 1.0


SECOND_RATE = ("end_value", "init_value", "join", "0.02", "warmup_exp")
ONE_RATE = [row for row in SCHEDULES if "(0.1, " in row.text and not any(word in row.text for word in SECOND_RATE)]


@pytest.mark.parametrize("power", [0.25, 4.0])
@pytest.mark.parametrize("row", ONE_RATE, ids=lambda row: row.text)
def test_is_proportional_to_its_rate(row: Row, power: float):
    counts = np.array(row.counts())
    scaled = evaluate(row.text.replace("(0.1, ", f"({0.1 * power}, ", 1))
    np.testing.assert_allclose(scaled(counts), row.make()(counts) * power, rtol=1e-13)


def test_one_schedule_compiles_once():
    traces = []

    @jax.jit
    def value(count: jax.Array) -> jax.Array:
        traces.append(1)
        return gradtx.schedules.warmup_cosine(0.1, 5, 20)(count)

    for count in range(4):
        value(jnp.int32(count))
    assert len(traces) == 1
