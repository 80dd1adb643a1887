"""What the families of scenarios share: how one is made of points, and how one thing in it is changed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import data
from tests.diagnosis.scenarios.base import Scenario

Data = Callable[[], tuple[np.ndarray, ...]]
Batches = Callable[[Any], Any]
WIDE = (16, 32, 32, 5)  # layers of the networks that sort 16 features into 5 classes


def learning(name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, **fields: Any) -> Scenario:
    """Return a scenario on these points; size 0 is full batch."""
    batch = data.minibatches(points(), size) if size else data.always(points())
    fields = {"batch": batch, "big_batch": points, "full_batch": not size, **fields}
    return Scenario(name=name, cause=cause, half=half, steps=steps, **fields)


def instead(**fields: Any) -> Callable[[Scenario], Scenario]:
    """Return what puts other fields into a scenario: the fault taken away, say."""
    return lambda scenario: dataclasses.replace(scenario, **fields)


def poisoned(clean: Batches, first: int, after: int, row: int | None = None) -> Batches:
    """Return minibatches whose inputs, or one row of them, are NaN from one step to another."""

    def batch(count: Any) -> Any:
        x, y = clean(count)
        bad = (count >= first) & (count < after)
        bad = bad if row is None else (bad & (jnp.arange(x.shape[0]) == row))[:, None]
        return jnp.where(bad, jnp.float32(np.nan), x), y

    return batch
