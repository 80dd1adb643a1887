"""The lecture's regression: ten points, two parameters, condition number 313,000."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import data, proofs
from tests.diagnosis.scenarios.base import Scenario

EDGE = 2 / 1_746_830  # the largest stable rate of plain descent
FLOOR = 101_880.0  # the loss at the optimum, rounded down


def loss(params: Any, batch: Any) -> jax.Array:
    """Return the sum of squared errors of y = b + w x."""
    x, y = batch
    return jnp.sum(jnp.square(y - (params["b"] + params["w"] * x)))


def lecture(name: str, cause: str, half: str, steps: int, **fields: Any) -> Scenario:
    """Return a scenario on the lecture's points, from its start."""
    points = (data.LECTURE_X, data.LECTURE_Y)
    return Scenario(
        name=name,
        cause=cause,
        half=half,
        init=lambda: {"b": np.float32(-120), "w": np.float32(-4)},
        loss=loss,
        batch=data.always(points),
        big_batch=lambda: points,
        full_batch=True,
        steps=steps,
        **fields,
    )


def adagrad(rate: float) -> Callable[..., Any]:
    """Return the factory of the lecture's Adagrad, a root mean square."""

    def make(factor: float = 1.0, decay: bool = False) -> gradtx.Transform:
        def eta(count: Any) -> jax.Array:
            return factor * rate / jnp.sqrt(jnp.asarray(count, jnp.float32) + 1)

        return gradtx.chain(
            gradtx.scale_by_adagrad(0.0, eps=0.0, mean=True),
            gradtx.scale_by_learning_rate(eta if decay else factor * rate),
        )

    return make


SCENARIOS = [
    lecture(
        "lecture_bounce",
        "oscillating",
        "tune",
        2000,
        make_tx=lambda factor=1.0: gradtx.sgd(factor * 0.99999 * EDGE),
        proof=proofs.bouncing(0.5),
    ),
    lecture(
        "lecture_crawl",
        "crawling",
        "tune",
        3000,
        make_tx=lambda factor=1.0: gradtx.sgd(factor * 1e-7),
        proof=proofs.slow(floor=FLOOR, fall=0.5, other=lambda: adagrad(1.0)(decay=True)),
    ),
    lecture(
        "lecture_adagrad_bursts",
        "sigma_burst",
        "tune",
        3000,
        make_tx=adagrad(1.0),
        proof=proofs.spiking(lambda: adagrad(1.0)(decay=True)),
    ),
    lecture(
        "lecture_too_large",
        "diverging",
        "tune",
        250,
        make_tx=lambda factor=1.0: gradtx.sgd(factor * 1.01 * EDGE),
        proof=proofs.growing(),
    ),
    lecture(
        "lecture_clip",
        "always_clipped",
        "tune",
        1500,
        make_tx=lambda factor=1.0: gradtx.chain(
            gradtx.clip_by_global_norm(10.0), gradtx.sgd(factor * 1e-7, momentum=0.9)
        ),
        proof=proofs.both(proofs.clipped(10.0, lambda: gradtx.sgd(1e-7, momentum=0.9)), proofs.slow(30.0)),
        also=("crawling",),
    ),
]
