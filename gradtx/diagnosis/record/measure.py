"""Measure one step: norms and slopes exactly, products between steps from a sample."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.diagnosis.record import sample
from gradtx.diagnosis.record.chain import clip_bound, learning_rate, rate_range
from gradtx.diagnosis.record.rates import effective_rate
from gradtx.diagnosis.record.record import COLUMNS, RING, STRAIGHT, Meta, Record, column, write


def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the inner product of two arrays, real, accumulated in float32; a dot is XLA's fastest sum on CPU."""
    wide = [lax.convert_element_type(sample.magnitude(x), jnp.float32) for x in (a, b)]
    if sample.is_explicit(a):  # a contraction over sharded axes would have to be told how its result is sharded
        return jnp.sum(wide[0] * wide[1])
    return jnp.vdot(*wide)


def cosine(ab: jax.Array, aa: jax.Array, bb: jax.Array) -> jax.Array:
    """Return ab / sqrt(aa bb), NaN where one of the vectors is 0."""
    size = jnp.sqrt(aa) * jnp.sqrt(bb)
    return jnp.where(size > 0, ab / jnp.where(size > 0, size, 1.0), jnp.nan)


def measure(
    tx: Any, labels: list[str], rate: Any, grads: Any, state: Any, params: Any, loss: jax.Array, extra: dict[str, Any]
) -> tuple[Record, jax.Array, jax.Array]:
    """Return the record with this step's row, |g|^2, and whether gradient and update are finite.

    Args:
        tx: the watched transform.
        labels: the group of each leaf.
        rate: learning rate given by the user, or None.
        grads: gradients of this step.
        state: the `WatchState` before this step.
        params: parameters before this step, or None.
        loss: loss of this step, NaN where none was passed.
        extra: extra arguments of the update.
    """
    updates, _ = tx.update(grads, state.inner, params, **extra)
    # A branch of its own: its operands are written once, where slices and sums would each draw in part of the update.
    nothing = (state.record, jnp.zeros((), jnp.float32), jnp.ones((), bool))
    really = state.record.step >= 0  # always, which XLA cannot know
    found: tuple[Record, jax.Array, jax.Array] = lax.cond(
        really, lambda: sums(tx, labels, rate, grads, updates, state, params, loss), lambda: nothing
    )
    return found


def sums(
    tx: Any, labels: list[str], rate: Any, grads: Any, updates: Any, state: Any, params: Any, loss: jax.Array
) -> tuple[Record, jax.Array, jax.Array]:
    """Return what `measure` does, from the update."""
    record, inner = state.record, state.inner
    meta, t = record.meta, record.step
    given = updates if params is None else params  # None leaves of the gradients drop out of all three alike
    g, u, p = (jax.tree.leaves(tree) for tree in (grads, updates, given))
    zeros = jax.tree.map(lambda x: jnp.mean(sample.take(x, meta.total) == 0, dtype=jnp.float32), grads)
    groups = group_sums(labels, meta, g, u, p if params is not None else None, jax.tree.leaves(zeros))
    gg, uu, pp = (jnp.sum(groups[:, i]) for i in range(3))
    gu = sum((dot(a, b) for a, b in zip(g, u, strict=True)), jnp.zeros((), jnp.float32))
    gs, us = (sample.vector(tree, meta.total, meta.sampled) for tree in (grads, updates))
    last, before = record.ring[(record.rows - 1) % RING], record.ring[(record.rows - 2) % RING]
    step = t.astype(jnp.float32)
    follows = column(last, "step") == step - 1
    follows2 = follows & (column(before, "step") == step - 2)
    start = jnp.where(follows, column(last, "gu"), jnp.nan)
    # the part of g_t along g_{t-1} is known exactly, only the rest is estimated from the sample
    along = jnp.vdot(gs, record.g1) / jnp.maximum(jnp.vdot(record.g1, record.g1), jnp.finfo(jnp.float32).tiny)
    end = along * start + jnp.vdot(gs - along * record.g1, record.u1)
    squares = {name: jnp.vdot(x, x) for name, x in (("g", gs), ("g1", record.g1), ("g2", record.g2))}
    us_sq, u1_sq = jnp.vdot(us, us), jnp.vdot(record.u1, record.u1)
    bound, eta = clip_bound(tx, inner), learning_rate(tx, inner, rate, t)
    clip = jnp.nan if bound is None else jnp.minimum(1.0, bound / jnp.sqrt(gg))
    share = jnp.sum(groups[:, 3] * jnp.array(meta.sizes, jnp.float32)) / max(meta.total, 1)
    straight, moved = straightness(record, params, uu)
    spread = rates(tx, meta.total, inner, grads, params, eta, None if bound is None else clip)
    values = {
        "step": step,
        "loss": loss,
        "gg": gg,
        "uu": uu,
        "pp": pp,
        "start": start,
        "end": end,
        "gu": gu,
        "cos1": jnp.where(follows, cosine(jnp.vdot(gs, record.g1), squares["g"], squares["g1"]), jnp.nan),
        "cos2": jnp.where(follows2, cosine(jnp.vdot(gs, record.g2), squares["g"], squares["g2"]), jnp.nan),
        "ucos": jnp.where(follows, cosine(jnp.vdot(us, record.u1), us_sq, u1_sq), jnp.nan),
        "straight": straight,
        "learning_rate": eta,
        "clip": clip,
        **dict(zip(("rate_min", "rate_mean", "rate_max"), spread, strict=True)),
        "zeros": share,
    }
    row = jnp.stack([jnp.asarray(values[name], jnp.float32) for name in COLUMNS])
    finite = jnp.isfinite(gg) & jnp.isfinite(uu)
    new = write(moved, row, groups)._replace(g1=gs, g2=record.g1, u1=us)
    return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, record), jnp.nan_to_num(gg), finite


