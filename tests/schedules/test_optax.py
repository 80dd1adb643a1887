"""Every schedule under optax's name gives optax's values, on whatever settings optax takes.

The oracle is optax in double precision, so that its own rounding is no part of what is allowed. Stated exceptions, each
under "Differs from" in the docstring:

- a warm-up of no steps is at its peak (optax's `warmup_constant_schedule` stays at init_value for ever);
- `warmup_cosine_decay_schedule` with peak_value = 0 goes on to end_value (optax's stays at 0);
- one cycle whose ends fall on one step keeps its factors (optax's are a dict, where one end replaces the other);
- negative counts are taken as 0 (optax's cosine goes back up, its join passes them on).

Refused here, with a reason in the error, where optax takes them: see `REFUSED`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradtx import schedules

FLOAT32, FLOAT64 = 1e-6, 1e-12
INT32_MAX = 2**31 - 1


def quarters(low: float, high: float) -> st.SearchStrategy[float]:
    """Return whole numbers, as int and float, and numbers between them that every float dtype holds."""
    inside = st.integers(math.ceil(low), math.floor(high))
    return (
        inside
        | inside.map(float)
        | inside.map(np.int64)
        | st.integers(int(4 * low), int(4 * high)).map(lambda n: n / 4)
    )


values = st.sampled_from([-1.0, 0.0, 1.0, 0.1, -0.25]) | st.floats(-2.0, 2.0, width=32)
not_zero = values.filter(lambda x: abs(x) > 1e-3)
steps = quarters(0, 40) | st.integers(-5, 0)
some_steps = quarters(1, 40)
begins = quarters(-10, 30)
powers = st.sampled_from([0, 0.0, 1, 2, 0.5, 3.5])
bounded = st.dictionaries(quarters(-10, 60), st.floats(0.0, 2.0, width=32), max_size=4)


def exponential(**more: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return settings of an exponential decay; a negative rate has a sign only where it changes in stairs."""
    shared = {"transition_steps": steps, "transition_begin": begins, "end_value": st.none() | values, **more}
    smooth = st.fixed_dictionaries({**shared, "decay_rate": st.sampled_from([0.0, 0.5, 0.9, 1.0, 1.25])})
    stairs = {"decay_rate": st.sampled_from([0.0, 0.5, 1.5, -0.5, -1.0]), "staircase": st.just(True)}
    return smooth | st.fixed_dictionaries({**shared, **stairs})


@st.composite
def warmup_cosine(draw: st.DrawFn) -> dict[str, Any]:
    """Return settings with some steps left after the warm-up, and a peak that is not 0."""
    warm = draw(quarters(0, 30))
    more = {"end_value": draw(values), "exponent": draw(powers)}
    return {
        "init_value": draw(values),
        "peak_value": draw(not_zero),
        "warmup_steps": warm,
        "decay_steps": warm + draw(some_steps),
        **more,
    }


@st.composite
def one_cycle(draw: st.DrawFn, linear: bool) -> dict[str, Any]:
    """Return settings whose ends fall on different steps, whole ones: optax cuts the others off."""
    length = draw(st.integers(1, 8).map(lambda n: 8 * n))
    start = draw(st.sampled_from([0.0, 0.25, 0.375]))
    final = {"pct_final": draw(st.sampled_from([0.5, 0.625, 0.75]))} if linear else {}
    factors = {"div_factor": draw(st.floats(0.5, 30.0)), "final_div_factor": draw(st.floats(0.5, 1e4))}
    return {"transition_steps": length, "peak_value": draw(values), "pct_start": start, **final, **factors}


SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "constant_schedule": st.fixed_dictionaries({"value": values}),
    "linear_schedule": st.fixed_dictionaries(
        {"init_value": values, "end_value": values, "transition_steps": steps, "transition_begin": begins}
    ),
    "polynomial_schedule": st.fixed_dictionaries(
        {
            "init_value": values,
            "end_value": values,
            "power": powers,
            "transition_steps": steps,
            "transition_begin": begins,
        }
    ),
    "cosine_decay_schedule": st.fixed_dictionaries(
        {"init_value": values, "decay_steps": some_steps, "alpha": values, "exponent": powers}
    ),
    "exponential_decay": exponential(init_value=values),
    "piecewise_constant_schedule": st.fixed_dictionaries(
        {"init_value": values, "boundaries_and_scales": st.none() | bounded}
    ),
    "piecewise_interpolate_schedule": st.fixed_dictionaries(
        {
            "interpolate_type": st.sampled_from(["linear", "cosine"]),
            "init_value": values,
            "boundaries_and_scales": st.none() | bounded,
        }
    ),
    "warmup_constant_schedule": st.fixed_dictionaries(
        {"init_value": values, "peak_value": values, "warmup_steps": some_steps}
    ),
    "warmup_cosine_decay_schedule": warmup_cosine(),
    "warmup_exponential_decay_schedule": exponential(
        init_value=values, peak_value=values, warmup_steps=quarters(0, 30)
    ),
    "sgdr_schedule": st.fixed_dictionaries({"cosine_kwargs": st.lists(warmup_cosine(), min_size=1, max_size=3)}),
    "linear_onecycle_schedule": one_cycle(linear=True),
    "cosine_onecycle_schedule": one_cycle(linear=False),
}
counts = st.lists(st.integers(0, 400).map(lambda n: n / 4) | st.integers(0, 100), min_size=1, max_size=5)


