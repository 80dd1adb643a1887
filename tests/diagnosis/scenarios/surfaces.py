"""Surfaces of two parameters: valleys, saddles and Rosenbrock's banana."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.rates import sgd

Surface = Callable[[jax.Array, jax.Array], jax.Array]


def rosenbrock(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a bent valley with its minimum, 0, at (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def log_cosh(x: jax.Array) -> jax.Array:
    """Return a bowl whose walls are straight lines, so that they have no curvature."""
    return jnp.logaddexp(x, -x) - np.float32(np.log(2))


def valley(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return straight walls across x, a gentle bowl along y."""
    return 5 * log_cosh(3 * x) + 0.25 * y**2


def tilted_bowl(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a bowl of condition number about 40 whose axes are not the parameters."""
    return 1 + 2 * (x + y - 3) ** 2 + 0.05 * (x - y) ** 2


def steep_bowl(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a bowl with its axes along the parameters, minimum 0."""
    return 0.5 * x**2 + 15 * y**2


def straight_walls(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a bowl of straight walls, minimum 2."""
    return 2 + log_cosh(x - 1) + 3 * log_cosh(0.5 * y + x)


def double_well(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a saddle at the origin between two minima at y = -1 and 1."""
    return 1 + 0.5 * x**2 + 0.25 * (y**2 - 1) ** 2


def gentle_well(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a saddle at the origin with a slow way down along x - y."""
    return 0.5 + (x + y) ** 2 + 0.1 * ((x - y) ** 2 - 1) ** 2


def monkey(x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a monkey saddle: three valleys meet at the origin, where the Hessian is 0."""
    return 10 + x**3 - 3 * x * y**2 + 0.25 * (x**2 + y**2) ** 2


def on(
    surface: Surface, start: tuple[float, float], name: str, cause: str, half: str, steps: int, **fields: Any
) -> Scenario:
    """Return the full-batch scenario of a surface."""
    return Scenario(
        name=name,
        cause=cause,
        half=half,
        init=lambda: {"x": np.float32(start[0]), "y": np.float32(start[1])},
        loss=lambda params, batch: surface(params["x"], params["y"]),
        batch=lambda count: (),
        big_batch=lambda: (),
        full_batch=True,
        steps=steps,
        **fields,
    )


SCENARIOS = [
    on(
        rosenbrock,
        (-1.2, 1.0),
        "rosenbrock_nesterov",
        "healthy",
        "tune",
        300,
        make_tx=sgd(4e-4, momentum=0.9, nesterov=True),
        proof=proofs.improving(),
    ),
    on(
        valley,
        (2.0, 3.0),
        "log_cosh_valley",
        "oscillating",
        "tune",
        600,
        make_tx=sgd(0.3),
        proof=proofs.bouncing(0.5, drop=0.3),
    ),
    on(
        steep_bowl,
        (3.0, 2.0),
        "bowl_rmsprop",
        "oscillating",
        "held",
        800,
        make_tx=lambda factor=1.0: gradtx.rmsprop(factor * 0.05),
        proof=proofs.bouncing(0.5),
    ),
    on(
        rosenbrock,
        (-1.2, 1.0),
        "rosenbrock_creep",
        "crawling",
        "held",
        1500,
        make_tx=sgd(1e-5),
        proof=proofs.slow(30.0),
    ),
    on(
        tilted_bowl,
        (-2.0, 1.0),
        "bowl_momentum",
        "converged_minimum",
        "tune",
        1000,
        make_tx=sgd(0.05, momentum=0.9),
        proof=proofs.minimum(),
    ),
    on(
        straight_walls,
        (4.0, 3.0),
        "walls_rmsprop_decay",
        "converged_minimum",
        "held",
        1500,
        make_tx=lambda factor=1.0: gradtx.rmsprop(gradtx.schedules.exponential(factor * 0.1, 1, 0.99)),
        proof=proofs.minimum(),
    ),
    on(
        double_well,
        (2.0, 0.0),
        "double_well_ridge",
        "saddle_plateau",
        "tune",
        400,
        make_tx=sgd(0.1),
        proof=proofs.saddle(),
        tellable=False,
    ),
    on(
        gentle_well,
        (1.0, 1.0 - 1e-6),
        "gentle_well_escape",
        "saddle_plateau",
        "held",
        1000,
        make_tx=sgd(0.0125),
        proof=proofs.saddle(),
    ),
    on(
        monkey,
        (1.0, 0.0),
        "monkey_saddle",
        "saddle_plateau",
        "held",
        800,
        make_tx=sgd(0.01, momentum=0.5),
        proof=proofs.saddle(),
        tellable=False,
    ),
    on(
        rosenbrock,
        (-1.2, 1.0),
        "rosenbrock_blow_up",
        "diverging",
        "held",
        200,
        make_tx=lambda factor=1.0: optax.sgd(factor * 0.008),
        proof=proofs.growing(),
    ),
    on(
        rosenbrock,
        (-1.2, 1.0),
        "rosenbrock_rmsprop_bursts",
        "sigma_burst",
        "held",
        1300,  # the path is chaotic, so the last bit decides what comes later: every jax bursts from step 1100 on
        make_tx=lambda factor=1.0: gradtx.rmsprop(factor * 0.2, decay=0.99),
        proof=proofs.spiking(lambda: gradtx.rmsprop(0.002, decay=0.99)),
    ),
]
