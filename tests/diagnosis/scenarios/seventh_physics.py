"""Problems of the seventh set from physics: heat, atoms, a quantum circuit, steering, a tensor."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models
from tests.diagnosis.scenarios.fifth_tables import normal
from tests.diagnosis.scenarios.fresh_models import nothing
from tests.diagnosis.scenarios.fresh_problems import Points, Problem


@functools.cache
def rod() -> Points:
    """Return 400 times and places on a rod."""
    rng = np.random.default_rng(771)
    return rng.uniform(0, 1, 400).astype(np.float32), rng.uniform(0, 1, 400).astype(np.float32)


def heat(params: Any, batch: Any) -> jax.Array:
    """Return how far a network is from u_t = 0.2 u_xx, from cold ends, and from sin(pi x) at the start."""
    t, x = batch
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)

    def u(t: jax.Array, x: jax.Array) -> jax.Array:
        return models.mlp(params, jnp.stack([t, x], axis=1), jnp.tanh)[:, 0]

    def slope(x: jax.Array) -> jax.Array:
        return jax.jvp(lambda x: u(t, x), (x,), (one,))[1]

    rise = jax.jvp(lambda t: u(t, x), (t,), (one,))[1]
    bend = jax.jvp(slope, (x,), (one,))[1]
    ends = jnp.square(u(t, zero)) + jnp.square(u(t, one)) + jnp.square(u(zero, x) - jnp.sin(jnp.pi * x))
    return jnp.mean(jnp.square(rise - 0.2 * bend) + ends)


HEAT = Problem(lambda: models.mlp_init((2, 16, 16, 1), 772, 1.3), heat, rod)

ATOMS = list(itertools.combinations(range(7), 2))


def lennard_jones(params: Any, batch: Any) -> jax.Array:
    """Return the energy of 7 atoms in a plane, per atom: below 0 where they are bound."""
    first, other = np.array(ATOMS).T
    gap = jnp.sum(jnp.square(params["place"][first] - params["place"][other]), axis=1)
    return 4 * jnp.sum(gap**-6.0 - gap**-3.0) / 7


def spread(size: float, jitter: float) -> Any:
    """Return what makes an atom in the middle of six others at this distance."""

    def init() -> Any:
        angle = np.arange(6) * np.pi / 3
        ring = size * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return {"place": (np.concatenate([np.zeros((1, 2)), ring]) + normal(773, 7, 2, size=jitter)).astype(np.float32)}

    return init


CLUSTER = Problem(spread(1.6, 0.15), lennard_jones, nothing)

BITS = 1 - 2 * np.array(list(itertools.product((0, 1), repeat=4)), np.float32).reshape(2, 2, 2, 2, 4)


def prepared(angles: jax.Array) -> jax.Array:
    """Return the state of 4 qubits after layers of turns, each followed by controlled signs of neighbours."""
    state = jnp.zeros((2, 2, 2, 2), jnp.float32).at[0, 0, 0, 0].set(1)
    sign = np.prod([np.where((BITS[..., i] < 0) & (BITS[..., i + 1] < 0), -1, 1) for i in range(3)], axis=0)
    for layer in range(angles.shape[0]):
        for i in range(4):
            c, s = jnp.cos(angles[layer, i] / 2), jnp.sin(angles[layer, i] / 2)
            low, high = (jax.lax.index_in_dim(state, k, i) for k in (0, 1))
            state = jnp.concatenate([c * low - s * high, s * low + c * high], axis=i)
        state = state * sign.astype(np.float32)
    return state


def ising(params: Any, batch: Any) -> jax.Array:
    """Return the energy of a chain of 4 spins in a field across it."""
    state = prepared(params["angle"])
    bonds = sum(BITS[..., i] * BITS[..., i + 1] for i in range(3))
    across = sum(jnp.sum(state * jnp.flip(state, axis=i)) for i in range(4))
    return -jnp.sum(jnp.square(state) * bonds) - 0.8 * across


def cut_weight(params: Any, batch: Any) -> jax.Array:
    """Return minus the weight of a cut through a graph of 4 nodes: every plain state is stationary."""
    pairs = ((0, 1, 1.0), (1, 2, 0.7), (2, 3, 1.2), (0, 3, 0.5), (0, 2, 0.9))
    inside = sum(w * BITS[..., a] * BITS[..., b] for a, b, w in pairs)
    return 0.5 * jnp.sum(jnp.square(prepared(params["angle"])) * inside)


def cornered() -> Any:
    """Return angles of a cut that is not the best, but for a hundred-thousandth."""
    angle = normal(774, 3, 4, size=1e-5)
    angle[0, 1] += np.pi
    return {"angle": angle}


CIRCUIT = Problem(lambda: {"angle": normal(775, 4, 4, size=0.5)}, ising, nothing)
CORNER = Problem(cornered, cut_weight, nothing)


@functools.cache
def starts() -> Points:
    """Return 400 states from which a vehicle starts."""
    return (normal(776, 400, 4),)


def driven(params: Any, batch: Any) -> jax.Array:
    """Return the cost of 20 steps of a vehicle with two motors, of which left alone it goes off."""
    (x,) = batch
    move = np.eye(4, dtype=np.float32) * 1.01 + np.diag([0.2, 0.0, 0.2], 1).astype(np.float32)
    motors = np.zeros((2, 4), np.float32)
    motors[0, 1], motors[1, 3], motors[0, 3] = 0.3, 0.3, 0.1

    def step(x: jax.Array, _: Any) -> Any:
        u = x @ params["gain"]
        x = x @ move.T + u @ motors
        return x, jnp.mean(jnp.sum(jnp.square(x), axis=1) + 0.1 * jnp.sum(jnp.square(u), axis=1))

    return jnp.mean(jax.lax.scan(step, x, None, length=20)[1])


STEER = Problem(lambda: {"gain": np.zeros((4, 2), np.float32)}, driven, starts)


def cube(params: Any, batch: Any) -> jax.Array:
    """Return the mean squared error of a tensor of 8x8x8 by a sum of three products."""
    full = np.einsum("ir,jr,kr->ijk", *(normal(778 + i, 8, 3) for i in range(3)))
    made = jnp.einsum("ir,jr,kr->ijk", params["a"], params["b"], params["c"])
    return jnp.mean(jnp.square(made - full))


def factors(size: float) -> Any:
    """Return what makes three factors of this size."""
    return lambda: {name: normal(781 + i, 8, 3, size=size) for i, name in enumerate("abc")}


CUBE = Problem(factors(0.5), cube, nothing)
