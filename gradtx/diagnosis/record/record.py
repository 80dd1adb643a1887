"""The record of a run: a fixed-size set of small arrays inside the optimizer state.

A ring of the last measured steps, the first rows for ever, every step's loss, and the whole run in blocks whose length
doubles when they are full. Nothing grows with the run, nothing is read by the host before `diagnose` asks.

Every stored number is finite, so that a healthy run passes JAX's NaN checks: BLANK stands for "not known", and Evidence
makes NaN of it. Steps are int32, since a float32 loses whole numbers from 2^24. Squares and slopes are stored as signed
roots: |g|^2 leaves float32 where |g| is above 1.8e19, and |g| itself is fine.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

RING = 256  # measured steps kept
EARLY = 64  # first measured steps kept for ever
BLOCKS = 256  # blocks of the whole run
MOST = float(np.finfo(np.float32).max)
BLANK = -MOST  # stands for a number that is not known

COLUMNS = (
    "step",  # number of the update, from 0; kept apart, as int32
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
    "pcos",  # cosine of g_t and the parameters: below 0 where descent makes them larger
    "straight",  # |sum of 64 u|^2 / sum |u|^2
    "learning_rate",
    "clip",  # factor of clip_by_global_norm, 1 where it does not clip
    "rate_min",  # eta / sigma
    "rate_mean",  # geometric
    "rate_max",
    "zeros",  # share of gradient entries that are exactly 0
    "lost",  # share of update entries other than 0 that the parameter's dtype rounds away
)
ROW = COLUMNS[1:]  # the columns of a stored row
ROOTS = ("gg", "uu", "pp", "start", "end", "gu", "gg_max", "uu_max")  # stored as sign(x) sqrt(|x|)
GROUP_COLUMNS = ("gg", "uu", "pp", "zeros")
LEAF_COLUMNS = ("g_most", "u_most", "g_last", "u_last", "zeros")  # largest and latest |g| and |u|; latest zeros
HISTORY = ("losses", "loss_sum", "loss_max", "loss_min", "gg_max", "uu_max", "rate_max", "rate_min")
# What a block stores. A float32 sum of a million losses would lose their digits: it is a mean, and what that lost.
BLOCK = ("losses", "loss_mean", "loss_lost", *HISTORY[2:])
STRAIGHT = 64  # steps over which straightness is taken


@jax.tree_util.register_static
class Meta(NamedTuple):
    """What the record is about: part of the state's structure, so it travels with it.

    To JAX it is a static node without leaves. It is a named tuple of plain values all the same, because checkpoint
    libraries (flax's `to_bytes`) store such a tuple, and know no other static node.

    Attributes:
        transform: the watched transform as it prints.
        groups: names of the groups.
        sizes: parameters in each group.
        every: a run of steps is measured in every so many.
        run: length of that run.
        total: parameters in all.
        sampled: coordinates that products between steps are estimated from.
        clips: whether a global-norm clip stands first in the chain.
        level: depth of the keys that the default groups are named by.
        leaves: names of the leaves.
        decays: whether the chain decays the parameters, None where it does not say.
        leaf_sizes: parameters in each leaf.
        limits: whether the chain is known to hold a clip, wherever it stands.
    """

    transform: str
    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    every: int
    run: int
    total: int
    sampled: int
    clips: bool
    level: int = 0
    leaves: tuple[str, ...] = ()
    decays: bool | None = None
    leaf_sizes: tuple[int, ...] = ()
    limits: bool = False


class Record(NamedTuple):
    """The arrays of the record.

    Attributes:
        meta: what it is about; a 0 in the stand-in for a state that `optax.tree_map_params` asks for.
        step: updates seen.
        bad_step: first step with a non-finite loss or update, -1 before; the record freezes there.
        bad: count of non-finite gradient entries per group at that step.
        skipped: number of skipped steps that were seen, and the first and the last of them, -1 before. A step is
            skipped where the gradient is not finite and the update is.
        skipped_bad: count of non-finite gradient entries per group at the first of them.
        losses_seen: steps at which a loss was passed.
        rows: rows measured.
        ring: the last rows, row i at i mod RING.
        ring_steps: their steps.
        early: the first rows.
        early_steps: their steps.
        losses: loss of every step, step t at t mod RING.
        early_losses: loss of the first steps.
        groups: per group columns, beside `ring`.
        group_peak: largest |g| of each group so far.
        leaves: what `LEAF_COLUMNS` says of each leaf.
        leaf_steps: the last steps at which its gradient, and its update, were not 0; -1 before.
        history: the whole run in blocks.
        block: steps per block.
        g1, g2, u1: samples of the last two gradients and the last update, each divided by its norm.
        norms: norms of g1 and u1 before that.
        p0: sample of the parameters where the straightness block began, at step `p0_step`.
        travelled: root of the sum of |u|^2 over the measured steps of that block, and their number.
    """

    meta: Any
    step: jax.Array
    bad_step: jax.Array
    bad: jax.Array
    skipped: jax.Array
    skipped_bad: jax.Array
    losses_seen: jax.Array
    rows: jax.Array
    ring: jax.Array
    ring_steps: jax.Array
    early: jax.Array
    early_steps: jax.Array
    losses: jax.Array
    early_losses: jax.Array
    groups: jax.Array
    group_peak: jax.Array
    leaves: jax.Array
    leaf_steps: jax.Array
    history: jax.Array
    block: jax.Array
    g1: jax.Array
    g2: jax.Array
    u1: jax.Array
    norms: jax.Array
    p0: jax.Array
    p0_step: jax.Array
    travelled: jax.Array


def empty(meta: Meta) -> Record:
    """Return the record of a run that has not begun."""
    n = len(meta.groups)

    def blank(*shape: int) -> jax.Array:
        return jnp.full(shape, BLANK, jnp.float32)

    def integers(value: int, *shape: int) -> jax.Array:
        return jnp.full(shape, value, jnp.int32)

    def zeros(*shape: int) -> jax.Array:
        return jnp.zeros(shape, jnp.float32)

    return Record(
        meta=meta,
        step=integers(0),
        bad_step=integers(-1),
        bad=integers(0, n),
        skipped=jnp.array([0, -1, -1], jnp.int32),
        skipped_bad=integers(0, n),
        losses_seen=integers(0),
        rows=integers(0),
        ring=blank(RING, len(ROW)),
        ring_steps=integers(-1, RING),
        early=blank(EARLY, len(ROW)),
        early_steps=integers(-1, EARLY),
        losses=blank(RING),
        early_losses=blank(EARLY),
        groups=blank(RING, n, len(GROUP_COLUMNS)),
        group_peak=zeros(n),
        leaves=zeros(len(meta.leaves), len(LEAF_COLUMNS)),
        leaf_steps=integers(-1, len(meta.leaves), 2),
        history=jnp.tile(blank_block()[None], (BLOCKS, 1)),
        block=integers(1),
        g1=zeros(meta.sampled),
        g2=zeros(meta.sampled),
        u1=zeros(meta.sampled),
        norms=zeros(2),
        p0=zeros(meta.sampled),
        p0_step=integers(-1),
        travelled=zeros(2),
    )


def blank_block() -> jax.Array:
    """Return a block of the history with no step in it."""
    counts = {"losses": 0.0, "loss_mean": 0.0, "loss_lost": 0.0}
    return jnp.array([counts.get(name, MOST if name.endswith("_min") else BLANK) for name in BLOCK], jnp.float32)


def column(row: Any, name: str) -> Any:
    """Return a column of a stored row or of rows by name."""
    return row[..., ROW.index(name)]
