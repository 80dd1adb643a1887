"""Schedules eta: functions of the count of updates made, and of what happens in training."""

from typing import TYPE_CHECKING

from gradtx.optax_names import finder
from gradtx.schedules.cycle import cosine_restarts, linear_one_cycle, one_cycle
from gradtx.schedules.decay import constant, cosine, exponential, linear, polynomial
from gradtx.schedules.event import hold_until, resnet110
from gradtx.schedules.inverse import inverse_sqrt, inverse_time
from gradtx.schedules.join import join, piecewise
from gradtx.schedules.optax_names import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from gradtx.schedules.plot import plot
from gradtx.schedules.warmup import (
    warmup_constant,
    warmup_cosine,
    warmup_linear,
    warmup_stable_decay,
)

if TYPE_CHECKING:
    from gradtx.optax_names import (
        InjectHyperparamsState,
        InjectStatefulHyperparamsState,
        Schedule,
        StatefulSchedule,
        WrappedSchedule,
    )
else:
    __getattr__ = finder("schedules")

__all__ = [  # noqa: RUF022  # grouped by what they are
    # from one value to another
    "constant",
    "cosine",
    "exponential",
    "inverse_time",
    "linear",
    "polynomial",
    # up, then down
    "inverse_sqrt",
    "warmup_constant",
    "warmup_cosine",
    "warmup_linear",
    "warmup_stable_decay",
    # cycles
    "cosine_restarts",
    "linear_one_cycle",
    "one_cycle",
    # in pieces
    "join",
    "piecewise",
    # waiting for an event
    "hold_until",
    "resnet110",
    # optax's names
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "join_schedules",
    "linear_onecycle_schedule",
    "linear_schedule",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "sgdr_schedule",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    # optax's own, for `inject_hyperparams`
    "InjectHyperparamsState",
    "InjectStatefulHyperparamsState",
    "Schedule",
    "StatefulSchedule",
    "WrappedSchedule",
    # drawing
    "plot",
]
