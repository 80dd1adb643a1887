"""What is summed over every entry: the norms of g, u and p, by group and in all, and the slope g.u."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.diagnosis.record import axes, sample
from gradtx.diagnosis.record.arithmetic import AWAY, LARGE, dot, root, root_of_product, scaled_square
from gradtx.diagnosis.record.record import BLANK, LEAF_COLUMNS, MOST, Meta
from gradtx.diagnosis.record.step import Step


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


def exact(step: Step, sampled: jax.Array) -> tuple[jax.Array, jax.Array, list[jax.Array], jax.Array]:
    """Return what each group stores, what each leaf does, |g|, |u| and |p| of all, and the root of g.u.

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
    zeros, weights = zero_shares(step, g, at)
    shares = (zeros * weights)[:, None]
    both = by_group(jnp.concatenate([near[:, :3], away, shares], axis=1), at, len(meta.groups))
    sizes = norms(both[:, :3], both[:, 3:5])
    whole = norms(jnp.sum(near[:, :3], axis=0)[None], jnp.sum(away, axis=0)[None])[0]
    if step.params is None:
        sizes, whole = sizes.at[:, 2].set(BLANK), whole.at[2].set(BLANK)
    estimate = root(sampled) * root_of_product(whole[0], whole[1])
    slope = jnp.where(jnp.any(large), estimate, root(jnp.sum(near[:, 3])))
    leaves = by_leaf(step, jnp.concatenate([norms(near[:, :3], away)[:, :2], zeros[:, None]], axis=1))
    return jnp.concatenate([sizes, both[:, 5:]], axis=1), leaves, [whole[0], whole[1], whole[2]], slope


def norms(near: jax.Array, away: jax.Array) -> jax.Array:
    """Return |g|, |u| and |p| of rows of their squares, those of g and u from the scaled squares where too large."""
    scaled = jnp.minimum(jnp.sqrt(away) * (1.0 / AWAY), MOST)
    found = jnp.where(near[:, :2] > LARGE, jnp.where(jnp.isfinite(away), scaled, away), jnp.sqrt(near[:, :2]))
    return jnp.concatenate([found, jnp.sqrt(near[:, 2:])], axis=1)


def by_group(rows: jax.Array, at: list[int], groups: int) -> jax.Array:
    """Return the rows of each group summed."""
    member = jnp.array(at, jnp.int32)[None] == jnp.arange(groups, dtype=jnp.int32)[:, None]
    return jnp.sum(jnp.where(member[:, :, None], rows[None], 0.0), axis=1)


def by_leaf(step: Step, rows: jax.Array) -> jax.Array:
    """Return the rows in the order of the leaves that `init` saw, zeros for one without a gradient."""
    places = {name: i for i, name in enumerate(step.meta.leaves)}
    at = jnp.array([places.get(name, len(places)) for name in leaf_names(step.grads)], jnp.int32)
    blank = jnp.zeros((len(places), len(LEAF_COLUMNS) - 2), jnp.float32)
    return blank.at[at].set(rows, mode="drop") if len(at) else blank


def leaf_names(tree: Any) -> tuple[str, ...]:
    """Return the path of each leaf, its keys joined by dots."""
    paths = (path for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0])
    return tuple(".".join(jax.tree_util.keystr((key,), simple=True) for key in path) or "params" for path in paths)


def zero_shares(step: Step, g: list[jax.Array], at: list[int]) -> tuple[jax.Array, jax.Array]:
    """Return each leaf's share of gradient entries that are exactly 0, of the sample, and its weight in its group."""
    meta, shares, weights, over = step.meta, [], [], []
    for x, i in zip(g, at, strict=True):
        copies = axes.parts(axes.split_over(x, step.names))
        taken = sample.take(x, meta.total, copies) == 0
        shares.append(jnp.sum(taken, dtype=jnp.float32) / (max(taken.size, 1) * copies))
        weights.append(x.size * copies / max(meta.sizes[i], 1))
        over.append(axes.split_over(shares[-1], step.names))
    if not shares:
        return jnp.zeros(0, jnp.float32), jnp.zeros(0, jnp.float32)
    return jnp.stack(axes.sum_over(shares, over)), jnp.array(weights, jnp.float32)


def group_at(meta: Meta, label: str) -> int:
    """Return the place of a group."""
    if label not in meta.groups:
        raise ValueError(
            f"watch: grads have a leaf in group {label!r}, expected one of {list(meta.groups)}, those of the params "
            "that init saw; pass gradients, state and params of one tree"
        )
    return meta.groups.index(label)
