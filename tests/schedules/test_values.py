"""Every schedule against its formula, short in float64 and 10 million steps long in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from tests.schedules.table import EVENTS, INT32_MAX, LONG_SCHEDULES, NOT_SCHEDULES, SCHEDULES, Row, evaluate

rows = pytest.mark.parametrize("row", SCHEDULES, ids=lambda row: row.text)
long_rows = pytest.mark.parametrize("row", LONG_SCHEDULES, ids=lambda row: row.text)
FLOAT32_TOLERANCE = 2e-6
FLOAT32_TINY = 1.2e-38  # below the smallest normal number a value may become 0


def test_every_public_schedule_has_a_row():
    covered = {row.public for row in SCHEDULES} | EVENTS | NOT_SCHEDULES
    assert covered == set(gradtx.schedules.__all__) - set(gradtx.optax_names.__all__)


@rows
def test_equals_the_formula(row: Row):
    counts = row.counts()
    with jax.enable_x64(True):
        got = row.make()(np.array(counts))
        assert got.dtype == jnp.float64
    expected = [row.reference()(count) for count in counts]
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=0)


@long_rows
def test_keeps_its_digits_for_ten_million_steps_in_float32(row: Row):
    counts = row.counts()
    with jax.enable_x64(False):
        got = np.asarray(jax.jit(row.make())(np.array(counts, np.int32)))
    assert got.dtype == np.float32
    expected = np.array([row.reference()(count) for count in counts])
    np.testing.assert_allclose(got, expected, rtol=FLOAT32_TOLERANCE, atol=FLOAT32_TINY)


@pytest.mark.parametrize("row", [row for row in LONG_SCHEDULES if row.trend == "down"], ids=lambda row: row.text)
def test_never_rises_in_float32(row: Row):
    top, end = row.at[0], row.at[-1]
    windows = [np.arange(middle - 500, middle + 500) for middle in (*row.at, (top + end) // 2, end - 500)]
    with jax.enable_x64(False):
        schedule = jax.jit(row.make())
        for window in [*windows, np.linspace(top, end, 1000).astype(int)]:
            counts = window[window >= top].astype(np.int32)
            assert np.all(np.diff(schedule(counts)) <= 0)


@pytest.mark.parametrize("row", [row for row in SCHEDULES + LONG_SCHEDULES if row.ends], ids=lambda row: row.text)
def test_is_constant_after_its_end(row: Row):
    end = row.at[-1]
    with jax.enable_x64(False):
        values = np.asarray(jax.jit(row.make())(np.array([end, end + 1, end + 10, 2**30, INT32_MAX - 1, INT32_MAX])))
    assert np.all(values == np.float32(row.reference()(end)))


@pytest.mark.parametrize(
    ("text", "count", "value"),
    [
        ("linear(0.7, 0.3, 49)", 0, 0.7),
        ("linear(0.7, 0.3, 49)", 49, 0.3),
        ("cosine(0.7, 49, alpha=0.5)", 0, 0.7),
        ("warmup_cosine(0.0003, 49, 10000000)", 49, 0.0003),
        ("warmup_linear(0.0003, 49, 10000000)", 49, 0.0003),
        ("warmup_stable_decay(0.0003, 49, 7, 10)", 49, 0.0003),
        ("warmup_constant(0.0003, 49)", 0, 0.0003 / 50),
        ("warmup_constant(0.0003, 49, init_value=0.0)", 0, 0.0),
        ("one_cycle(1000, 0.7)", 300, 0.7),
        ("cosine_restarts(0.7, 10)", 2_000_000_000, 0.7),
    ],
)
def test_marked_values_are_exact_in_float32(text: str, count: int, value: float):
    with jax.enable_x64(False):
        assert jax.jit(evaluate(text))(count) == np.float32(value)


OPTAX = [row for row in SCHEDULES if hasattr(optax.schedules, row.public) and row.public != "constant"]


@pytest.mark.share(3)
@pytest.mark.parametrize("row", OPTAX, ids=lambda row: row.text)
def test_equals_optax(row: Row):
    theirs = eval(row.text, dict(vars(optax.schedules)))
    counts = range(row.at[-1] + 5)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = [float(theirs(count)) for count in counts]
    np.testing.assert_allclose(row.make()(np.arange(len(counts))), expected, rtol=1e-9, atol=1e-15)


def test_has_all_of_optax():
    endings = ("_schedule", "_schedules", "_decay")
    names = {name for name in dir(optax.schedules) if name.endswith(endings) and not name.startswith("_")}
    assert {row.public for row in OPTAX} == names
