"""Each error names the schedule and the argument, and says what to do."""

import math

import jax.numpy as jnp
import pytest

from gradtx import schedules

VALUE_ERRORS = [
    ("constant", (math.nan,), "value = nan, expected a finite number >= 0"),
    ("constant", (-0.1,), r"value = -0.1, expected a finite number >= 0; give the size of a step, without a sign"),
    ("linear", (math.inf, 0.0, 10), "init_value = inf"),
    ("linear", (1.0, -1.0, 10), "end_value = -1.0"),
    ("linear", (1.0, 0.0, 0), r"transition_steps = 0, expected a whole number of updates > 0; .*constant\(\)"),
    ("linear", (1.0, 0.0, -3), "transition_steps = -3"),
    ("linear", (1.0, 0.0, 2.5), "transition_steps = 2.5"),
    ("linear", (1.0, 0.0, math.nan), "transition_steps = nan"),
    ("linear", (1.0, 0.0, 2**31), "transition_steps = 2147483648"),
    ("linear", (1.0, 0.0, 10, -1), "transition_begin = -1, expected a whole number of updates >= 0"),
    ("polynomial", (1.0, 0.0, 0.0, 10), "power = 0.0, expected a finite number > 0"),
    ("exponential", (1.0, 10, 0.0), "decay_rate = 0.0, expected a finite number > 0"),
    ("exponential", (1.0, 10, 0.5, 0, False, -1.0), "end_value = -1.0"),
    ("inverse_time", (1.0, 0, 0.5), "transition_steps = 0"),
    ("cosine", (1.0, 0), "decay_steps = 0"),
    ("cosine", (1.0, 10, 1.1), r"alpha = 1.1, expected a number in \[0, 1\]"),
    ("cosine", (1.0, 10, 0.0, -1.0), "exponent = -1.0"),
    ("cosine_restarts", (1.0, 0), "first_decay_steps = 0"),
    ("cosine_restarts", (1.0, 10, 0.5), "t_mul = 0.5, expected a finite number >= 1"),
    ("cosine_restarts", (1.0, 10, 1.00001), "t_mul = 1.00001, expected 1 or at least 1.001"),
    ("cosine_restarts", (1.0, 10, 1.0, 1.5), r"m_mul = 1.5, expected a number in \(0, 1\]"),
    ("one_cycle", (0, 1.0), "transition_steps = 0"),
    ("one_cycle", (10, 1.0, 30), r"pct_start = 30, expected a number in \[0, 1\]; .*not a percentage"),
    ("one_cycle", (10, 1.0, 0.3, 0.0), "div_factor = 0.0"),
    ("linear_one_cycle", (10, 1.0, 0.5, 0.4), "pct_final = 0.4, expected >= pct_start = 0.5"),
    ("inverse_sqrt", (0,), "d_model = 0, expected a whole number > 0"),
    ("inverse_sqrt", (512, -1), "warmup_steps = -1"),
    ("warmup_constant", (1.0, -1), "warmup_steps = -1"),
    ("warmup_linear", (1.0, 10, 10), "warmup_steps = 10, expected less than decay_steps = 10; .*warm-up included"),
    ("warmup_cosine", (1.0, 20, 10), "warmup_steps = 20, expected less than decay_steps = 10"),
    ("warmup_cosine", (1.0, 5, 10, -0.1), "init_value = -0.1"),
    ("warmup_stable_decay", (1.0, 5, 5, 0), "decay_steps = 0"),
    ("warmup_stable_decay", (1.0, 5, -1, 5), "stable_steps = -1"),
    ("warmup_stable_decay", (1.0, 5, 5, 5, None, 0.0, "square"), "shape = 'square', expected one of .*cosine"),
    ("piecewise", (1.0, {-1: 0.5}), "boundaries_and_scales = -1, expected a whole number >= 0"),
    ("piecewise", (1.0, {10: -0.5}), r"boundaries_and_scales\[10\] = -0.5, expected a finite number >= 0"),
    ("join", ([], []), "schedules has 0 members, expected at least 1"),
    ("join", ([1.0, 2.0], []), "boundaries has 0 members, expected 1 for 2 schedules"),
    ("join", ([1.0, -2.0], [3]), r"schedules\[1\] = -2.0"),
    ("join", ([1.0, 2.0], [0]), r"boundaries\[0\] = 0, expected more than 0"),
    ("join", ([1.0, 2.0, 3.0], [5, 5]), r"boundaries\[1\] = 5, expected more than boundaries\[0\] = 5; .*increasing"),
    ("join", ([1.0, 2.0], [1.5]), r"boundaries\[0\] = 1.5, expected a whole number"),
    ("join_schedules", ([1.0, 2.0], []), "boundaries has 0 members"),
    ("piecewise_constant_schedule", (1.0, {10: -0.5}), r"boundaries_and_scales\[10\] = -0.5"),
    ("piecewise_interpolate_schedule", ("cubic", 1.0), "interpolate_type = 'cubic', expected 'linear' or 'cosine'"),
    ("linear_schedule", (1.0, 0.0, 0), "transition_steps = 0"),
    ("warmup_cosine_decay_schedule", (0.0, 1.0, 10, 10), "warmup_steps = 10, expected less than decay_steps = 10"),
    ("sgdr_schedule", ([],), "cosine_kwargs has 0 cycles"),
    ("hold_until", (-1.0, 1.0, 0.8), "init_value = -1.0"),
    ("hold_until", (1.0, -1.0, 0.8), "then = -1.0"),
    ("hold_until", (1.0, 1.0, math.nan), "below = nan, expected a finite number"),
    ("hold_until", (1.0, 1.0, 0.8, "an error"), "argument = 'an error', expected a name"),
    ("plot", (schedules.constant(1.0), 0), "steps = 0, expected a whole number of updates > 0"),
]

TYPE_ERRORS = [
    ("linear", (1.0, 0.0, "10"), "transition_steps is a str, expected a whole number of updates > 0"),
    ("linear", (schedules.constant(1.0), 0.0, 10), "init_value is a Schedule, expected a finite number"),
    ("linear", (None, 0.0, 10), "init_value is a NoneType"),
    ("linear", (True, 0.0, 10), "init_value is a bool"),
    ("linear", (1.0,), r"missing a required argument: 'end_value'; it takes linear\(init_value"),
    ("cosine_restarts", (1.0, jnp.asarray(10), 2), "first_decay_steps or t_mul is an array, expected numbers"),
    ("piecewise", (1.0, [10, 20]), "boundaries_and_scales is a list, expected a dict of count to scale"),
    ("piecewise", (1.0, {"10": 0.1}), "boundaries_and_scales is a str"),
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


def test_whole_floats_are_step_counts():
    assert schedules.linear(1.0, 0.0, 1e4)(5000) == 0.5
