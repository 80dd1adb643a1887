"""Problems of the eighth set, part b: reactions, cameras, gauges, swings, rods, pulses and controllers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios.eighth_signals_b import normal
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


def runge(field: Any, x: Any, dt: float) -> Any:
    """Return the state a step later, by the rule of Runge and Kutta."""
    a = field(x)
    b = field(x + 0.5 * dt * a)
    c = field(x + 0.5 * dt * b)
    return x + dt / 6 * (a + 2 * b + 2 * c + field(x + dt * c))


def reaction(k: Any, x: Any) -> Any:
    """Return how fast three substances change: there and back, on, and across."""
    a, b = x[..., 0], x[..., 1]
    there, on = k[0] * a - k[1] * b, k[2] * b
    across = k[3] * a * a
    module = jnp if isinstance(k, jax.Array) else np
    return module.stack([-there - across, there - on, on + across], axis=-1)


@functools.cache
def batches_of_acid() -> Points:
    """Return the starts of 8 reactions and 20 noisy readings of each substance in each."""
    rng = np.random.default_rng(9021)
    start = rng.uniform(0.2, 2, (8, 3)) * np.array([1, 0.5, 0.1])
    k, x, seen = np.array([2.0, 0.5, 0.8, 0.3]), start, []
    for _ in range(20):
        x = runge(functools.partial(reaction, k), x, 0.2)
        seen.append(x + 0.01 * rng.normal(size=x.shape))
    return start.astype(np.float32), np.stack(seen, axis=1).astype(np.float32)


def reacted(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the readings, in percent."""
    start, seen = batch
    k = jnp.exp(params["log_rate"])

    def step(x: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        x = runge(functools.partial(reaction, k), x, 0.2)
        return x, x

    _, path = jax.lax.scan(step, start, None, length=20)
    return 100 * jnp.mean(jnp.square(jnp.swapaxes(path, 0, 1) - seen))


REACTOR = Problem(lambda: {"log_rate": np.array([-1, 0.5, -1.5, 0], np.float32)}, reacted, batches_of_acid)


def project(params: Any, x: Any) -> jax.Array:
    """Return where a camera sees points: turned, shifted, divided by the distance, times the focal length."""
    q = jnp.concatenate([jnp.ones(1, jnp.float32), 0.5 * params["turn"]])
    w, a, b, c = q * jax.lax.rsqrt(jnp.sum(jnp.square(q)))
    turn = jnp.array(
        [
            [1 - 2 * (b * b + c * c), 2 * (a * b - w * c), 2 * (a * c + w * b)],
            [2 * (a * b + w * c), 1 - 2 * (a * a + c * c), 2 * (b * c - w * a)],
            [2 * (a * c - w * b), 2 * (b * c + w * a), 1 - 2 * (a * a + b * b)],
        ]
    )
    x = x @ turn.T + params["shift"][None, :]
    return jnp.exp(params["log_focal"]) * x[:, :2] / (x[:, 2:] + 6) + params["centre"][None, :]


@functools.cache
def corners(noise: float = 0.005) -> Points:
    """Return 80 points in space and where a camera saw them, in hundreds of pixels."""
    x = np.random.default_rng(9022).uniform(-2, 2, (80, 3)).astype(np.float32)
    true = {"turn": [0.3, -0.2, 0.15], "shift": [0.3, -0.4, 0.8], "log_focal": np.log(8.0), "centre": [0.4, -0.3]}
    seen = project({name: jnp.asarray(part, jnp.float32) for name, part in true.items()}, x)
    return x, np.asarray(seen) + normal(9023, 80, 2, size=noise)


def camera() -> Any:
    """Return the camera as it was sold."""
    zero = np.zeros(3, np.float32)
    return {"turn": zero, "shift": zero, "log_focal": np.float32(np.log(7.0)), "centre": np.zeros(2, np.float32)}


def reprojected(unit: float) -> Any:
    """Return the mean squared error of where points are seen, in this many to a hundred pixels."""
    return lambda params, batch: jnp.mean(jnp.sum(jnp.square(unit * (project(params, batch[0]) - batch[1])), axis=1))


CAMERA = Problem(camera, reprojected(1.0), corners)


@functools.cache
def at_rest_readings() -> Points:
    """Return 150 readings of a gauge of acceleration at rest, skewed and shifted: the true length of each is 1."""
    rng = np.random.default_rng(9024)
    u = rng.normal(size=(150, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    skew = np.array([[1.2, 0.1, 0.0], [0.0, 0.8, 0.15], [0.05, 0.0, 1.1]])
    return ((u @ skew + np.array([0.2, -0.1, 0.3]) + 0.01 * rng.normal(size=u.shape)).astype(np.float32),)


def unit_length(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the squared length of the corrected readings."""
    y = (batch[0] - params["offset"][None, :]) @ jnp.triu(params["gain"])
    return jnp.mean(jnp.square(jnp.sum(jnp.square(y), axis=1) - 1)) + 1e-3 * jnp.sum(
        jnp.square(jnp.tril(params["gain"], -1))
    )


GAUGE = Problem(
    lambda: {"offset": np.zeros(3, np.float32), "gain": np.eye(3, dtype=np.float32)}, unit_length, at_rest_readings
)


def swing(params: Any, start: Any) -> jax.Array:
    """Return the angles of a damped pendulum at 50 times."""
    pull, drag = jnp.exp(params["log_pull"]), jnp.exp(params["log_drag"])

    def step(state: Any, _: Any) -> Any:
        angle, speed = state
        speed = speed - 0.08 * (pull * jnp.sin(angle) + drag * speed)
        angle = angle + 0.08 * speed
        return (angle, speed), angle

    _, path = jax.lax.scan(step, (start, jnp.zeros_like(start)), None, length=50)
    return path.T


@functools.cache
def swings() -> Points:
    """Return 40 angles from which a pendulum is let go, and 50 noisy readings of each swing."""
    start = np.random.default_rng(9025).uniform(0.3, 2, 40).astype(np.float32)
    true = {"log_pull": jnp.float32(np.log(2.5)), "log_drag": jnp.float32(np.log(0.3))}
    return start, np.asarray(swing(true, start)) + normal(9026, 40, 50, size=0.03)


def swung(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the angles."""
    return jnp.mean(jnp.square(swing(params, batch[0]) - batch[1]))


PENDULUM = Problem(lambda: {"log_pull": np.float32(0.5), "log_drag": np.float32(0.0)}, swung, swings)


def warmed_rod(log_k: Any, source: Any) -> jax.Array:
    """Return the heat in a rod of 16 pieces, cold at both ends, for each row of sources."""
    k = jnp.exp(log_k)
    matrix = jnp.diag(k[:-1] + k[1:]) - jnp.diag(k[1:-1], 1) - jnp.diag(k[1:-1], -1)
    return jnp.linalg.solve(matrix, source.T).T


@functools.cache
def rods() -> Points:
    """Return 30 rows of sources of heat along a rod, and the heat that 16 gauges read."""
    rng = np.random.default_rng(9027)
    source = (rng.random((30, 16)) < 0.15).astype(np.float32)
    log_k = (0.8 * np.sin(np.arange(17) / 2.5)).astype(np.float32)
    return source, np.asarray(warmed_rod(jnp.asarray(log_k), source)) + normal(9028, 30, 16, size=0.02)


def rod_heat(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of the heat."""
    source, seen = batch
    return jnp.mean(jnp.square(warmed_rod(params["log_k"], source) - seen))


ROD = Problem(lambda: {"log_k": np.zeros(17, np.float32)}, rod_heat, rods)


def turned(params: Any, off: Any) -> jax.Array:
    """Return the turn of a spin, as a quaternion, after all pulses, for each amount that the field is off."""

    def step(q: jax.Array, pulse: jax.Array) -> tuple[jax.Array, None]:
        axis = jnp.stack([jnp.full_like(off, pulse[0]), jnp.full_like(off, pulse[1]), off])
        half = 0.5 * jnp.sqrt(jnp.sum(jnp.square(axis), axis=0) + 1e-12)
        c, (x, y, z) = jnp.cos(half), (jnp.sin(half) / (2 * half))[None, :] * axis
        w, a, b, d = q
        return jnp.stack(
            [
                c * w - x * a - y * b - z * d,
                c * a + x * w + y * d - z * b,
                c * b + y * w + z * a - x * d,
                c * d + z * w + x * b - y * a,
            ]
        ), None

    zero = jnp.zeros_like(off)
    return jax.lax.scan(step, jnp.stack([zero + 1, zero, zero, zero]), params["pulse"])[0]


def infidelity(params: Any, batch: Any) -> jax.Array:
    """Return how far the pulses are from half a turn round the first axis, over all fields."""
    return 1 - jnp.mean(jnp.square(turned(params, batch[0])[1]))


def pulses(size: float) -> Any:
    """Return what makes 20 pulses of this size."""
    return lambda: {"pulse": normal(9029, 20, 2, size=size)}


PULSE = Problem(pulses(0.1), infidelity, lambda: (np.linspace(-0.15, 0.15, 9).astype(np.float32),))


def flown(params: Any, batch: Any) -> jax.Array:
    """Return the mean cost of holding a drone that drifts in place, by a linear law, over 40 steps."""
    (start,) = batch
    drift = jnp.array([[1, 0.1, 0, 0], [0.03, 1, 0, 0], [0, 0, 1, 0.1], [0, 0.02, 0.03, 1]], jnp.float32)

    def step(x: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        u = -x @ params["law"]
        cost = jnp.sum(jnp.square(x) * jnp.array([1, 0.1, 1, 0.1], jnp.float32)[None, :], axis=1)
        push = jnp.stack([0 * u[:, 0], 0.1 * u[:, 0], 0 * u[:, 1], 0.1 * u[:, 1]], axis=1)
        return x @ drift.T + push, jnp.mean(cost) + 0.05 * jnp.mean(jnp.sum(jnp.square(u), axis=1))

    return jnp.mean(jax.lax.scan(step, start, None, length=40)[1])


HOVER = Problem(lambda: {"law": np.zeros((4, 2), np.float32)}, flown, lambda: (normal(9030, 200, 4),))
