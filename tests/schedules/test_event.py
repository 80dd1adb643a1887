"""Schedules that wait for an event, used as they are meant to be: by a transform whose update gets the measurement."""

import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import schedules

NAN = math.nan
ERRORS = [0.95, 0.9, NAN, 0.85, 0.8, 0.79, 0.9, 0.95, NAN, 0.1]
RATES = [0.01] * 5 + [0.1] * 5


def steps(tx: gradtx.Transform, errors: list[float], state: object = None) -> tuple[list[float], object]:
    """Return the size of each step for gradients of 1, and the last state."""
    state = tx.init(jnp.array(0.0)) if state is None else state
    sizes = []
    for error in errors:
        update, state = tx.update(jnp.array(1.0), state, error=error)
        sizes.append(-update.item())
    return sizes, state


def test_switches_at_the_event_and_never_back():
    np.testing.assert_allclose(steps(gradtx.sgd(schedules.resnet110()), ERRORS)[0], RATES)


def test_with_momentum_as_the_paper_trains():
    sizes, _ = steps(gradtx.sgd(schedules.resnet110(), momentum=0.9), ERRORS)
    m, expected = 0.0, []
    for rate in RATES:
        m = 0.9 * m + 1.0
        expected.append(rate * m)
    np.testing.assert_allclose(sizes, expected)


def test_under_jit_and_scan():
    tx = gradtx.sgd(schedules.resnet110(), momentum=0.9)
    eager, last = steps(tx, ERRORS)
    jitted = jax.jit(lambda g, state, error: tx.update(g, state, error=error))
    state, sizes = tx.init(jnp.array(0.0)), []
    for error in ERRORS:
        update, state = jitted(jnp.array(1.0), state, error)
        sizes.append(-update.item())
    np.testing.assert_allclose(sizes, eager, rtol=1e-12)
    assert jitted._cache_size() == 1

    def body(state: object, error: jax.Array) -> tuple[object, jax.Array]:
        update, state = tx.update(jnp.array(1.0), state, error=error)
        return state, -update

    scanned, sizes = jax.lax.scan(body, tx.init(jnp.array(0.0)), jnp.array(ERRORS))
    np.testing.assert_allclose(sizes, eager, rtol=1e-12)
    assert jax.tree.structure(scanned) == jax.tree.structure(last)
    assert [leaf.item() for leaf in jax.tree.leaves(scanned)] == pytest.approx(
        [leaf.item() for leaf in jax.tree.leaves(last)]
    )


@pytest.mark.parametrize("cut", [2, 5, 6, 8])
def test_resumes_from_a_saved_state(cut: int):
    tx = gradtx.sgd(schedules.hold_until(0.01, schedules.linear(0.1, 0.0, 4), below=0.8), momentum=0.9)
    whole, _ = steps(tx, ERRORS)
    first, state = steps(tx, ERRORS[:cut])
    saved = pickle.loads(pickle.dumps(jax.tree.map(np.asarray, state)))
    again = gradtx.sgd(schedules.hold_until(0.01, schedules.linear(0.1, 0.0, 4), below=0.8), momentum=0.9)
    rest, _ = steps(again, ERRORS[cut:], jax.tree.map(jnp.asarray, saved))
    np.testing.assert_allclose(first + rest, whole, rtol=1e-12)


def test_what_follows_counts_from_the_event():
    tx = gradtx.sgd(schedules.hold_until(1.0, schedules.linear(0.5, 0.0, 2), below=0.8))
    np.testing.assert_allclose(steps(tx, [0.9, 0.9, 0.7, 0.9, 0.9, 0.9])[0], [1.0, 1.0, 0.5, 0.25, 0.0, 0.0])


def test_the_rate_can_be_read():
    tx = gradtx.sgd(schedules.resnet110(), momentum=0.9)
    name = "scale_by_learning_rate.learning_rate"
    _, state = steps(tx, ERRORS[:5])
    assert gradtx.hyperparams(tx, state)[name] == pytest.approx(0.01)
    _, state = steps(tx, ERRORS[5:6], state)
    assert gradtx.hyperparams(tx, state)[name] == pytest.approx(0.1)


