"""How a record takes a step: its row, its loss and its block of the history of the run."""

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import increment
from gradtx.diagnosis.record.record import BLANK, BLOCK, BLOCKS, EARLY, RING, Record, blank_block, column


def merge(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the block that holds the steps of both."""
    count, share = a[0] + b[0], b[0] / jnp.maximum(a[0] + b[0], 1.0)
    change = ((b[1] - a[1]) + (b[2] - a[2])) * share
    mean = a[1] + change
    part = mean - a[1]  # of the change, what reached the mean; the rest is what the addition lost (Knuth's two-sum)
    lost = a[2] + ((a[1] - (mean - part)) + (change - part))
    least = jnp.array([name.endswith("_min") for name in BLOCK])
    means = jnp.concatenate([jnp.stack([count, mean, lost]), jnp.zeros(len(BLOCK) - 3, jnp.float32)])
    limits = jnp.where(least, jnp.minimum(a, b), jnp.maximum(a, b))
    return jnp.where(jnp.arange(len(BLOCK)) < 3, means, limits)


def halve(history: jax.Array) -> jax.Array:
    """Return the history in half as many blocks of twice the length."""
    pairs = history.reshape(BLOCKS // 2, 2, len(BLOCK))
    blank = jnp.tile(blank_block()[None], (BLOCKS // 2, 1))
    return jnp.concatenate([jax.vmap(merge)(pairs[:, 0], pairs[:, 1]), blank])


def tick(record: Record, loss: jax.Array, measured: jax.Array, alive: jax.Array) -> Record:
    """Return the record with this step's loss and its block of the history; a few scalars, done at every step."""
    row, blank = record.ring[(record.rows - 1) % RING], blank_block()
    sizes = jnp.stack([column(row, name) for name in ("gg", "uu", "rate_max", "rate_min")])
    known = measured & (sizes != BLANK)
    seen = loss != BLANK
    one, none = jnp.ones_like(loss), jnp.zeros_like(loss)
    losses = jnp.where(seen, jnp.stack([one, loss, none, loss, loss]), blank[:5])
    block = jnp.concatenate([losses, jnp.where(known, sizes, blank[5:])])
    t = record.step
    full = alive & (t // record.block >= BLOCKS)
    history = lax.cond(full, halve, lambda h: h, record.history)
    length = jnp.where(full, record.block * 2, record.block)
    at, ring, first = jnp.minimum(t // length, BLOCKS - 1), t % RING, jnp.minimum(t, EARLY - 1)
    early = alive & (t < EARLY)
    return record._replace(
        step=increment(t),
        losses=record.losses.at[ring].set(jnp.where(alive, loss, record.losses[ring])),
        early_losses=record.early_losses.at[first].set(jnp.where(early, loss, record.early_losses[first])),
        losses_seen=jnp.where(alive & seen, increment(record.losses_seen), record.losses_seen),
        history=history.at[at].set(jnp.where(alive, merge(history[at], block), history[at])),
        block=length,
    )


def write(record: Record, row: jax.Array, groups: jax.Array, leaves: jax.Array) -> Record:
    """Return the record with one measured row; of each leaf |g|, |u| and the share of zeros are given."""
    i, t = record.rows, record.step
    at, last = i % RING, jnp.minimum(i, EARLY - 1)
    return record._replace(
        rows=increment(i),
        ring=record.ring.at[at].set(row),
        ring_steps=record.ring_steps.at[at].set(t),
        early=record.early.at[last].set(jnp.where(i < EARLY, row, record.early[last])),
        early_steps=record.early_steps.at[last].set(jnp.where(i < EARLY, t, record.early_steps[last])),
        groups=record.groups.at[at].set(groups),
        group_peak=jnp.maximum(record.group_peak, groups[:, 0]),
        leaves=jnp.concatenate([jnp.maximum(record.leaves[:, :2], leaves[:, :2]), leaves], axis=1),
        leaf_steps=jnp.where(leaves[:, :2] > 0, t, record.leaf_steps),
    )
