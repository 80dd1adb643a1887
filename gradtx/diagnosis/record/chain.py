"""Read from a chain what the record needs to know of it: its learning rate and its clip."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import read as read_hyper
from gradtx._core.engine.parts import walk
from gradtx.diagnosis.record import axes, rates
from gradtx.diagnosis.record.record import BLANK, MOST


def learning_rate(tx: Any, state: Any, override: Any = None, step: Any = 0) -> jax.Array:
    """Return eta of the next update as a float32 scalar, BLANK where the chain does not say.

    Args:
        tx: the transform; gradtx's know their settings, of optax's only `inject_hyperparams` does.
        state: its state.
        override: a number or schedule given by the user for a chain that does not say.
        step: count that a schedule in `override` sees.
    """
    if override is not None:
        return jnp.asarray(read_hyper(override, jnp.asarray(step, jnp.int32)), jnp.float32)
    eta = rates.learning_rate(tx, state)
    injected = getattr(state, "hyperparams", None)
    if eta is None and isinstance(injected, dict):
        eta = injected.get("learning_rate")
    return jnp.asarray(BLANK if eta is None else eta, jnp.float32)


def clip_bound(tx: Any, state: Any) -> jax.Array | None:
    """Return the bound of a `clip_by_global_norm` that stands first in the chain, None where none does."""
    first = next(walk(tx, state), None)
    if first is None or not first.in_row or first.views:  # it sees some leaves alone, whose norm is not that of all
        return None
    if not (rates.has_role(first.tx, "limit") and "max_norm" in first.tx.settings):
        return None
    count = first.state.count if first.state is not None else jnp.zeros((), jnp.int32)
    return jnp.asarray(read_hyper(first.tx.settings["max_norm"], count), jnp.float32)


def decays(tx: Any, state: Any) -> bool | None:
    """Return True if a chain decays the parameters, False if all of it is known and nothing does, else None."""
    links = list(walk(tx, state))
    if any(rates.has_role(link.tx, "decay") for link in links):
        return True
    return False if links and all(getattr(link.tx, "role", "") for link in links) else None


BOUNDS = {"max_delta", "max_norm", "clipping", "threshold"}  # what the settings of a clip call its bound


def limits(tx: Any, state: Any) -> bool:
    """Return True if a chain is known to hold a clip, wherever it stands."""
    return any(rates.has_role(link.tx, "limit") and bool(BOUNDS & set(link.tx.settings)) for link in walk(tx, state))


def rate_range(rate: Any, names: axes.Names = ()) -> list[jax.Array]:
    """Return the smallest, the geometric mean and the largest effective rate; BLANK where none is positive.

    Args:
        rate: tree of rates.
        names: manual axes that the rates of some leaves are split over.
    """
    leaves: dict[axes.Names, list[jax.Array]] = {}
    for x in map(jnp.asarray, jax.tree.leaves(rate)):
        leaves.setdefault(axes.split_over(x, names), []).append(jnp.ravel(x).astype(jnp.float32))
    low, high = jnp.full((), MOST, jnp.float32), jnp.zeros((), jnp.float32)
    logs, count = jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32)
    for over, own in leaves.items():
        flat = jnp.concatenate(own)
        good = (flat > 0) & jnp.isfinite(flat)
        least, most = (
            jnp.min(jnp.where(good, flat, MOST), initial=MOST),
            jnp.max(jnp.where(good, flat, 0.0), initial=0.0),
        )
        sums = jnp.sum(jnp.log(jnp.where(good, flat, 1.0))), jnp.sum(good, dtype=jnp.float32)
        if over:
            least, most, sums = lax.pmin(least, over), lax.pmax(most, over), lax.psum(sums, over)
        low, high = jnp.minimum(low, least), jnp.maximum(high, most)
        logs, count = logs + sums[0], count + sums[1]
    mean = jnp.exp(logs / jnp.maximum(count, 1.0))
    return [jnp.where(count > 0, x, BLANK) for x in (low, mean, high)]
