"""One row per public schedule and variant: a call, written out, that both gradtx and the reference can evaluate."""

import dataclasses
from collections.abc import Callable
from typing import Any

import gradtx
from tests.reference import schedules as reference

LONG = 10_000_000
INT32_MAX = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Row:
    """A schedule under test.

    Attributes:
        text: the call, as it prints.
        at: the counts at which something starts or ends.
        trend: "down" where it never rises after the first of `at`, "" where it may.
        ends: whether it is constant from the last of `at` on.
    """

    text: str
    at: tuple[int, ...]
    trend: str = "down"
    ends: bool = True

    @property
    def public(self) -> str:
        """The name in `gradtx.schedules.__all__`."""
        return self.text.split("(")[0]

    def make(self) -> Any:
        """Return gradtx's schedule."""
        return evaluate(self.text)

    def reference(self) -> Callable[[int], float]:
        """Return the reference's."""
        return eval(self.text, dict(reference.NAMES))

    def counts(self) -> list[int]:
        """Return the first count, the last, and those round each of `at`."""
        near = {max(a + d, 0) for a in self.at for d in (-2, -1, 0, 1, 2)}
        return sorted(near | {0, 1, self.at[-1] // 2, self.at[-1] // 3, self.at[-1] * 3, INT32_MAX})


def evaluate(text: str) -> Any:
    """Return what a call makes in the namespace of `gradtx.schedules`."""
    return eval(text, dict(vars(gradtx.schedules)))


SCHEDULES = [
    Row("constant(0.1)", (1,)),
    Row("linear(1.0, 0.1, 20)", (20,)),
    Row("linear(0.0, 0.7, 20, transition_begin=5)", (5, 25), trend=""),
    Row("linear(0.3, 0.3, 7)", (7,)),
    Row("polynomial(1.0, 0.1, 2, 20)", (20,)),
    Row("polynomial(0.5, 0.0, power=0.7, transition_steps=20, transition_begin=3)", (3, 23)),
    Row("polynomial(0.0, 0.5, power=3.5, transition_steps=20)", (20,), trend=""),
    Row("exponential(0.1, 10, 0.5)", (10, 20), ends=False),
    Row("exponential(0.1, 10, 0.9, staircase=True, transition_begin=5)", (5, 15, 25), ends=False),
    Row("exponential(0.1, 10, 0.5, end_value=0.01)", (34,)),
    Row("exponential(0.1, 10, 1.5, end_value=0.9)", (55,), trend=""),
    Row("inverse_time(0.1, 10, 0.5)", (10, 20), ends=False),
    Row("inverse_time(0.1, 10, 0.5, staircase=True)", (10, 20), ends=False),
    Row("cosine(0.1, 20)", (20,)),
    Row("cosine(0.1, decay_steps=20, alpha=0.1, exponent=1.5)", (20,)),
    Row("cosine_restarts(0.1, 10)", (10, 20, 1000), trend="", ends=False),
    Row("cosine_restarts(0.1, 10, t_mul=2, m_mul=0.5, alpha=0.1)", (10, 30, 70, 10230), trend="", ends=False),
    Row("cosine_restarts(0.1, 7, t_mul=1.3, m_mul=0.9)", (7, 16, 28, 43), trend="", ends=False),
    Row("one_cycle(100, 0.1)", (30, 100)),
    Row("one_cycle(50, 0.1, pct_start=0.0, div_factor=10.0, final_div_factor=100.0)", (1, 50)),
    Row("one_cycle(50, 0.1, pct_start=1.0)", (49, 50)),
    Row("linear_one_cycle(100, 0.1)", (30, 85, 100)),
    Row("inverse_sqrt(512)", (3999, 4000), ends=False),
    Row("inverse_sqrt(d_model=64, warmup_steps=0, factor=2.0)", (1, 10), ends=False),
    Row("warmup_constant(0.1, 10)", (10,)),
    Row("warmup_constant(0.1, 10, init_value=0.02)", (10,)),
    Row("warmup_constant(0.1, 0)", (1,)),
    Row("warmup_linear(0.1, warmup_steps=10, decay_steps=50)", (10, 50)),
    Row("warmup_linear(0.1, warmup_steps=0, decay_steps=50, end_value=0.01, init_value=0.0)", (1, 50)),
    Row("warmup_cosine(0.0003, warmup_steps=500, decay_steps=20000)", (500, 20000)),
    Row("warmup_cosine(0.1, 10, 50, init_value=0.0, end_value=0.01, exponent=2.0)", (10, 50)),
    Row("warmup_stable_decay(0.1, warmup_steps=5, stable_steps=20, decay_steps=10)", (5, 25, 35)),
    Row("warmup_stable_decay(0.1, 5, 20, 10, init_value=0.0, end_value=0.01, shape='cosine')", (5, 25, 35)),
    Row("warmup_stable_decay(0.1, 0, 0, 10, shape='sqrt')", (1, 10)),
    Row("piecewise(0.1)", (1,)),
    Row("piecewise(0.1, {10: 0.1, 30: 0.5, 20: 0.2})", (10, 20, 30)),
    Row("join([linear(0.0, 0.1, 10), 0.1, cosine(0.1, 20)], [10, 15])", (10, 15, 35)),
    Row("join([exponential(0.1, 10, 0.5)], [])", (10,), ends=False),
    Row("constant_schedule(0.1)", (1,)),
    Row("linear_schedule(1.0, 0.1, 20, transition_begin=5)", (5, 25)),
    Row("polynomial_schedule(init_value=1.0, end_value=0.1, power=2.5, transition_steps=20)", (20,)),
    Row("exponential_decay(0.1, 10, 0.5, end_value=0.01)", (34,)),
    Row("exponential_decay(0.1, 10, 0.5, transition_begin=5, staircase=True)", (5, 15, 25), ends=False),
    Row("cosine_decay_schedule(0.1, 20, alpha=0.1, exponent=1.5)", (20,)),
    Row("piecewise_constant_schedule(0.1, {10: 0.1, 20: 0.2})", (10, 20)),
    Row("piecewise_interpolate_schedule('linear', 0.1, {10: 5.0, 20: 0.2})", (10, 20)),
    Row("piecewise_interpolate_schedule('cosine', 0.1, {10: 5.0, 20: 0.2})", (10, 20)),
    Row("join_schedules([linear_schedule(0.0, 0.1, 10), cosine_decay_schedule(0.1, 20)], [10])", (10, 30)),
    Row("linear_onecycle_schedule(100, 0.1)", (30, 85, 100)),
    Row("cosine_onecycle_schedule(100, 0.1, pct_start=0.25)", (25, 100)),
    Row("warmup_constant_schedule(0.02, 0.1, 10)", (10,)),
    Row("warmup_cosine_decay_schedule(0.0, 0.1, 10, 50, end_value=0.01, exponent=2.0)", (10, 50)),
    Row("warmup_exponential_decay_schedule(0.0, 0.1, 10, 20, 0.5, staircase=True)", (10, 30), ends=False),
    Row("warmup_exponential_decay_schedule(0.0, 0.1, 10, 20, 0.5, end_value=0.03)", (10, 45)),
    Row(
        "sgdr_schedule([{'init_value': 0.0, 'peak_value': 0.1, 'warmup_steps': 3, 'decay_steps': 10}, "
        "{'init_value': 0.01, 'peak_value': 0.05, 'warmup_steps': 5, 'decay_steps': 20}])",
        (3, 10, 15, 30),
        trend="",
    ),
]

LONG_SCHEDULES = [
    Row(f"linear(0.001, 0.0, {LONG})", (0, LONG)),
    Row(f"linear(0.001, 0.0001, {LONG}, transition_begin=1000)", (0, 1000, LONG + 1000)),
    Row(f"polynomial(0.001, 0.0, 2, {LONG})", (0, LONG)),
    Row(f"polynomial(0.001, 0.0001, 0.5, {LONG})", (0, LONG)),
    Row(f"polynomial(0.0, 0.001, 2.5, {LONG})", (0, LONG), trend=""),
    Row(f"cosine(0.001, {LONG})", (0, LONG)),
    Row(f"cosine(0.001, {LONG}, alpha=0.01, exponent=2)", (0, LONG)),
    Row(f"exponential(0.001, {LONG}, 0.1)", (0, LONG), trend="", ends=False),
    Row("exponential(0.001, 2000, 0.99, staircase=True, end_value=1e-25)", (0, 2000, LONG), ends=False),
    Row("exponential(0.001, 2000, 0.99, end_value=1e-25)", (0, 2000, LONG), trend="", ends=False),
    Row(f"inverse_time(0.001, {LONG}, 3.0)", (0, LONG), ends=False),
    Row(f"cosine_restarts(0.001, {LONG}, m_mul=0.5)", (0, LONG), trend="", ends=False),
    Row("cosine_restarts(0.001, 1000, t_mul=1.5, m_mul=0.9)", (0, 1000, 2500, LONG), trend="", ends=False),
    Row(f"one_cycle({LONG}, 0.001)", (3_000_000, LONG)),
    Row(f"linear_one_cycle({LONG}, 0.001)", (3_000_000, 8_500_000, LONG)),
    Row(f"inverse_sqrt(512, warmup_steps={LONG})", (LONG,), ends=False),
    Row(f"warmup_constant(0.001, {LONG})", (LONG,)),
    Row(f"warmup_linear(0.001, warmup_steps=10000, decay_steps={LONG})", (10000, LONG)),
    Row(f"warmup_cosine(0.001, warmup_steps=10000, decay_steps={LONG})", (10000, LONG)),
    Row(f"warmup_cosine(0.001, 10000, {LONG}, end_value=1e-05, exponent=1.5)", (10000, LONG)),
    Row("warmup_stable_decay(0.001, 10000, 8000000, 1990000, shape='sqrt')", (10000, 8_010_000, LONG)),
    Row("warmup_stable_decay(0.001, 10000, 8000000, 1990000, shape='cosine')", (10000, 8_010_000, LONG)),
    Row(f"piecewise(0.001, {{1000: 0.5, {LONG}: 0.1}})", (1000, LONG)),
    Row(f"join([0.001, linear(0.001, 0.0, 1000000)], [{LONG - 1_000_000}])", (LONG - 1_000_000, LONG)),
]

EVENTS = {"hold_until", "resnet110"}  # no function of the count: tests/schedules/test_event.py
NOT_SCHEDULES = {"plot"}  # draws schedules: tests/schedules/test_plot.py
