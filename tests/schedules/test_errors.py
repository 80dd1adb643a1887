"""Each error names the schedule and the argument, and says what to do."""

import inspect
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx import optax_names, schedules
from gradtx.schedules.check import Range, range_of

NAN = math.nan
VALUE_ERRORS = [
    ("constant", (NAN,), "value = nan, expected a finite number; look for a NaN"),
    ("constant", (-math.inf,), "value = -inf, expected a finite number"),
    ("constant", (10**400,), "value = 1000000000.*, expected a finite number"),
    ("constant", (jnp.float32(NAN),), "value = nan, expected a finite number"),
    ("constant", (np.array([1.0, NAN]),), "value = nan, expected a finite number"),
    ("linear", (math.inf, 0.0, 10), "init_value = inf"),
    ("linear", (1.0, NAN, 10), "end_value = nan"),
    ("linear", (1.0, 0.0, NAN), "transition_steps = nan, expected a finite number of updates; 0 holds init_value"),
    ("linear", (1.0, 0.0, math.inf), "transition_steps = inf"),
    ("linear", (1.0, 0.0, jnp.float32(NAN)), "transition_steps = nan"),
    ("linear", (1.0, 0.0, 10, NAN), "transition_begin = nan, expected a finite number of updates"),
    ("polynomial", (1.0, 0.0, -0.5, 10), "power = -0.5, expected a finite number >= 0; .*infinite at the end"),
    ("exponential", (1.0, 10, NAN), "decay_rate = nan, expected a finite number"),
    ("exponential", (1.0, 10, -0.5), "decay_rate = -0.5, expected a number >= 0 without staircase; .*staircase=True"),
    ("exponential", (1.0, 10, 0.5, 0, False, NAN), "end_value = nan"),
    ("inverse_time", (1.0, NAN, 0.5), "transition_steps = nan"),
    ("inverse_time", (1.0, 10, -0.5), "decay_rate = -0.5, expected a finite number >= 0"),
    ("cosine", (1.0, 0), r"decay_steps = 0, expected a finite number of updates > 0; .*constant\(\)"),
    ("cosine", (1.0, -2.5), "decay_steps = -2.5"),
    ("cosine", (1.0, jnp.int32(0)), "decay_steps = 0, expected a finite number of updates > 0"),
    ("cosine", (1.0, 10, NAN), "alpha = nan, expected a finite number"),
    ("cosine", (1.0, 10, 0.0, -1.0), "exponent = -1.0, expected a finite number >= 0"),
    ("cosine_restarts", (1.0, 0), "first_decay_steps = 0, expected a whole number of updates > 0"),
    ("cosine_restarts", (1.0, 10.5), "first_decay_steps = 10.5, expected a whole number"),
    ("cosine_restarts", (1.0, jnp.float32(10.5)), "first_decay_steps = 10.5, expected a whole number"),
    ("cosine_restarts", (1.0, 10, 0.5), "t_mul = 0.5, expected a finite number >= 1"),
    ("cosine_restarts", (1.0, 10, 1.00001), "t_mul = 1.00001, expected 1 or at least 1.001"),
    ("cosine_restarts", (1.0, 10, 1.0, -1.5), "m_mul = -1.5, expected a finite number >= 0"),
    ("one_cycle", (0, 1.0), "transition_steps = 0, expected a finite number of updates > 0"),
    ("one_cycle", (10, 1.0, 30), r"pct_start = 30, expected a number in \[0, 1\]; .*not a percentage"),
    ("one_cycle", (10, 1.0, jnp.float32(30)), r"pct_start = 30.0, expected a number in \[0, 1\]"),
    ("one_cycle", (10, 1.0, 0.3, 0.0), "div_factor = 0.0, expected a finite number > 0"),
    ("linear_one_cycle", (10, 1.0, 0.5, 0.4), "pct_final = 0.4, expected >= pct_start = 0.5"),
    ("inverse_sqrt", (0,), "d_model = 0, expected a whole number > 0"),
    ("inverse_sqrt", (512, -1), "warmup_steps = -1"),
    ("inverse_sqrt", (512, 10, NAN), "factor = nan"),
    ("warmup_constant", (1.0, -1), "warmup_steps = -1, expected a finite number of updates >= 0; give 0"),
    ("warmup_linear", (1.0, 10, 10), "warmup_steps = 10, expected less than decay_steps = 10; .*warm-up included"),
    ("warmup_cosine", (1.0, 20, 10), "warmup_steps = 20, expected less than decay_steps = 10"),
    ("warmup_cosine", (1.0, jnp.int32(20), 10), "warmup_steps = 20, expected less than decay_steps = 10"),
    ("warmup_cosine", (1.0, 5, 10, NAN), "init_value = nan"),
    ("warmup_stable_decay", (1.0, 5, 5, -1), "decay_steps = -1"),
    ("warmup_stable_decay", (1.0, 5, -1, 5), "stable_steps = -1"),
    ("warmup_stable_decay", (1.0, 5, 5, 5, None, 0.0, "square"), "shape = 'square', expected one of .*cosine"),
    ("piecewise", (1.0, {NAN: 0.5}), "boundaries_and_scales = nan, expected a finite count"),
    ("piecewise", (1.0, {10: -0.5}), r"boundaries_and_scales\[10\] = -0.5, expected a finite number >= 0"),
    ("join", ([], []), "schedules has 0 members, expected at least 1"),
    ("join", ([1.0, 2.0], []), "boundaries has 0 members, expected 1 for 2 schedules"),
    ("join", ([1.0, NAN], [3]), r"schedules\[1\] = nan"),
    (
        "join",
        ([1.0, 2.0, 3.0], [5, 4]),
        r"boundaries\[1\] = 4, expected at least boundaries\[0\] = 5; .*lengths",
    ),
    ("join", ([1.0, 2.0, 3.0], jnp.array([5, 4])), r"boundaries\[1\] = 4, expected at least boundaries\[0\] = 5"),
    ("join", ([1.0, 2.0], [NAN]), r"boundaries\[0\] = nan, expected a finite count"),
    ("join_schedules", ([1.0, 2.0], []), "boundaries has 0 members"),
    ("piecewise_constant_schedule", (1.0, {10: -0.5}), r"boundaries_and_scales\[10\] = -0.5"),
    ("piecewise_interpolate_schedule", ("cubic", 1.0), "interpolate_type = 'cubic', expected 'linear' or 'cosine'"),
    ("piecewise_interpolate_schedule", ("linear", 1.0, {3: -1.0}), r"boundaries_and_scales\[3\] = -1.0"),
    ("linear_schedule", (1.0, 0.0, NAN), "transition_steps = nan"),
    ("cosine_decay_schedule", (1.0, 0), "decay_steps = 0"),
    ("linear_onecycle_schedule", (10, 1.0, 0.5, 0.4), "pct_final = 0.4"),
    ("warmup_cosine_decay_schedule", (0.0, 1.0, 10, 10), "warmup_steps = 10, expected less than decay_steps = 10"),
    ("warmup_exponential_decay_schedule", (0.0, 1.0, 1, 10, -0.5), "decay_rate = -0.5, expected a number >= 0"),
    ("sgdr_schedule", ([],), "cosine_kwargs has 0 cycles"),
    ("hold_until", (NAN, 1.0, 0.8), "init_value = nan"),
    ("hold_until", (1.0, NAN, 0.8), "then = nan"),
    ("hold_until", (1.0, 1.0, NAN), "below = nan, expected a finite number"),
    ("hold_until", (1.0, 1.0, 0.8, "an error"), "argument = 'an error', expected a name"),
    ("plot", (schedules.constant(1.0), 0), "steps = 0, expected a whole number of updates > 0"),
    ("plot", (schedules.constant(1.0), 2.5), "steps = 2.5, expected a whole number of updates > 0"),
]

