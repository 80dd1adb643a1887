"""Measure one step: norms and slopes exactly, products between steps from a sample."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.contract.errors import none_is_leaf
from gradtx.diagnosis.record import axes, sample
from gradtx.diagnosis.record.chain import clip_bound, learning_rate, rate_range
from gradtx.diagnosis.record.rates import effective_rate
from gradtx.diagnosis.record.record import (
    BLANK,
    GROUP_COLUMNS,
    MOST,
    RING,
    ROW,
    STRAIGHT,
    Meta,
    Record,
    column,
    write,
)

# A float32 sum of squares overflows for a norm above 1.8e19. There it is taken again of arrays that are scaled by AWAY.
LARGE, AWAY = 2.0**126, 2.0**-64
FAR = 1e15  # a ratio of two norms beyond it only says that the sample missed the gradient; its square is finite


class Step(NamedTuple):
    """One step, as it is measured.

    Attributes:
        tx: the watched transform.
        meta: what the record is about.
        labels: the group of each leaf of the gradients.
        names: manual axes to sum over.
        grads: gradients.
        updates: updates, None in `measure`, which computes them.
        params: parameters before the step, or None.
        inner: state of the transform before the step.
        loss: the loss, BLANK where none was passed.
        live: `learning_rate` and `bound` of the clip where they are known outside, see `Watch.update`.
    """

    tx: Any
    meta: Meta
    labels: list[str]
    names: axes.Names
    grads: Any
    updates: Any
    params: Any
    inner: Any
    loss: jax.Array
    live: Mapping[str, jax.Array]


class Found(NamedTuple):
    """What a measurement gives.

    Attributes:
        record: with the row of this step, where all of it is finite.
        pulse: a number >= 0 that is known only once all measuring is done.
        gradient: whether the gradient is finite.
        update: whether the update is.
    """

    record: Record
    pulse: jax.Array
    gradient: jax.Array
    update: jax.Array


def nothing(record: Record) -> Found:
    """Return what is found where nothing is measured."""
    return Found(record, jnp.zeros((), jnp.float32), jnp.ones((), bool), jnp.ones((), bool))


def own(tree: Any) -> Any:
    """Return the parameters that gradients are taken at: the fast ones of optax's lookahead, which keeps two copies."""
    return tree.fast if isinstance(tree, optax.LookaheadParams) else tree


def like(grads: Any, tree: Any) -> Any:
    """Return a tree with None wherever the gradients have it."""
    return jax.tree.map(lambda g, x: None if g is None else x, grads, own(tree), is_leaf=none_is_leaf)


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
    groups, (g_size, u_size, p_size), gu = exact(step, inner(gs, us))
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
    straight, walked = straightness(step, record, u_size)
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
        "straight": straight,
        "learning_rate": eta,
        "clip": clip,
        **dict(zip(("rate_min", "rate_mean", "rate_max"), rates(step, eta, bound, clip), strict=True)),
        "zeros": jnp.sum(groups[:, GROUP_COLUMNS.index("zeros")] * jnp.array(meta.sizes, jnp.float32))
        / max(meta.total, 1),
    }
    row = jnp.clip(jnp.stack([jnp.asarray(values[name], jnp.float32) for name in ROW]), BLANK, MOST)
    kept = write(walked, row, jnp.clip(groups, BLANK, MOST))._replace(
        g1=gs, g2=record.g1, u1=us, norms=jnp.stack([g_norm, u_norm])
    )
    good = finite[0] & finite[1] & jnp.isfinite(step.loss)
    kept = jax.tree.map(lambda a, b: jnp.where(good, a, b), kept, record)
    return Found(kept, jnp.where(good, g_size, 0.0), finite[0], finite[1])


def root(x: jax.Array) -> jax.Array:
    """Return sign(x) sqrt(|x|): what squares and slopes are stored as."""
    return jnp.sign(x) * jnp.sqrt(jnp.abs(x))


def root_of_product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return sqrt(a b) of two norms, where a b may leave float32 (XLA makes it of sqrt(a) sqrt(b) as well)."""
    large, small = jnp.maximum(a, b), jnp.minimum(a, b)
    return large * jnp.sqrt(small / jnp.where(large > 0, large, 1.0))


def inner(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the inner product of two vectors, in full precision also where a matrix unit would round its inputs."""
    return jnp.vdot(a, b, precision=lax.Precision.HIGHEST)


