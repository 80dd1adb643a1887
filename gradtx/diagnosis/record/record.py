"""The record of a run: a fixed-size set of float32 arrays inside the optimizer state.

A ring of the last measured steps, the first rows for ever, every step's loss, and the whole run in blocks whose length
doubles when they are full. Nothing grows with the run, nothing is read by the host before `diagnose` asks.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

RING = 256  # measured steps kept
EARLY = 64  # first measured steps kept for ever
BLOCKS = 256  # blocks of the whole run

COLUMNS = (
    "step",  # number of the update, from 0
    "loss",
    "gg",  # |g|^2
    "uu",  # |u|^2
    "pp",  # |p|^2
    "start",  # g_{t-1}.u_{t-1}, the slope at the start of the last step
    "end",  # g_t.u_{t-1}, the slope at its end
    "gu",  # g_t.u_t, the change predicted for the next step
    "cos1",  # cosine of g_t and g_{t-1}
    "cos2",  # cosine of g_t and g_{t-2}
    "ucos",  # cosine of u_t and u_{t-1}
    "straight",  # |sum of 64 u|^2 / sum |u|^2
    "learning_rate",
    "clip",  # factor of clip_by_global_norm, 1 where it does not clip
    "rate_min",  # eta / sigma
    "rate_mean",  # geometric
    "rate_max",
    "zeros",  # share of gradient entries that are exactly 0
)
GROUP_COLUMNS = ("gg", "uu", "pp", "zeros")
HISTORY = ("losses", "loss_sum", "loss_max", "loss_min", "gg_max", "uu_max", "rate_max", "rate_min")
SUMMED = 2  # the first columns of HISTORY add up, the next take the larger, loss_min and rate_min the smaller
STRAIGHT = 64  # steps over which straightness is taken


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Meta:
    """What the record is about: part of the state's structure, so it travels with it.

    Attributes:
        transform: the watched transform as it prints.
        groups: names of the groups.
        sizes: parameters in each group.
        every: a run of steps is measured in every so many.
        run: length of that run.
        total: parameters in all.
        sampled: coordinates that products between steps are estimated from.
        clips: whether a global-norm clip stands first in the chain.
    """

    transform: str
    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    every: int
    run: int
    total: int
    sampled: int
    clips: bool


class Record(NamedTuple):
    """The arrays of the record.

    Attributes:
        meta: what it is about.
        step: updates seen.
        bad_step: first step with a non-finite loss, gradient or update, -1 before; the record freezes there.
        bad: count of non-finite gradient entries per group at that step.
        losses_seen: steps at which a loss was passed.
        rows: rows measured.
        ring: the last rows, row i at i mod RING.
        early: the first rows.
        losses: loss of every step, step t at t mod RING.
        early_losses: loss of the first steps.
        groups: per group columns, beside `ring`.
        group_peak: largest |g|^2 of each group so far.
        history: the whole run in blocks.
        block: steps per block.
        g1, g2, u1: samples of the last two gradients and the last update.
        p0: sample of the parameters where the straightness block began, at step `p0_step`.
        travelled: sum of |u|^2 over the measured steps of that block, and their number.
    """

    meta: Meta
    step: jax.Array
    bad_step: jax.Array
    bad: jax.Array
    losses_seen: jax.Array
    rows: jax.Array
    ring: jax.Array
    early: jax.Array
    losses: jax.Array
    early_losses: jax.Array
    groups: jax.Array
    group_peak: jax.Array
    history: jax.Array
    block: jax.Array
    g1: jax.Array
    g2: jax.Array
    u1: jax.Array
    p0: jax.Array
    p0_step: jax.Array
    travelled: jax.Array


def empty(meta: Meta) -> Record:
    """Return the record of a run that has not begun."""
    n = len(meta.groups)

    def nan(*shape: int) -> jax.Array:
        return jnp.full(shape, jnp.nan, jnp.float32)

    def integer(value: int) -> jax.Array:
        return jnp.full((), value, jnp.int32)

    def zeros(*shape: int) -> jax.Array:
        return jnp.zeros(shape, jnp.float32)

    return Record(
        meta=meta,
        step=integer(0),
        bad_step=integer(-1),
        bad=zeros(n),
        losses_seen=integer(0),
        rows=integer(0),
        ring=nan(RING, len(COLUMNS)),
        early=nan(EARLY, len(COLUMNS)),
        losses=nan(RING),
        early_losses=nan(EARLY),
        groups=nan(RING, n, len(GROUP_COLUMNS)),
        group_peak=zeros(n),
        history=jnp.tile(blank_block()[None], (BLOCKS, 1)),
        block=integer(1),
        g1=zeros(meta.sampled),
        g2=zeros(meta.sampled),
        u1=zeros(meta.sampled),
        p0=zeros(meta.sampled),
        p0_step=integer(-1),
        travelled=zeros(2),
    )


def blank_block() -> jax.Array:
    """Return a block of the history with no step in it."""
    inf = jnp.inf
    return jnp.array([0.0, 0.0, -inf, inf, -inf, -inf, -inf, inf], jnp.float32)


def merge(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the block that holds the steps of both."""
    summed, larger, smaller = a + b, jnp.maximum(a, b), jnp.minimum(a, b)
    least = jnp.array([name.endswith("_min") for name in HISTORY])
    return jnp.where(jnp.arange(len(HISTORY)) < SUMMED, summed, jnp.where(least, smaller, larger))