def group_sums(labels: list[str], meta: Meta, g: Any, u: Any, p: Any, zeros: Any) -> jax.Array:
    """Return |g|^2, |u|^2, |p|^2 and the share of zeros of each group."""
    rows = {name: jnp.zeros(4, jnp.float32) for name in meta.groups}
    for i, label in enumerate(labels):
        weight = g[i].size / max(meta.sizes[meta.groups.index(label)], 1)
        pp = jnp.nan if p is None else dot(p[i], p[i])
        rows[label] += jnp.stack([dot(g[i], g[i]), dot(u[i], u[i]), jnp.asarray(pp, jnp.float32), zeros[i] * weight])
    return jnp.stack(list(rows.values())) if rows else jnp.zeros((0, 4), jnp.float32)


def rates(tx: Any, total: int, inner: Any, grads: Any, params: Any, eta: jax.Array, clip: Any) -> jax.Array:
    """Return the smallest, mean and largest eta / sigma on the sample; eta itself where the chain does not say."""
    taken = jax.tree.map(lambda x: sample.take(x, total) if jnp.ndim(x) else x, (inner, grads, params))
    rate = effective_rate(tx, *taken, clip=clip)
    return jnp.stack([eta] * 3) if rate is None else rate_range(rate)


def straightness(record: Record, params: Any, uu: jax.Array) -> tuple[jax.Array, Record]:
    """Return |sum of u|^2 / sum |u|^2 over the last 64 steps where a block of them ends, and the record moved on."""
    if params is None:
        return jnp.full((), jnp.nan, jnp.float32), record
    ps, t = sample.vector(params, record.meta.total, record.meta.sampled), record.step
    steps = (t - record.p0_step).astype(jnp.float32)
    done = (record.p0_step >= 0) & (steps >= STRAIGHT)
    path = record.travelled[0] / jnp.maximum(record.travelled[1], 1.0) * steps
    moved = jnp.vdot(ps - record.p0, ps - record.p0)
    straight = jnp.where(done & (path > 0), moved / jnp.where(path > 0, path, 1.0), jnp.nan)
    begin = done | (record.p0_step < 0)
    now = jnp.stack([uu, jnp.ones_like(uu)])
    return straight, record._replace(
        p0=jnp.where(begin, ps, record.p0),
        p0_step=jnp.where(begin, t, record.p0_step),
        travelled=jnp.where(begin, now, record.travelled + now),
    )


def nonfinite(grads: Any, labels: list[str], meta: Meta) -> jax.Array:
    """Return how many gradient entries of each group are not finite."""
    counts = {name: jnp.zeros((), jnp.float32) for name in meta.groups}
    for x, label in zip(jax.tree.leaves(grads), labels, strict=True):
        counts[label] += jnp.sum(~jnp.isfinite(x), dtype=jnp.float32)
    return jnp.stack(list(counts.values())) if counts else jnp.zeros(0, jnp.float32)
