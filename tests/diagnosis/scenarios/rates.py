"""Factories of transforms whose learning rate can be multiplied."""

from collections.abc import Callable
from typing import Any

import gradtx


def sgd(rate: float, **settings: Any) -> Callable[..., Any]:
    """Return the factory of plain or momentum descent."""
    return lambda factor=1.0: gradtx.sgd(factor * rate, **settings)


def adam(rate: float, **settings: Any) -> Callable[..., Any]:
    """Return the factory of Adam."""
    return lambda factor=1.0: gradtx.adam(factor * rate, **settings)


def warmed(scale: Callable[[], Any], rate: float, warmup: int = 0) -> Callable[..., Any]:
    """Return the factory of a scale with a rate that starts at its peak, or is warmed up to it."""

    def make(factor: float = 1.0) -> gradtx.Transform:
        eta = gradtx.schedules.warmup_constant(factor * rate, warmup) if warmup else factor * rate
        return gradtx.chain(scale(), gradtx.scale_by_learning_rate(eta))

    return make


def empty_adagrad() -> gradtx.Transform:
    """Return Adagrad's scale from an empty sum, so that the first step is of full size everywhere."""
    return gradtx.scale_by_adagrad(initial_accumulator_value=0.0, eps=1e-12)


def long_rms() -> gradtx.Transform:
    """Return a scale of long memory that starts at 0, uncorrected: its first steps are 31 times too long."""
    return gradtx.scale_by_rms(0.999)