def halve(history: jax.Array) -> jax.Array:
    """Return the history in half as many blocks of twice the length."""
    pairs = history.reshape(BLOCKS // 2, 2, len(HISTORY))
    blank = jnp.tile(blank_block()[None], (BLOCKS // 2, 1))
    return jnp.concatenate([jax.vmap(merge)(pairs[:, 0], pairs[:, 1]), blank])


def tick(record: Record, loss: jax.Array, measured: jax.Array, alive: jax.Array) -> Record:
    """Return the record with this step's loss and its block of the history; a few scalars, done at every step."""
    row, blank = record.ring[(record.rows - 1) % RING], blank_block()
    sizes = jnp.stack([column(row, name) for name in ("gg", "uu", "rate_max", "rate_min")])
    known = measured & ~jnp.isnan(sizes)
    seen = ~jnp.isnan(loss)
    losses = jnp.where(seen, jnp.stack([jnp.ones_like(loss), loss, loss, loss]), blank[:4])
    block = jnp.concatenate([losses, jnp.where(known, sizes, blank[4:])])
    t = record.step
    full = alive & (t >= BLOCKS * record.block)
    history = lax.cond(full, halve, lambda h: h, record.history)
    length = jnp.where(full, record.block * 2, record.block)
    at, ring, first = jnp.minimum(t // length, BLOCKS - 1), t % RING, jnp.minimum(t, EARLY - 1)
    early = alive & (t < EARLY)
    return record._replace(
        step=t + 1,
        losses=record.losses.at[ring].set(jnp.where(alive, loss, record.losses[ring])),
        early_losses=record.early_losses.at[first].set(jnp.where(early, loss, record.early_losses[first])),
        losses_seen=record.losses_seen + (alive & ~jnp.isnan(loss)).astype(jnp.int32),
        history=history.at[at].set(jnp.where(alive, merge(history[at], block), history[at])),
        block=length,
    )


def write(record: Record, row: jax.Array, groups: jax.Array) -> Record:
    """Return the record with one measured row."""
    i = record.rows
    early = jnp.where(i < EARLY, row, record.early[EARLY - 1])
    return record._replace(
        rows=i + 1,
        ring=record.ring.at[i % RING].set(row),
        early=record.early.at[jnp.minimum(i, EARLY - 1)].set(early),
        groups=record.groups.at[i % RING].set(groups),
        group_peak=jnp.maximum(record.group_peak, groups[:, 0]),
    )


def column(row: Any, name: str) -> Any:
    """Return a column of a row or of rows by name."""
    return row[..., COLUMNS.index(name)]
