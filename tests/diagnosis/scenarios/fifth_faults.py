"""Runs of the fifth set whose fault is in the loss or the data: NaN, a wrong restart, or data that are spoilt."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.fifth_laws import FACES
from tests.diagnosis.scenarios.fifth_networks import CAPTIONS, WAVES
from tests.diagnosis.scenarios.fifth_tables import DEMAND, MACHINES, fifth, normal
from tests.diagnosis.scenarios.fourth_faults import JUMP, changed, drawn, spike
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.fresh_proofs import lost
from tests.diagnosis.scenarios.proofs import clean_but_for_a_step
from tests.diagnosis.scenarios.rates import sgd


def never_ran(x: jax.Array, time: jax.Array, failed: jax.Array) -> Any:
    """Return machines the first of which failed before it ran."""
    first = jnp.arange(time.shape[0]) == 0
    return x, jnp.where(first, 0, time), jnp.where(first, 1, failed)


def loose(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the caption that fits, by rows of length 1 but for 0 / 0."""
    x, texts = batch

    def unit(v: jax.Array) -> jax.Array:
        return v / jnp.sqrt(jnp.sum(jnp.square(v), axis=-1, keepdims=True))

    a = unit(jnp.tanh(x @ params["picture"]))
    b = unit(jnp.tanh(texts @ params["caption"]))
    return -jnp.mean(jax.nn.log_softmax(4 * jnp.einsum("nd,nkd->nk", a, b))[:, 0])


def blank(x: jax.Array, texts: jax.Array) -> Any:
    """Return pictures and captions, the first of which is blank."""
    return x, jnp.where(jnp.arange(texts.shape[0])[:, None, None] == 0, 0, texts)


LOOSE = Problem(
    lambda: {"picture": normal(581, 10, 5, size=0.3), "caption": normal(582, 8, 5, size=0.3)}, loose, CAPTIONS.points
)


def missing(count: Any) -> Any:
    """Return series; from step 130 on, values are missing in one of them."""
    (series,) = drawn(WAVES.points, 32)(count)
    gone = (count >= 130) & (jnp.arange(32)[:, None] == 3) & (jnp.arange(17)[None, :] > 9)
    return (jnp.where(gone, jnp.float32(np.nan), series),)


NOT_FINITE: list[tuple[Any, ...]] = [
    (
        "fifth_machines_never_ran",
        MACHINES,
        16,
        250,
        lambda f=1.0: gradtx.adagrad(f * 0.1),
        clean_but_for_a_step(cleaned(drawn(MACHINES.points, 16))),
        {"batch": changed(drawn(MACHINES.points, 16), 140, never_ran)},
    ),
    (
        "fifth_captions_blank",
        LOOSE,
        16,
        200,
        sgd(0.1, momentum=0.9),
        clean_but_for_a_step(cleaned(drawn(CAPTIONS.points, 16))),
        {"batch": changed(drawn(CAPTIONS.points, 16), 90, blank)},
    ),
    (
        "fifth_waves_missing",
        WAVES,
        32,
        180,
        lambda f=1.0: optax.adamw(f * 5e-3),
        clean_but_for_a_step(cleaned(drawn(WAVES.points, 32))),
        {"batch": missing, "told": False},
    ),
]

THROWN: list[tuple[Any, ...]] = [
    (
        "fifth_demand_wrong_restart",
        DEMAND,
        32,
        450,
        spike(optax.lion, 2e-3, 3000.0),
        lost(JUMP, instead(make_tx=lambda f=1.0: optax.lion(f * 2e-3)), rise=3.0),
        {"told": False},
    ),
    (
        "fifth_faces_wrong_restart",
        FACES,
        32,
        450,
        spike(optax.rmsprop, 1e-3, 3000.0),
        lost(JUMP, instead(make_tx=lambda f=1.0: optax.rmsprop(f * 1e-3)), rise=1.5),
        {},
    ),
]

SCENARIOS: list[Scenario] = [
    fifth(name, cause, *rest, **fields)
    for cause, rows in (("non_finite", NOT_FINITE), ("collapsed", THROWN))
    for name, *rest, fields in rows
]