TYPE_ERRORS = [
    ("linear", (1.0, 0.0, "10"), "transition_steps is a str, expected a finite number of updates"),
    ("linear", (schedules.constant(1.0), 0.0, 10), "init_value is a Schedule, expected a finite number"),
    ("linear", (None, 0.0, 10), "init_value is a NoneType"),
    ("linear", (True, 0.0, 10), "init_value is a bool"),
    ("linear", (jnp.array(True), 0.0, 10), "init_value is a bool"),
    ("linear", (1.0 + 0.0j, 0.0, 10), "init_value is a complex"),
    ("linear", (1.0,), r"missing a required argument: 'end_value'; it takes linear\(init_value, end_value, tr"),
    ("linear_schedule", (1.0,), r"missing a required argument: 'end_value'; it takes linear_schedule\(init_value"),
    ("piecewise", (1.0, [10, 20]), "boundaries_and_scales is a list, expected a dict of count to scale"),
    ("piecewise", (1.0, {"10": 0.1}), "boundaries_and_scales has the key '10', a str, expected a count of updates"),
    ("join", ([1.0, None], [3]), r"schedules\[1\] is a NoneType"),
    ("join", ([1.0, schedules.resnet110()], [3]), r"schedules\[1\] is an event schedule, .*`then`"),
    ("hold_until", (1.0, schedules.resnet110(), 0.8), "then is an event schedule"),
    ("hold_until", (1.0, 1.0), "missing a required argument: 'below'"),
    ("plot", (schedules.resnet110(), 10), r"schedule is the event schedule resnet110\(\), .*if_at"),
]


