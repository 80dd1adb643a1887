"""Read from a chain what the record needs to know of it: its learning rate and its clip."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.reading import read as read_hyper
from gradtx.diagnosis.record import rates


def learning_rate(tx: Any, state: Any, override: Any = None, step: Any = 0) -> jax.Array:
    """Return eta of the next update as a float32 scalar, NaN where the chain does not say.

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
    return jnp.full((), jnp.nan, jnp.float32) if eta is None else jnp.asarray(eta, jnp.float32)


def clip_bound(tx: Any, state: Any) -> jax.Array | None:
    """Return the bound of a `clip_by_global_norm` that stands first in the chain, None where none does."""
    first, first_state = next(iter(rates.links(tx, state)), (None, None))
    if first is None or not (rates.has_role(first, "limit") and "max_norm" in first.settings):
        return None
    count = first_state.count if first_state is not None else jnp.zeros((), jnp.int32)
    return jnp.asarray(read_hyper(first.settings["max_norm"], count), jnp.float32)


def rate_range(rate: Any) -> jax.Array:
    """Return the smallest, the geometric mean and the largest effective rate as a vector of 3."""
    leaves = [jnp.ravel(x).astype(jnp.float32) for x in jax.tree.leaves(rate)]
    flat = jnp.concatenate(leaves) if leaves else jnp.full(1, jnp.nan, jnp.float32)
    flat = jnp.where((flat > 0) & jnp.isfinite(flat), flat, jnp.nan)
    return jnp.stack([jnp.nanmin(flat), jnp.exp(jnp.nanmean(jnp.log(flat))), jnp.nanmax(flat)])
