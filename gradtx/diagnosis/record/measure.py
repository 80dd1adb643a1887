"""Measure one step: norms and slopes exactly, products between steps from a sample."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.codes import decoded
from gradtx._core.arrays.numerics import wider
from gradtx.diagnosis.record import axes, sample
from gradtx.diagnosis.record.arithmetic import FAR, cosine, hypotenuse, inner, root, root_of_product, unit
from gradtx.diagnosis.record.chain import clip_bound, learning_rate, rate_range
from gradtx.diagnosis.record.exact import exact, vector
from gradtx.diagnosis.record.rates import effective_rate
from gradtx.diagnosis.record.record import BLANK, GROUP_COLUMNS, MOST, RING, ROW, STRAIGHT, Record, column
from gradtx.diagnosis.record.step import Found, Step, like, nothing
from gradtx.diagnosis.record.written import write


def measure(step: Step, record: Record, params: Any, extra: Mapping[str, Any]) -> Found:
    """Return what is found at a step from the update that it makes.

    Args:
        step: the step.
        record: the record before it.
        params: all that the update is given as parameters, or None.
        extra: extra arguments of the update.
    """
    updates, _ = step.tx.update(step.grads, step.inner, params, **extra)
    # A branch of its own: its operands are written once, where slices and sums would each draw in part of the update.
    really = record.step >= 0  # always, which XLA cannot know
    found: Found = lax.cond(
        really, lambda: look(step._replace(updates=like(step.grads, updates)), record), lambda: nothing(record)
    )
    return found


def look(step: Step, record: Record) -> Found:
    """Return what is found at a step whose updates are known."""
    meta, names, t = step.meta, step.names, record.step
    (gs, g_norm), (us, u_norm) = (unit(*vector(tree, meta, names)) for tree in (step.grads, step.updates))
    groups, leaves, (g_size, u_size, p_size), gu = exact(step, inner(gs, us))
    finite = [jnp.isfinite(x) for x in (g_size, u_size)]
    last, before = (record.rows - 1) % RING, (record.rows - 2) % RING
    follows = (record.ring_steps[last] == t - 1) & (t > 0)
    follows2 = follows & (record.ring_steps[before] == t - 2) & (t > 1)
    start = jnp.where(follows, column(record.ring[last], "gu"), BLANK)
    cos1, some1 = cosine(gs, record.g1)
    cos2, some2 = cosine(gs, record.g2)
    ucos, moved = cosine(us, record.u1)
    # the part of g_t along g_{t-1} is known exactly, only the rest is estimated from the sample
    g1_norm, u1_norm = record.norms[0], record.norms[1]
    both = root_of_product(g1_norm, u1_norm)
    slope = jnp.clip(jnp.where(follows & (both > 0), start, 0.0) / jnp.where(both > 0, both, 1.0), -FAR, FAR)
    across = inner(gs - cos1 * record.g1, record.u1)
    end = root(cos1 * slope * jnp.abs(slope) + across) * root_of_product(g_norm, u1_norm)
    eta, bound = eta_of(step, t), bound_of(step)
    clip = jnp.full((), BLANK, jnp.float32) if bound is None else clip_factor(bound, g_size)
    ps = None if step.params is None else vector(step.params, meta, names)
    pcos, some_p = (jnp.zeros(()), False) if ps is None else cosine(gs, unit(*ps)[0])
    straight, walked = straightness(record, ps, u_size)
    values = {
        "loss": step.loss,
        "gg": g_size,
        "uu": u_size,
        "pp": p_size,
        "start": start,
        "end": jnp.where(follows & (start != BLANK), end, BLANK),
        "gu": gu,
        "cos1": jnp.where(follows & some1, cos1, BLANK),
        "cos2": jnp.where(follows2 & some2, cos2, BLANK),
        "ucos": jnp.where(follows & moved, ucos, BLANK),
        "pcos": jnp.where(some_p, pcos, BLANK),
        "straight": straight,
        "learning_rate": eta,
        "clip": clip,
        **dict(zip(("rate_min", "rate_mean", "rate_max"), rates(step, eta, bound, clip), strict=True)),
        "zeros": jnp.sum(groups[:, GROUP_COLUMNS.index("zeros")] * jnp.array(meta.sizes, jnp.float32))
        / max(meta.total, 1),
        "lost": rounded_away(step),
    }
    row = jnp.clip(jnp.stack([jnp.asarray(values[name], jnp.float32) for name in ROW]), BLANK, MOST)
    kept = write(walked, row, jnp.clip(groups, BLANK, MOST), jnp.clip(leaves, 0.0, MOST))._replace(
        g1=gs, g2=record.g1, u1=us, norms=jnp.stack([g_norm, u_norm])
    )
    good = finite[0] & finite[1] & jnp.isfinite(step.loss)
    kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), kept, record)
    return Found(kept, jnp.where(good, g_size, 0.0), finite[0], finite[1])


def eta_of(step: Step, t: jax.Array) -> jax.Array:
    """Return the learning rate of this step, BLANK where it is not known."""
    live = step.live.get("learning_rate")
    return learning_rate(step.tx, step.inner) if live is None else live


def bound_of(step: Step) -> jax.Array | None:
    """Return the bound of a clip that stands first in the chain."""
    return step.live.get("bound", clip_bound(step.tx, step.inner))


def clip_factor(bound: jax.Array, size: jax.Array) -> jax.Array:
    """Return the factor of the clip: 1 where it does not clip."""
    some = jnp.isfinite(size) & (size > 0)
    return jnp.where(some, jnp.minimum(1.0, bound / jnp.where(some, size, 1.0)), 1.0)


def rates(step: Step, eta: jax.Array, bound: jax.Array | None, clip: jax.Array) -> list[jax.Array]:
    """Return the smallest, mean and largest eta / sigma on the sample, BLANK where the transform does not say."""

    def taken(x: jax.Array) -> jax.Array:
        return sample.take(x, step.meta.total, axes.parts(axes.split_over(x, step.names))) if jnp.ndim(x) else x

    drawn = jax.tree.map(taken, (decoded(step.inner), step.grads, step.params))
    rate = effective_rate(step.tx, *drawn, clip=None if bound is None else clip, like=step.grads)
    if rate is None:
        return [jnp.full((), BLANK, jnp.float32)] * 3
    if "learning_rate" in step.live:  # what the rate was traced with may be older than what it is now
        traced = learning_rate(step.tx, step.inner)
        now = jnp.where((eta > 0) & (traced > 0), eta / jnp.where(traced > 0, traced, 1.0), 1.0)
        rate = jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.float32) * now, rate)
    return rate_range(rate, step.names)


def rounded_away(step: Step) -> jax.Array:
    """Return the share of the sampled update entries other than 0 that leave their parameter as it was."""
    if step.params is None:
        return jnp.full((), BLANK, jnp.float32)
    kept, given, over = [], [], []
    for update, param in zip(jax.tree.leaves(step.updates), jax.tree.leaves(step.params), strict=True):
        copies = axes.parts(axes.split_over(param, step.names))
        u, p = (sample.take(x, step.meta.total, copies) for x in (update, param))
        wide = wider(u.dtype, p.dtype)
        some, weight = u != 0, param.size / max(p.size, 1)
        lost = some & ((p.astype(wide) + u.astype(wide)).astype(p.dtype) == p)
        kept.append(jnp.sum(lost, dtype=jnp.float32) * weight)
        given.append(jnp.sum(some, dtype=jnp.float32) * weight)
        over.append(axes.split_over(kept[-1], step.names))
    if not kept:
        return jnp.zeros((), jnp.float32)
    lost, some = (sum(axes.sum_over(xs, over), jnp.zeros((), jnp.float32)) for xs in (kept, given))
    return lost / jnp.maximum(some, 1e-30)


def straightness(record: Record, sampled: Any, size: jax.Array) -> tuple[jax.Array, Record]:
    """Return |sum of u|^2 / sum |u|^2 over the last 64 steps where a block of them ends, and the record moved on.

    Args:
        record: before the step.
        sampled: what `vector` returns of the parameters, None where they are not known.
        size: |u|.
    """
    if sampled is None:
        return jnp.full((), BLANK, jnp.float32), record
    (ps, factor), t = sampled, record.step
    steps = (t - record.p0_step).astype(jnp.float32)
    done = (record.p0_step >= 0) & (steps >= STRAIGHT)
    path = record.travelled[0] * jnp.sqrt(steps / jnp.maximum(record.travelled[1], 1.0))
    moved = unit(ps - record.p0, factor)[1]
    some = done & (path > 0)
    straight = jnp.where(some, moved / jnp.where(some, path, 1.0), 0.0)
    begin = done | (record.p0_step < 0)
    walked = jnp.stack([hypotenuse(record.travelled[0], size), record.travelled[1] + 1.0])
    return jnp.where(some, straight * straight, BLANK), record._replace(
        p0=jnp.where(begin, ps, record.p0),
        p0_step=jnp.where(begin, t, record.p0_step),
        travelled=jnp.where(begin, jnp.stack([size, jnp.ones_like(size)]), walked),
    )
