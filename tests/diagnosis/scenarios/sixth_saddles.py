"""Runs of the sixth set at a saddle or on a plateau, with a way down that they do not find in time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.proofs import saddle
from tests.diagnosis.scenarios.rates import sgd
from tests.diagnosis.scenarios.sixth_problems_a import sixth
from tests.diagnosis.scenarios.sixth_problems_a2 import COLUMN, CUBE, PEAKS, thirds, two_peaks


def bowls() -> Points:
    """Return 500 places in a plane and the height of two hills there."""
    x = normal(701, 500, 2)
    hills = np.exp(-np.square(x - np.array([1, 0])).sum(1)) - np.exp(-np.square(x + np.array([0.5, 1])).sum(1))
    return x, hills[:, None].astype(np.float32)


def constant_start() -> Any:
    """Return a network all of whose weights start at 0.3, so that its units are and stay alike."""
    return jax.tree.map(lambda p: np.full_like(p, 0.3), models.mlp_init((2, 12, 1), 702))


TWINS = Problem(constant_start, models.fit(jnp.tanh), bowls)


def rows() -> Points:
    """Return 600 rows of 12 values that 3 numbers make up."""
    return ((normal(703, 600, 3) * np.array([2, 1.5, 1], np.float32)) @ normal(704, 3, 12, size=0.5),)


def squeezed(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of rows through three numbers and back, all of it linear."""
    (x,) = batch
    return jnp.mean(jnp.sum(jnp.square(x @ params["in"] @ params["middle"] @ params["out"] - x), axis=1))


def nearly_zero() -> Any:
    """Return the three matrices, a hundredth in size."""
    shapes = {"in": (12, 3), "middle": (3, 3), "out": (3, 12)}
    return {name: normal(705 + i, *shape, size=0.01) for i, (name, shape) in enumerate(shapes.items())}


SQUEEZED = Problem(nearly_zero, squeezed, rows)


SADDLES: list[tuple[Any, ...]] = [
    ("sixth_column_upright", COLUMN, 0, 500, sgd(0.02), saddle(steps=1500, drop=0.05), {}),
    (
        "sixth_peaks_in_one_place",
        PEAKS,
        0,
        300,
        sgd(0.05, momentum=0.9),
        saddle(),
        {"init": two_peaks((0.3, 0.3001)), "tellable": False},
    ),
    ("sixth_cube_small_start", CUBE, 64, 300, sgd(0.1), saddle(), {"init": thirds(0.1)}),
    ("sixth_twins", TWINS, 0, 1500, sgd(0.3, momentum=0.9), saddle(steps=2000), {"tellable": False}),
    ("sixth_squeezed_small_start", SQUEEZED, 32, 170, sgd(0.01), saddle(), {"told": False}),
]
SCENARIOS: list[Scenario] = [sixth(name, "saddle_plateau", *rest, **fields) for name, *rest, fields in SADDLES]