def cosine(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the product of two vectors that are of norm 1 or 0, and whether both are of norm 1."""
    return inner(a, b), (inner(a, a) > 0) & (inner(b, b) > 0)


def unit(v: jax.Array, factor: float) -> tuple[jax.Array, jax.Array]:
    """Return a vector divided by its norm, 0 where it is 0, and `factor` times the norm; no entry is too large."""
    most = jnp.max(jnp.abs(v), initial=0.0)
    some = most >= jnp.finfo(jnp.float32).tiny
    shrink = jnp.where(most > FAR, AWAY, 1.0)  # the inverse of a number above 2^126 is 0 on most processors
    v = jnp.where(some, (v * shrink) / jnp.where(some, most * shrink, 1.0), 0.0)
    norm = jnp.sqrt(jnp.where(some, inner(v, v), 1.0))  # from 1 to the root of the length
    return v / norm, jnp.where(some, jnp.minimum(most * norm * factor, MOST), 0.0)


def vector(tree: Any, meta: Meta, names: axes.Names) -> tuple[jax.Array, float]:
    """Return the sample of a tree, and a number: times it, its inner products estimate those of the whole.

    Leaves that are None are left out, and zeros at the end make up the length.
    """
    drawn = []
    for x in map(sample.magnitude, jax.tree.leaves(tree)):
        over = axes.split_over(x, names)
        part = lax.convert_element_type(sample.take(x, meta.total, axes.parts(over)), jnp.float32)
        if part.size:
            drawn.append((part, math.sqrt(x.size / part.size), over))
    factor = max((weight for _, weight, _ in drawn), default=1.0)
    vectors: dict[axes.Names, list[jax.Array]] = {}
    for part, weight, over in drawn:
        vectors.setdefault(over, []).append(part * (weight / factor))
    whole = [axes.joined(jnp.concatenate(own), over) for over, own in vectors.items()]
    found = jnp.concatenate(whole)[: meta.sampled] if whole else jnp.zeros(0, jnp.float32)
    return jnp.pad(found, (0, meta.sampled - found.size)), factor


def exact(step: Step, sampled: jax.Array) -> tuple[jax.Array, list[jax.Array], jax.Array]:
    """Return what each group stores, |g|, |u| and |p| of all, and the root of g.u.

    Args:
        step: the step.
        sampled: cosine of the samples of g and u, which stands in for the whole where |g||u| leaves float32.
    """
    meta, names = step.meta, step.names
    given = step.updates if step.params is None else step.params
    g, u, p = (jax.tree.leaves(tree) for tree in (step.grads, step.updates, given))
    at = [group_at(meta, label) for label in step.labels]

    def sums(values: list[list[jax.Array]]) -> jax.Array:
        flat = [x for row in values for x in row]
        flat = axes.sum_over(flat, [axes.split_over(x, names) for x in flat])
        return jnp.stack(flat).reshape(len(values), -1) if flat else jnp.zeros((0, 4), jnp.float32)

    near = sums([[dot(a, a), dot(b, b), dot(c, c), dot(a, b)] for a, b, c in zip(g, u, p, strict=True)])
    large = jnp.sum(near[:, :2], axis=0) > LARGE

    def again() -> jax.Array:
        # a constant of its own for each sum: XLA:CPU writes one that several share out, as large as a leaf
        scales = [AWAY * (1.0 + i * 2.0**-20) for i in range(2 * len(g))]
        leaves = [x for pair in zip(g, u, strict=True) for x in pair]
        found = sums([[scaled_square(x, scale)] for x, scale in zip(leaves, scales, strict=True)])
        return (found[:, 0] * jnp.array([(AWAY / scale) ** 2 for scale in scales], jnp.float32)).reshape(-1, 2)

    away = lax.cond(jnp.any(large), again, lambda: near[:, :2])
    shares = group_zeros(step, g, at)[:, None]
    both = by_group(jnp.concatenate([near[:, :3], away, shares], axis=1), at, len(meta.groups))
    sizes = norms(both[:, :3], both[:, 3:5])
    whole = norms(jnp.sum(near[:, :3], axis=0)[None], jnp.sum(away, axis=0)[None])[0]
    if step.params is None:
        sizes, whole = sizes.at[:, 2].set(BLANK), whole.at[2].set(BLANK)
    estimate = root(sampled) * root_of_product(whole[0], whole[1])
    slope = jnp.where(jnp.any(large), estimate, root(jnp.sum(near[:, 3])))
    return jnp.concatenate([sizes, both[:, 5:]], axis=1), [whole[0], whole[1], whole[2]], slope


def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the inner product of two arrays, real, accumulated in float32."""
    x, y = wide(a), wide(b)
    if sample.is_explicit(x):  # a contraction over sharded axes would have to be told how its result is sharded
        return jnp.sum(x * y)
    # XLA's fastest sum on CPU; over all dimensions, since flattening first would gather a sharded array
    every = tuple(range(x.ndim))
    return lax.dot_general(x, y, ((every, every), ((), ())), precision=lax.Precision.HIGHEST)


def scaled_square(x: jax.Array, scale: float) -> jax.Array:
    """Return the sum of the squares of x times a scale.

    The scale is a constant, since XLA:CPU writes a scalar that is computed out, as large as the array it multiplies.
    """
    small = wide(x) * scale
    if small.size == 1:  # XLA joins products of scalars with constants to x^2 scale^2, and x^2 overflows
        small = lax.reduce_precision(small, exponent_bits=8, mantissa_bits=22)
    return jnp.sum(small * small)


def wide(x: jax.Array) -> jax.Array:
    """Return an array as real float32."""
    found: jax.Array = lax.convert_element_type(sample.magnitude(x), jnp.float32)
    return found


def norms(near: jax.Array, away: jax.Array) -> jax.Array:
    """Return |g|, |u| and |p| of rows of their squares, those of g and u from the scaled squares where too large."""
    scaled = jnp.minimum(jnp.sqrt(away) * (1.0 / AWAY), MOST)
    found = jnp.where(near[:, :2] > LARGE, jnp.where(jnp.isfinite(away), scaled, away), jnp.sqrt(near[:, :2]))
    return jnp.concatenate([found, jnp.sqrt(near[:, 2:])], axis=1)


def by_group(rows: jax.Array, at: list[int], groups: int) -> jax.Array:
    """Return the rows of each group summed."""
    member = jnp.array(at, jnp.int32)[None] == jnp.arange(groups, dtype=jnp.int32)[:, None]
    return jnp.sum(jnp.where(member[:, :, None], rows[None], 0.0), axis=1)


def group_zeros(step: Step, g: list[jax.Array], at: list[int]) -> jax.Array:
    """Return what each leaf adds to its group's share of gradient entries that are exactly 0, from the sample."""
    meta, shares, over = step.meta, [], []
    for x, i in zip(g, at, strict=True):
        names = axes.split_over(x, step.names)
        taken = sample.take(x, meta.total, axes.parts(names)) == 0
        shares.append(jnp.sum(taken, dtype=jnp.float32) * (x.size / max(taken.size, 1) / max(meta.sizes[i], 1)))
        over.append(axes.split_over(shares[-1], step.names))
    return jnp.stack(axes.sum_over(shares, over)) if shares else jnp.zeros(0, jnp.float32)


def group_at(meta: Meta, label: str) -> int:
    """Return the place of a group."""
    if label not in meta.groups:
        raise ValueError(
            f"watch: grads have a leaf in group {label!r}, expected one of {list(meta.groups)}, those of the params "
            "that init saw; pass gradients, state and params of one tree"
        )
    return meta.groups.index(label)


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
    """Return the smallest, mean and largest eta / sigma on the sample; eta itself where the chain does not say."""

    def taken(x: jax.Array) -> jax.Array:
        return sample.take(x, step.meta.total, axes.parts(axes.split_over(x, step.names))) if jnp.ndim(x) else x

    drawn = jax.tree.map(taken, (step.inner, step.grads, step.params))
    rate = effective_rate(step.tx, *drawn, clip=None if bound is None else clip)
    if rate is None:
        return [eta] * 3
    if "learning_rate" in step.live:  # what the rate was traced with may be older than what it is now
        traced = learning_rate(step.tx, step.inner)
        now = jnp.where((eta > 0) & (traced > 0), eta / jnp.where(traced > 0, traced, 1.0), 1.0)
        rate = jax.tree.map(lambda x: jnp.asarray(x).astype(jnp.float32) * now, rate)
    return rate_range(rate, step.names)


def straightness(step: Step, record: Record, size: jax.Array) -> tuple[jax.Array, Record]:
    """Return |sum of u|^2 / sum |u|^2 over the last 64 steps where a block of them ends, and the record moved on."""
    if step.params is None:
        return jnp.full((), BLANK, jnp.float32), record
    ps, factor = vector(step.params, step.meta, step.names)
    t = record.step
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


def hypotenuse(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return sqrt(a^2 + b^2) of two norms, where the squares may leave float32."""
    large, small = jnp.maximum(a, b), jnp.minimum(a, b)
    part = small / jnp.where(large > 0, large, 1.0)
    return jnp.minimum(large * jnp.sqrt(1.0 + part * part), MOST)


def nonfinite(grads: Any, labels: list[str], meta: Meta, names: axes.Names) -> jax.Array:
    """Return how many gradient entries of each group are not finite."""
    counts = [jnp.sum(~jnp.isfinite(x), dtype=jnp.int32) for x in jax.tree.leaves(grads)]
    counts = axes.sum_over(counts, [axes.split_over(x, names) for x in counts])
    found = {name: jnp.zeros((), jnp.int32) for name in meta.groups}
    for count, label in zip(counts, labels, strict=True):
        found[label] += count
    return jnp.stack(list(found.values())) if found else jnp.zeros(0, jnp.int32)
