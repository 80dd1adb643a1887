"""A linear recurrence whose matrix is too large: it explodes within a few steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import models, proofs
from tests.diagnosis.scenarios.build import learning
from tests.diagnosis.scenarios.rates import sgd


def recurrent(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a linear recurrence over 12 steps."""
    x, y = batch
    state = jnp.zeros((x.shape[0], 8), jnp.float32)
    for t in range(12):
        state = state @ params["again"] + x[:, t : t + 1] @ params["into"]
    return models.squared(state @ params["out"], y)


def recurrent_init() -> Any:
    """Return the params of the recurrence, its matrix of norm about 1.2."""
    rng = np.random.default_rng(71)
    again = 1.2 * np.linalg.qr(rng.normal(size=(8, 8)))[0]
    into, out = rng.normal(size=(1, 8)), rng.normal(size=(8, 1)) / 3
    return {name: x.astype(np.float32) for name, x in (("again", again), ("into", into), ("out", out))}


def sums() -> tuple[np.ndarray, ...]:
    """Return 128 sequences of 12 numbers and the sum of each."""
    x = np.random.default_rng(72).normal(size=(128, 12))
    return x.astype(np.float32), x.sum(1, keepdims=True).astype(np.float32)


SCENARIOS = [
    learning(
        "recurrence_explodes",
        "diverging",
        "tune",
        200,
        sums,
        make_tx=sgd(0.05),
        init=recurrent_init,
        loss=recurrent,
        proof=proofs.growing(1e-3),
    ),
    learning(
        "recurrence_explodes_untold",
        "diverging",
        "held",
        200,
        sums,
        32,
        make_tx=sgd(0.02, momentum=0.9),
        init=recurrent_init,
        loss=recurrent,
        told=False,
        proof=proofs.growing(1e-3),
    ),
]