def optax_values(make: Callable[[Any], Callable[[Any], Any]], at: list[Any]) -> np.ndarray:
    """Return what optax gives at these counts in double precision."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = make(optax.schedules)
        return np.array([float(theirs(np.float64(count) if isinstance(count, float) else count)) for count in at])


def size(kwargs: Any) -> float:
    """Return the largest number that a schedule's value is made of, at least 1."""
    if isinstance(kwargs, dict):
        return max(
            [1.0, *(size(v) for k, v in kwargs.items() if k in {"init_value", "end_value", "peak_value", "alpha"})]
        )
    return abs(kwargs) if isinstance(kwargs, (int, float)) else 1.0


def test_every_name_of_optax_is_tried():
    endings = ("_schedule", "_schedules", "_decay")
    names = {name for name in dir(optax.schedules) if name.endswith(endings) and not name.startswith("_")}
    assert names == SETTINGS.keys() | {"join_schedules"}


@pytest.mark.share(3)
@pytest.mark.parametrize("name", SETTINGS)
@given(data=st.data(), at=counts)
def test_values_are_those_of_optax(name: str, data: st.DataObject, at: list[Any]):
    kwargs = data.draw(SETTINGS[name])
    expected = optax_values(lambda names: getattr(names, name)(**kwargs), at)
    scale = max(size(kwargs), np.abs(expected).max())
    schedule = getattr(schedules, name)(**kwargs)
    for x64, tolerance in ((True, FLOAT64), (False, FLOAT32)):
        with jax.enable_x64(x64):
            one_by_one = np.array([float(schedule(count)) for count in at])
            floats = schedule(jnp.asarray(np.array(at, np.float64)))
        np.testing.assert_allclose(one_by_one, expected, rtol=tolerance, atol=tolerance * scale)
        np.testing.assert_allclose(floats, expected, rtol=tolerance, atol=tolerance * scale)


def straight(start: float) -> Callable[[Any], Any]:
    """Return a plain function of the count, as a user writes one."""
    return lambda count: start + 0.5 * count


@given(st.lists(quarters(-10, 60), max_size=3).map(sorted), counts)
@example([0], [0, 1, 5])
@example([5, 5], [4, 5, 6])
@example([-3, 0, 5], [0, 4, 5])
def test_joined_functions_see_what_they_see_in_optax(boundaries: list[Any], at: list[Any]):
    functions = [straight(100.0 * i) for i in range(len(boundaries) + 1)]
    expected = optax_values(lambda names: names.join_schedules(functions, boundaries), at)
    with jax.numpy_dtype_promotion("standard"):
        got = [float(schedules.join_schedules(functions, boundaries)(count)) for count in at]
    np.testing.assert_allclose(got, expected, rtol=FLOAT64)


REFUSED = [  # what optax takes, what it makes of it, and why it is an error here
    ("polynomial_schedule", (1.0, 0.5, -1.0, 10), 20, math.inf),  # infinite from the end on
    ("cosine_decay_schedule", (1.0, 10, 0.0, -1.0), 20, math.inf),
    ("exponential_decay", (1.0, 10, -0.5), 5, math.nan),  # no real power
    ("constant_schedule", (math.nan,), 5, math.nan),
    ("linear_schedule", (1.0, math.inf, 10), 5, math.nan),
    ("join_schedules", ([straight(0.0), straight(9.0), straight(7.0)], [10, 5]), 5, 7.0),  # the second is never seen
    ("join_schedules", ([straight(0.0), straight(9.0)], []), 5, 2.5),
    ("warmup_cosine_decay_schedule", (0.0, 1.0, -5, 5), 0, 0.5),  # starts in the middle of the way down
    ("linear_onecycle_schedule", (10, 1.0, 0.5, 0.25), 3, 0.08),  # goes down before it goes up
]


@pytest.mark.parametrize(("name", "args", "count", "value"), REFUSED)
def test_what_optax_takes_and_we_refuse(name: str, args: tuple, count: int, value: float):
    theirs = optax_values(lambda names: getattr(names, name)(*args), [count])
    np.testing.assert_allclose(theirs, value, rtol=0.9)
    with pytest.raises(ValueError, match=f"^{name}: .*; "):
        getattr(schedules, name)(*args)


DIFFERENT = [  # where optax's value is plainly wrong: optax's, ours
    ("warmup_constant_schedule", (0.0, 1.0, 0), 5, 0.0, 1.0),
    ("warmup_cosine_decay_schedule", (1.0, 0.0, 2, 10, 0.5), 10, 0.0, 0.5),
    ("linear_onecycle_schedule", (10, 1.0, 0.5, 0.5), 5, 0.0016, 0.04),
    ("linear_onecycle_schedule", (10, 1.0, 0.5, 1.0), 10, 1e-4, 4e-6),
    ("cosine_onecycle_schedule", (10, 1.0, 1.0), 9, 0.000979, 0.97651),
]


@pytest.mark.parametrize(("name", "args", "count", "theirs", "ours"), DIFFERENT)
def test_where_optax_is_wrong(name: str, args: tuple, count: int, theirs: float, ours: float):
    np.testing.assert_allclose(optax_values(lambda names: getattr(names, name)(*args), [count]), theirs, rtol=1e-3)
    np.testing.assert_allclose(getattr(schedules, name)(*args)(count), ours, rtol=1e-3)
    assert "Differs from: optax's" in getattr(schedules, name).__doc__