def test_a_missing_measurement_is_an_error():
    tx = gradtx.sgd(schedules.resnet110(), momentum=0.9)
    with pytest.raises(ValueError, match=r"scale_by_learning_rate: extra argument error is missing.*error=\.\.\."):
        tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)))


def test_the_argument_has_the_name_that_was_chosen():
    tx = gradtx.sgd(schedules.hold_until(1.0, 2.0, below=-3.0, argument="log_loss"))
    state = tx.init(jnp.array(0.0))
    update, state = tx.update(jnp.array(1.0), state, log_loss=-2.0, error=-9.0)
    assert update == -1.0
    update, _ = tx.update(jnp.array(1.0), state, log_loss=-4.0)
    assert update == -2.0
    with pytest.raises(ValueError, match="extra argument log_loss is missing"):
        tx.update(jnp.array(1.0), state, error=0.1)


def test_a_measurement_that_is_no_scalar_is_an_error():
    tx = gradtx.sgd(schedules.resnet110())
    with pytest.raises(ValueError, match=r"resnet110\(\): error has shape \(3,\), expected a scalar"):
        tx.update(jnp.array(1.0), tx.init(jnp.array(0.0)), error=jnp.zeros(3))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64])
@pytest.mark.parametrize("below", [0.7, 0.8])
def test_the_bound_itself_is_not_below_it(dtype: object, below: float):
    schedule = schedules.hold_until(0.01, 0.1, below)
    assert not schedule.happened(jnp.asarray(below, dtype))
    assert schedule.happened(jnp.asarray(below - 0.01, dtype))
    assert not schedule.happened(jnp.asarray(NAN, dtype))


@pytest.mark.parametrize(("errors", "expected"), [(1, False), (0, True), (True, False)])
def test_whole_measurements(errors: object, expected: bool):
    assert schedules.hold_until(0.01, 0.1, below=0.5).happened(jnp.asarray(errors)) == expected


def test_a_count_alone_is_an_error():
    with pytest.raises(TypeError, match=r"resnet110\(\): called with a count alone, .*error.*\.if_at\(count\)"):
        schedules.resnet110()(3)


def test_a_chosen_event_makes_a_schedule_of_the_count():
    schedule = schedules.hold_until(1.0, schedules.linear(0.5, 0.0, 2), below=0.8).if_at(3)
    np.testing.assert_allclose(schedule(np.arange(7)), [1.0, 1.0, 1.0, 0.5, 0.25, 0.0, 0.0])
    assert repr(schedule) == "hold_until(1.0, linear(0.5, 0.0, 2), below=0.8).if_at(3)"
    np.testing.assert_allclose(schedules.resnet110().if_at(400)(np.array([399, 400, 2**31 - 1])), [0.01, 0.1, 0.1])


@pytest.mark.parametrize("x64", [False, True])
def test_dtype_at_the_largest_count(x64: bool):
    with jax.enable_x64(x64):
        for switched in (-1, 0, 2**31 - 1):
            value = schedules.resnet110().value(jnp.int32(2**31 - 1), jnp.int32(switched))
            assert value.dtype == (jnp.float64 if x64 else jnp.float32)
            assert not value.weak_type
            assert float(value) == pytest.approx(0.01 if switched < 0 else 0.1)


@pytest.mark.parametrize(
    "text", ["hold_until(0.01, 0.1, below=0.8)", "hold_until(0.01, cosine(0.1, 20), 0.8)", "resnet110()"]
)
def test_prints_as_it_was_written(text: str):
    assert repr(eval(text, dict(vars(schedules)))) == text
    assert repr(gradtx.sgd(schedules.resnet110())).endswith("scale_by_learning_rate(resnet110()))")
