"""Runs of the seventh set whose fault is in the loss or the data: NaN, or a batch that spoils all that was learnt."""

from typing import Any

import jax
import jax.numpy as jnp

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.counterfactuals import thrown
from tests.diagnosis.scenarios.fourth_faults import changed, drawn
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.proofs import clean_but_for_a_step
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.seventh_people import BASKETS, GRADES, seventh
from tests.diagnosis.scenarios.seventh_pictures import MASKS, STANDARDIZED
from tests.diagnosis.scenarios.seventh_sequences import POOLED


def first_of(x: jax.Array, value: float) -> jax.Array:
    """Return a batch whose first row is this number throughout."""
    return x.at[0].set(jnp.asarray(value, x.dtype))


def strict_ordinal(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of grades from differences of chances, which are 0 for a score far off."""
    x, grade = batch
    bounds = params["first"] + jnp.concatenate([jnp.zeros(1, jnp.float32), jnp.cumsum(jnp.exp(params["log_gap"]))])
    below = jax.nn.sigmoid(bounds[None, :] - (x @ params["w"])[:, None])
    one = jnp.ones((x.shape[0], 1), jnp.float32)
    chance = jnp.diff(jnp.concatenate([0 * one, below, one], axis=1), axis=1)
    return -jnp.mean(jnp.log(jnp.take_along_axis(chance, grade[:, None], axis=1)))


def in_cents(x: jax.Array, grade: jax.Array) -> Any:
    """Return pupils, the first of whom has features in another unit, and the middle grade."""
    return x.at[0].multiply(100), grade.at[0].set(2)


STRICT = Problem(GRADES.init, strict_ordinal, GRADES.points)

NOT_FINITE: list[tuple[Any, ...]] = [
    (
        "seventh_pooled_empty_text",
        POOLED,
        32,
        250,
        adam(5e-3),
        clean_but_for_a_step(cleaned(drawn(POOLED.points, 32))),
        {"batch": changed(drawn(POOLED.points, 32), 140, lambda words, good: (first_of(words, 0), good))},
    ),
    (
        "seventh_masks_blank_picture",
        STANDARDIZED,
        16,
        150,
        adam(3e-3),
        clean_but_for_a_step(cleaned(drawn(MASKS.points, 16))),
        {"batch": changed(drawn(MASKS.points, 16), 110, lambda x, mask: (first_of(x, 0), first_of(mask, 0)))},
    ),
    (
        "seventh_grades_log_of_nothing",
        STRICT,
        16,
        200,
        sgd(0.1),
        clean_but_for_a_step(cleaned(drawn(GRADES.points, 16))),
        {"batch": changed(drawn(GRADES.points, 16), 120, in_cents), "told": False},
    ),
]

THROWN: list[tuple[Any, ...]] = [
    (
        "seventh_baskets_wrong_unit",
        BASKETS,
        32,
        450,
        sgd(0.02, momentum=0.9),
        thrown(200, cleaned(drawn(BASKETS.points, 32))),
        {"batch": changed(drawn(BASKETS.points, 32), 200, lambda x, y: (x, y.at[0].set(-2500)))},
    ),
    (
        "seventh_masks_raw_batch",
        MASKS,
        16,
        400,
        sgd(0.3, momentum=0.9),
        thrown(200, cleaned(drawn(MASKS.points, 16))),
        {"batch": changed(drawn(MASKS.points, 16), 200, lambda x, mask: (5000 * x, mask))},
    ),
]
SCENARIOS: list[Scenario] = [
    seventh(name, cause, *rest, **fields)
    for cause, rows in (("non_finite", NOT_FINITE), ("collapsed", THROWN))
    for name, *rest, fields in rows
]