@pytest.mark.parametrize(("name", "args", "text"), VALUE_ERRORS)
def test_value_errors(name: str, args: tuple, text: str):
    with pytest.raises(ValueError, match=f"^{name}: .*{text}"):
        getattr(schedules, name)(*args)


@pytest.mark.parametrize(("name", "args", "text"), TYPE_ERRORS)
def test_type_errors(name: str, args: tuple, text: str):
    with pytest.raises(TypeError, match=f"^{name}: .*{text}"):
        getattr(schedules, name)(*args)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (None, TypeError, "gave NoneType at this count, expected a number"),
        ("0.1", TypeError, "gave str at this count, expected a number"),
        (jnp.ones(3), ValueError, r"gave shape \(3,\), expected a scalar"),
    ],
)
def test_a_function_that_gives_no_number_is_told(given: object, error: type, text: str):
    tx = gradtx.sgd(lambda count: given)
    with pytest.raises(error, match=f"^scale_by_learning_rate: learning_rate {text}; return one number per count"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


OURS = set(schedules.__all__) - set(optax_names.__all__)
RANGED = [
    (name, argument, found)
    for name in schedules.__all__
    if name in OURS
    for argument, parameter in inspect.signature(getattr(schedules, name)).parameters.items()
    if (found := range_of(parameter.annotation))
]


WITHOUT = {"join", "join_schedules", "sgdr_schedule", "plot", "resnet110"}  # they take schedules, dicts or nothing


def test_most_arguments_have_a_range():
    assert len(RANGED) > 100
    assert {name for name, _, _ in RANGED} == OURS - WITHOUT


@pytest.mark.parametrize(("name", "argument", "allowed"), RANGED)
def test_the_docstring_says_the_range_that_is_checked(name: str, argument: str, allowed: Range):
    (line,) = re.findall(rf"^ +{argument}: (.*)$", getattr(schedules, name).__doc__, flags=re.MULTILINE)
    assert allowed.sign in line


def test_cycles_of_a_traced_length_cannot_grow():
    with pytest.raises(TypeError, match=r"^cosine_restarts: first_decay_steps or t_mul is an array, .*at 1"):
        jax.jit(lambda steps: schedules.cosine_restarts(1.0, steps, 2)(3))(10)


def picky(count: object) -> float:
    """Return a value the way plain Python does, which needs the number behind the count."""
    return 1.0 if count < 4 else np.interp(float(count), [4.0, 8.0], [1.0, 0.5])


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (
            schedules.join([0.1, picky], [2]),
            r"join\(\[0.1, picky\], \[2\]\): schedules\[1\] needs the number",
        ),
        (schedules.join_schedules([picky, 0.1], [20]), r"join_schedules\(.*\): schedules\[0\] needs the number"),
        (schedules.hold_until(1.0, picky, 0.5).if_at(0), r"hold_until\(.*\): then needs the number"),
    ],
    ids=str,
)
def test_a_plain_function_runs_outside_jit_and_is_named_inside(schedule: schedules.base.Schedule, text: str):
    assert float(schedule(np.int32(8))) == (0.5 if "hold" in str(schedule) or "join_" in str(schedule) else 0.75)
    with pytest.raises(TypeError, match=f"^{text}.*; use jnp.where for `if`"):
        jax.jit(schedule)(8)
